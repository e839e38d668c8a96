//! `kill -9` of a real controller at a random moment of 1,000 writes that come in through its Admin service.
//!
//! Five kills; `BOOTLANE_KILLS=50` for the long run. Needs root, for network namespaces.

use std::sync::mpsc;
use std::time::Duration;

use integration::binaries::{Binaries, Profile};
use integration::kills::controller::ControllerStand;
use integration::kills::writers::{self, Acknowledged, WRITES};
use integration::kills::{inside, kills};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A kill falls within so long after an acknowledgement.
const A_WRITE: Duration = Duration::from_millis(5);

#[test]
fn what_an_operator_was_told_is_written_survives_a_kill() {
    let binaries = Binaries::build(Profile::of_this_program()).expect("they build");
    let mut stand = ControllerStand::create(binaries.controller).expect("a namespace");
    let mut random = SmallRng::seed_from_u64(3);
    let (mut acknowledged, mut watched) = (Vec::new(), 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for life in 0..kills() {
        stand.start().expect("it starts after every kill");
        acknowledged.extend(live_and_die(&mut stand, life, &mut random));
        let newest = runtime.block_on(writers::verify(&stand.state(), &acknowledged, watched));
        let newest = newest.unwrap_or_else(|error| panic!("after kill {life}: {error:#}"));
        assert!(newest > watched, "revisions go on");
        watched = newest;
    }
    assert!(!acknowledged.is_empty(), "no life was long enough to prove anything");
}

/// Writes and kills; returns what was acknowledged until then.
fn live_and_die(stand: &mut ControllerStand, life: u32, random: &mut SmallRng) -> Vec<Acknowledged> {
    let (told, tells) = mpsc::channel();
    let credential = stand.credential();
    let writing = inside::spawn(stand.namespace(), async move || {
        writers::write_until_killed(&credential, life, &told).await
    });
    let writing = writing.expect("the namespace is there");
    let last = random.random_range(0..WRITES) as usize;
    let mut acknowledged: Vec<_> = tells.iter().take(last + 1).collect();
    std::thread::sleep(A_WRITE.mul_f64(random.random()));
    stand.kill().expect("it lived");
    acknowledged.extend(tells);
    writing.join().expect("no panic").expect("nothing was refused");
    acknowledged
}

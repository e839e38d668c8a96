//! `kill -9` of a real agent while machines of paper boot from it, with nobody to talk to but them.
//!
//! Five kills; `BOOTLANE_KILLS=50` for the long run. Needs root, for network namespaces.

use std::time::Duration;

use integration::binaries::{Binaries, Profile};
use integration::kills::judge::{self, Found};
use integration::kills::life::Ending;
use integration::kills::plan::{Known, Stand, lay_down, plan};
use integration::kills::segment::{Controllers, Segment};
use integration::kills::witness::Witness;
use integration::kills::{kills, life};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Machines that boot around each kill.
const MACHINES: u32 = 8;
/// Steps that these machines take together when nobody is killed, or somewhat fewer: kills fall anywhere in them.
const STEPS: u64 = 70;
/// A kill falls within so long after a step.
const A_STEP: Duration = Duration::from_millis(8);

#[test]
fn no_lease_no_order_and_no_event_is_lost_or_doubled_by_a_kill() {
    let kills = kills();
    let machines: Vec<_> = (0..kills * MACHINES).map(Stand::new).collect();
    let binaries = Binaries::build(Profile::of_this_program()).expect("they build");
    let mut segment = Segment::create(binaries.agent).expect("a segment");
    segment.configure(&Controllers::default()).expect("written");
    lay_down(&segment.state(), plan(&machines)).expect("laid down");
    segment.start().and_then(|()| segment.wait_until_it_listens()).expect("it serves");

    let witness = Witness::default();
    let mut random = SmallRng::seed_from_u64(2);
    let (mut before, mut endings): (Option<Found>, Vec<Ending>) = (None, Vec::new());
    for batch in machines.chunks(MACHINES as usize) {
        let lives = life::begin(&segment, batch.to_vec(), witness.clone(), random.random()).expect("begun");
        let steps = witness.seen().steps + random.random_range(0..STEPS);
        while witness.seen().steps < steps && !lives.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(A_STEP.mul_f64(random.random()));
        let seen = witness.seen();
        segment.kill().expect("it lived");
        let found = judge::read(&segment.state()).expect("a kill leaves a ledger that can be read");
        assert_eq!(found.faults(before.as_ref(), &seen, &machines), [""; 0]);
        before = Some(found);
        segment.start().expect("started");
        endings.extend(lives.join().expect("no machine panics").expect("machines have a network"));
    }
    segment.kill().expect("it lived");
    let found = judge::read(&segment.state()).expect("readable");
    assert_eq!(found.faults(before.as_ref(), &witness.seen(), &machines), [""; 0]);
    judge_endings(&endings, &witness);
}

/// Every machine ends at its local disk, and is installed before that if it has an order and kept its power.
fn judge_endings(endings: &[Ending], witness: &Witness) {
    let lost: Vec<_> = endings.iter().filter(|ending| !ending.at_rest).collect();
    assert!(lost.is_empty(), "these machines never came to rest: {lost:#?}");
    let seen = witness.seen();
    let forgotten = |ending: &&Ending| {
        let machine = ending.machine;
        let ordered = machine.known() != Known::Stranger;
        ordered && !ending.cut && !seen.installed.contains(&machine.identity.mac)
    };
    let forgotten: Vec<_> = endings.iter().filter(forgotten).collect();
    assert!(forgotten.is_empty(), "these machines were to be installed and are not: {forgotten:#?}");
    assert!(seen.given.len() >= endings.len(), "everybody got an address");
}

//! `kill -9` of a writing process at random moments: what it acknowledged is there afterwards, and
//! a watcher that reads the log from the beginning meets every revision once.
//!
//! The test starts itself again as the writer, which is told so by an environment variable. Five
//! kills by default; `BOOTLANE_KILLS=50` for the long run. The same folder lives through all of them.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use controller::store::{Key, LocalStore, Revision, Scan, Store, Tuning, Txn, WatchEvent};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const FOLDER: &str = "BOOTLANE_KILL_FOLDER";
const KILLS: &str = "BOOTLANE_KILLS";
/// Writes of one life of the writer; most lives end before.
const WRITES: u64 = 1000;
/// Writes that are on their way at one moment, so that groups of several form.
const CONCURRENT: usize = 8;

/// Keeps the history of every life, so that a watcher can begin at the first revision.
fn tuning() -> Tuning {
    Tuning { history_revisions: u64::MAX, history_bytes: u64::MAX, ..Tuning::default() }
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("the test uses good keys")
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    if let Some(folder) = env::var_os(FOLDER) {
        return write_until_killed(Path::new(&folder));
    }
    let kills: u64 = env::var(KILLS).map_or(5, |kills| kills.parse().expect("a number of kills"));
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let mut acknowledged = Vec::new();
    for seed in 0..kills {
        let lived = live_and_die(folder.path(), &mut StdRng::seed_from_u64(seed));
        acknowledged.extend(lived);
        verify(folder.path(), &acknowledged);
    }
    assert!(!acknowledged.is_empty(), "no writer lived long enough to prove anything");
}

/// One write as the writer reported it: revision and number. The number is in key and value.
type Acknowledged = (Revision, String);

/// Runs a writer, kills it after a random number of acknowledgements and a little longer.
fn live_and_die(folder: &Path, random: &mut StdRng) -> Vec<Acknowledged> {
    let mut writer = start_writer(folder);
    let lines = BufReader::new(writer.stdout.take().expect("it is piped")).lines();
    let last_before_kill = random.random_range(0..WRITES);
    let mut acknowledged = Vec::new();
    for line in lines {
        let line = line.expect("the pipe is read to its end");
        // What the test harness of the writer prints is not the writer's.
        let Some((revision, name)) = line.strip_prefix("acknowledged ").and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        acknowledged.push((Revision(revision.parse().expect("the writer prints numbers")), name.to_owned()));
        if acknowledged.len() as u64 == last_before_kill + 1 {
            std::thread::sleep(Duration::from_micros(random.random_range(0..3000)));
            writer.kill().expect("it is our own child");
        }
    }
    writer.wait().expect("it is our own child");
    acknowledged
}

fn start_writer(folder: &Path) -> Child {
    let own = env::current_exe().expect("the test knows itself");
    let mut command = Command::new(own);
    command.args(["--exact", "what_was_acknowledged_survives_a_kill_at_any_moment", "--nocapture"]);
    command.env(FOLDER, folder).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.spawn().expect("the test starts itself")
}

/// The other side: writes, and says what was acknowledged.
fn write_until_killed(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(async {
        let store = LocalStore::open(folder, tuning()).expect("the store opens after every kill");
        let life = store.revision().await.expect("reads pass");
        let mut numbers = 0..WRITES;
        let write = async |number: u64| {
            let name = format!("{life}-{number}");
            let txn = Txn::new()
                .put(key(&format!("/writes/{name}")), name.clone())
                .put(key(&format!("/latest/{}", number % 16)), vec![7; 10 * number as usize]);
            let revision = store.txn(txn).await.expect("the write passes");
            let mut out = std::io::stdout().lock();
            writeln!(out, "acknowledged {revision} {name}")
                .and_then(|()| out.flush())
                .expect("the pipe is open");
        };
        let mut under_way: FuturesUnordered<_> = numbers.by_ref().take(CONCURRENT).map(write).collect();
        while under_way.next().await.is_some() {
            under_way.extend(numbers.next().map(write));
        }
    });
}

/// Opens the store and compares it with everything that was ever acknowledged.
fn verify(folder: &Path, acknowledged: &[Acknowledged]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    runtime.block_on(async {
        let store = LocalStore::open(folder, tuning()).expect("the store opens after every kill");
        for (revision, name) in acknowledged {
            let there = store.get(&key(&format!("/writes/{name}"))).await.expect("reads pass");
            let there = there.unwrap_or_else(|| panic!("{name} was acknowledged at {revision} and is gone"));
            assert_eq!((there.mod_revision, &there.value[..]), (*revision, name.as_bytes()));
        }
        let newest = store.revision().await.expect("reads pass");
        let page = store.scan(Scan::prefix("/writes/")).await.expect("reads pass");
        assert_eq!(page.entries.len() as u64, newest.0, "one revision, one write");
        let mut watch = store.watch("/", Revision(1));
        for expected in 1..=newest.0 {
            let event = tokio::time::timeout(Duration::from_secs(60), watch.next()).await.expect("in time");
            let Some(WatchEvent::Batch(batch)) = event else { panic!("at revision {expected}: {event:?}") };
            assert_eq!(batch.revision, Revision(expected), "no revision repeats or is missing");
            assert_eq!(batch.changes.len(), 2, "no revision is torn");
        }
        store.close().await;
    });
}

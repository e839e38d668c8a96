//! `kill -9` of a process that stores events, at random moments: what it acknowledged is there afterwards, once and in
//! order, and what comes again is stored once.
//!
//! The test starts itself again as the writer, which is told so by an environment variable. Five kills by default;
//! `BOOTLANE_KILLS=50` for the long run. The same folder lives through all of them.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use controller::events::{EventStore, Source, Tuning};
use proto::event::{Answer, Event, EventKind, NumberedEvent};
use proto::{AttemptId, HostId, Incarnation, Mac, Wall};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const FOLDER: &str = "BOOTLANE_EVENT_KILL_FOLDER";
const FIRST: &str = "BOOTLANE_EVENT_KILL_FIRST";
const KILLS: &str = "BOOTLANE_KILLS";
/// Batches of one life; most lives end before.
const BATCHES: u64 = 300;
/// Journals that report at the same time, so that groups of several form.
const AGENTS: u8 = 4;
/// Events of one boot attempt.
const ATTEMPT: u64 = 40;

#[test]
fn acknowledged_events_survive_a_kill_at_any_moment() {
    if let Some(folder) = env::var_os(FOLDER) {
        let first = env::var(FIRST).expect("it is told").parse().expect("a number");
        return report_until_killed(Path::new(&folder), first);
    }
    let kills: u64 = env::var(KILLS).map_or(5, |kills| kills.parse().expect("a number of kills"));
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let mut acknowledged = vec![0; usize::from(AGENTS)];
    for seed in 0..kills {
        live_and_die(folder.path(), &mut acknowledged, &mut StdRng::seed_from_u64(seed));
        verify(folder.path(), &acknowledged);
    }
    assert!(acknowledged.iter().any(|last| *last > 0), "no writer lived long enough to prove anything");
}

/// Runs a writer and kills it after a random number of acknowledgements and a little longer.
fn live_and_die(folder: &Path, acknowledged: &mut [u64], random: &mut StdRng) {
    let first = acknowledged.iter().min().copied().unwrap_or(0);
    let mut writer = start_writer(folder, first);
    let lines = BufReader::new(writer.stdout.take().expect("it is piped")).lines();
    let mut left = random.random_range(1..BATCHES);
    for line in lines {
        let line = line.expect("the pipe is read to its end");
        // What the test harness of the writer prints is not the writer's.
        let Some((agent, last)) = line.strip_prefix("acknowledged ").and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let number = |text: &str| text.parse::<u64>().expect("the writer prints numbers");
        let held = &mut acknowledged[usize::try_from(number(agent)).expect("few agents")];
        *held = number(last).max(*held);
        left = left.saturating_sub(1);
        if left == 0 {
            std::thread::sleep(Duration::from_micros(random.random_range(0..3000)));
            writer.kill().expect("it is our own child");
        }
    }
    writer.wait().expect("it is our own child");
}

fn start_writer(folder: &Path, first: u64) -> Child {
    let mut command = Command::new(env::current_exe().expect("the test knows itself"));
    command.args(["--exact", "acknowledged_events_survive_a_kill_at_any_moment", "--nocapture"]);
    command.env(FOLDER, folder).env(FIRST, first.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.spawn().expect("the test starts itself")
}

fn source(agent: u8) -> Source {
    Source { site: "lyon".into(), agent: format!("lyon-{agent}") }
}

fn journal(agent: u8) -> Incarnation {
    Incarnation([agent; 16])
}

/// Which attempt the event of this number belongs to.
fn attempt(agent: u8, number: u64) -> AttemptId {
    let mut id = [agent; 16];
    id[..8].copy_from_slice(&((number - 1) / ATTEMPT).to_be_bytes());
    AttemptId(id)
}

fn event(agent: u8, number: u64) -> NumberedEvent {
    let kind = EventKind::Decided {
        answer: Answer::Script,
        reason: format!("event {number}"),
        order: None,
        because: None,
    };
    let (mac, host) = (Some(Mac([agent; 6])), Some(HostId([agent; 16])));
    let event = Event { at: Wall(number), attempt: Some(attempt(agent, number)), host, mac, kind };
    NumberedEvent { number, event }
}

/// Nothing is forgotten in this test.
fn open(folder: &Path) -> EventStore {
    let tuning = Tuning { attempts_per_machine: usize::MAX, ..Tuning::default() };
    EventStore::open(folder, tuning).expect("the store opens after every kill")
}

/// The other side: agents that send again from the last acknowledgement that all have, and go on.
fn report_until_killed(folder: &Path, first: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(async {
        let store = open(folder);
        let agents = (0..AGENTS).map(|agent| report(&store, agent, first));
        futures::future::join_all(agents).await;
    });
}

async fn report(store: &EventStore, agent: u8, first: u64) {
    let mut next = first + 1;
    for batch in 0..BATCHES {
        let length = 1 + (batch + u64::from(agent)) % 7;
        let events = (next..next + length).map(|number| event(agent, number)).collect();
        let through = store.append(&source(agent), journal(agent), events).await.expect("stored");
        next += length;
        assert!(through >= next - 1, "all of the batch is stored");
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {agent} {}", next - 1)
            .and_then(|()| out.flush())
            .expect("the pipe is open");
    }
}

/// Opens the store and compares it with everything that was ever acknowledged.
fn verify(folder: &Path, acknowledged: &[u64]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    runtime.block_on(async {
        let store = open(folder);
        for (agent, last) in (0..AGENTS).zip(acknowledged) {
            let mut found = Vec::new();
            let mut attempts = (0..).map(|index| attempt(agent, index * ATTEMPT + 1));
            loop {
                let attempt = attempts.next().expect("without end");
                let events = store.boot_events(attempt).await.expect("readable");
                if events.is_empty() {
                    break;
                }
                let summary = store.boot(attempt).await.expect("readable").expect("an attempt with events");
                assert_eq!(summary.events, events.len() as u64, "summary and events are of one batch");
                found.extend(events.into_iter().map(|event| event.numbered));
            }
            let stored = found.len() as u64;
            assert!(stored >= *last, "agent {agent}: {last} were acknowledged, {stored} are stored");
            let expected: Vec<_> = (1..=stored).map(|number| event(agent, number)).collect();
            assert_eq!(found, expected, "agent {agent}: each once, in order");
        }
        store.close().await;
    });
}

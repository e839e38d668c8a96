//! Attempts from their first event to their number, on the real event store and a paper clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use proto::event::{Answer, Client, Event, EventKind, NumberedEvent, OrderPhase, Transport};
use proto::plan::Stage;
use proto::{HostId, Incarnation, Mac, OrderId, Platform};
use telemetry::boots::Value;
use telemetry::metrics::{Exposition, Form};

use super::*;
use crate::app::Clock;
use crate::catalog::tests::NOW;
use crate::events::Source;

const SECOND: u64 = 1_000;

struct Lab {
    app: App,
    clock: Arc<AtomicU64>,
    folder: tempfile::TempDir,
    in_progress: InProgress,
    numbers: u64,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let clock = Arc::new(AtomicU64::new(NOW.0));
        let hand = Arc::clone(&clock);
        let app = App {
            clock: Clock::from_fn(move || Wall(hand.load(Ordering::Relaxed)).into()),
            ..crate::admin::tests::app(folder.path())
        };
        Self { app, clock, folder, in_progress: InProgress::default(), numbers: 0 }
    }

    /// A process that begins to follow.
    async fn follower(&self) -> (Follower, Receiver<Arc<StoredEvent>>) {
        let news = self.app.events.subscribe();
        let mark = Mark::within(self.folder.path());
        let mut follower = Follower::new(self.app.clone(), self.in_progress.clone(), mark);
        follower.begin().await;
        (follower, news)
    }

    /// The same with numbers that begin at 0, as after a restart.
    async fn restarted(&mut self) -> (Follower, Receiver<Arc<StoredEvent>>) {
        self.app.metrics = crate::metrics::Metrics::default();
        self.in_progress = InProgress::default();
        self.follower().await
    }

    /// Events of one attempt and machine, so many seconds after the beginning.
    async fn tell(&mut self, attempt: u8, events: Vec<(u64, EventKind)>) {
        let event = |(second, kind): (u64, EventKind)| {
            self.numbers += 1;
            let at = Wall(NOW.0 + second * SECOND);
            let (attempt, host) = (Some(AttemptId([attempt; 16])), Some(HostId([2; 16])));
            let event = Event { at, attempt, host, mac: Some(Mac([2, 0, 0, 0, 0, 9])), kind };
            NumberedEvent { number: self.numbers, event }
        };
        let events: Vec<_> = events.into_iter().map(event).collect();
        let source = Source { site: "lyon".into(), agent: "lyon-1".into() };
        self.app.events.append(&source, Incarnation([7; 16]), events).await.expect("stored");
    }

    /// The clock is set, and everything that is due then is looked at.
    async fn at(&self, second: u64, (follower, news): &mut (Follower, Receiver<Arc<StoredEvent>>)) {
        while let Ok(event) = news.try_recv() {
            follower.take(&event);
        }
        let now = NOW.0 + second * SECOND;
        self.clock.store(now, Ordering::Relaxed);
        while follower.table.due(Wall(now)).is_some() {
            follower.look().await;
        }
        follower.heard = Wall(now);
        follower.keep_mark();
    }

    /// The lines of a metric, without its name.
    fn lines(&self, name: &str) -> Vec<String> {
        let mut all = Exposition::new();
        all.add_counters(&self.app.metrics.boots);
        all.add_histograms(&self.app.metrics.stage_seconds);
        self.in_progress.add_to(&mut all);
        let text = all.text(Form::OpenMetrics);
        text.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
    }

    fn counted(&self) -> Vec<String> {
        self.lines("bootlane_boots_total")
    }
}

fn began() -> EventKind {
    EventKind::AttemptBegan {
        platform: Some(Platform::UefiX64),
        client: Client::PxeRom,
        vendor_class: String::new(),
        uuid: None,
        relay: None,
        architecture: None,
    }
}

fn leased() -> EventKind {
    let address = std::net::Ipv4Addr::new(10, 1, 0, 9);
    EventKind::Leased { address, until: Wall(NOW.0 + 3_600_000), client: Client::PxeRom }
}

fn decided(answer: Answer) -> EventKind {
    EventKind::Decided { answer, reason: String::new(), order: None, because: None }
}

fn served(stage: Stage, took_ms: u64) -> EventKind {
    let (transport, name) = (Transport::Http, stage.word().to_owned());
    EventKind::FileServed { transport, stage, name, bytes: 1 << 20, took_ms, retransmissions: 3, repeats: 0 }
}

fn moved(phase: OrderPhase) -> EventKind {
    EventKind::OrderMoved { order: OrderId([4; 16]), number: 1, phase, reason: String::new() }
}

/// A whole installation, some 10 minutes long.
fn installation() -> Vec<(u64, EventKind)> {
    vec![
        (0, began()),
        (0, moved(OrderPhase::Offered)),
        (0, decided(Answer::Loader)),
        (1, leased()),
        (3, served(Stage::Loader, 400)),
        (6, served(Stage::Script, 10)),
        (12, served(Stage::Kernel, 4_000)),
        (20, served(Stage::Initrd, 7_000)),
        (60, moved(OrderPhase::Started)),
        (60, served(Stage::Answer, 10)),
        (600, moved(OrderPhase::Installed)),
    ]
}

#[tokio::test]
async fn an_installation_is_counted_once_and_measured_by_stage() {
    let mut lab = Lab::new();
    let mut follower = lab.follower().await;
    let mut events = installation();
    let end = events.split_off(8);
    lab.tell(1, events).await;
    lab.at(25, &mut follower).await;
    assert_eq!(lab.lines("bootlane_boots_in_progress"), ["{site=\"lyon\",stage=\"system\"} 1"]);
    assert_eq!(lab.counted(), Vec::<String>::new());
    lab.tell(1, end).await;
    lab.at(610, &mut follower).await;
    let line = "{site=\"lyon\",outcome=\"installed\",cause=\"none\",firmware=\"uefi-x64\",family=\"none\"} 1";
    assert_eq!(lab.counted(), [line]);
    assert_eq!(lab.lines("bootlane_boots_in_progress"), Vec::<String>::new());
    lab.tell(1, vec![(660, EventKind::OsUp { address: None })]).await;
    lab.at(700, &mut follower).await;
    assert_eq!(lab.counted(), [line], "what comes afterwards is of the same attempt");

    let stages = lab.lines("bootlane_boot_stage_duration_seconds_count");
    assert!(stages.iter().any(|line| line == "{site=\"lyon\",stage=\"installation\"} 1"), "{stages:?}");
    let id = AttemptId([1; 16]).to_string();
    let buckets = lab.lines("bootlane_boot_stage_duration_seconds_bucket");
    let exemplar = format!("# {{trace_id=\"{id}\"}}");
    assert!(buckets.iter().any(|line| line.contains(&exemplar)), "{buckets:?}");
}

#[tokio::test]
async fn silence_is_an_end_when_its_time_has_come() {
    let mut lab = Lab::new();
    let mut follower = lab.follower().await;
    lab.tell(1, vec![(0, began()), (0, decided(Answer::Loader)), (1, leased())]).await;
    lab.at(80, &mut follower).await;
    assert_eq!(lab.counted(), Vec::<String>::new());
    lab.at(200, &mut follower).await;
    let counted = lab.counted();
    let [line] = &counted[..] else { panic!("one line: {counted:?}") };
    assert!(line.starts_with("{site=\"lyon\",outcome=\"silent\",cause=\"") && line.ends_with(" 1"), "{line}");
    assert!(!line.contains("cause=\"none\""), "a rule says why: {line}");
}

#[tokio::test]
async fn a_machine_that_begins_anew_has_ended_its_attempt() {
    let mut lab = Lab::new();
    let mut follower = lab.follower().await;
    lab.tell(1, vec![(0, began()), (0, decided(Answer::Loader)), (1, leased())]).await;
    lab.at(10, &mut follower).await;
    lab.tell(2, vec![(30, began())]).await;
    lab.at(40, &mut follower).await;
    assert_eq!(lab.counted().len(), 1, "{:?}", lab.counted());
    assert_eq!(lab.lines("bootlane_boots_in_progress").len(), 1);
}

#[tokio::test]
async fn a_restart_counts_what_was_under_way_and_nothing_twice() {
    let mut lab = Lab::new();
    let mut follower = lab.follower().await;
    lab.tell(1, installation()).await;
    lab.tell(2, vec![(605, began()), (605, decided(Answer::Loader)), (606, leased())]).await;
    lab.at(620, &mut follower).await;
    assert_eq!(lab.counted().len(), 1);
    drop(follower);
    // While nobody looked.
    lab.tell(3, vec![(625, began()), (625, decided(Answer::LocalDisk)), (626, leased())]).await;
    lab.clock.store(NOW.0 + 650 * SECOND, Ordering::Relaxed);
    let mut follower = lab.restarted().await;
    lab.tell(1, vec![(651, EventKind::OsUp { address: None })]).await;
    lab.at(1_000, &mut follower).await;
    let outcomes: BTreeMap<_, _> = ["installed", "silent", "local-disk"]
        .map(|outcome| (outcome, lab.counted().iter().filter(|line| line.contains(outcome)).count()))
        .into();
    assert_eq!(
        outcomes,
        BTreeMap::from([("installed", 0), ("silent", 1), ("local-disk", 1)]),
        "{:?}",
        lab.counted()
    );
}

#[tokio::test]
async fn the_first_that_looks_counts_no_history() {
    let mut lab = Lab::new();
    lab.tell(1, installation()).await;
    lab.clock.store(NOW.0 + 5_000 * SECOND, Ordering::Relaxed);
    let mut follower = lab.follower().await;
    lab.at(6_000, &mut follower).await;
    assert_eq!(lab.counted(), Vec::<String>::new());
}

#[tokio::test]
async fn lost_news_are_read_again() {
    let mut lab = Lab::new();
    let (mut follower, news) = lab.follower().await;
    drop(news);
    lab.tell(1, installation()).await;
    follower.lost(11).await;
    let news = lab.app.events.subscribe();
    lab.at(700, &mut (follower, news)).await;
    assert_eq!(lab.counted().len(), 1, "{:?}", lab.counted());
}

#[tokio::test]
async fn a_trace_has_a_span_for_each_stage_and_the_sentence_of_what_went_wrong() {
    let mut lab = Lab::new();
    let (follower, _news) = lab.follower().await;
    lab.tell(1, installation()).await;
    lab.tell(2, vec![(700, began()), (700, decided(Answer::Loader)), (701, leased())]).await;
    let look = |attempt: u8| {
        let now = Wall(NOW.0 + 2_000 * SECOND);
        let looked = follower.examine(AttemptId([attempt; 16]), None, now);
        async { looked.await.expect("read").expect("there") }
    };
    let (boot, diagnosis) = look(1).await;
    let good = trace::trace(&boot, Some("web-1".into()), &diagnosis);
    assert_eq!((good.id, good.root.failed), ([1; 16], None));
    assert!(good.root.attributes.contains(&("bootlane.host", Value::Text("web-1".into()))));
    let names: Vec<_> = good.stages.iter().map(|stage| stage.name.to_string()).collect();
    assert_eq!(names.len(), diagnosis.stages.len());
    for name in ["rom-address", "loader", "script", "kernel", "answer-file", "installation"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    let (boot, diagnosis) = look(2).await;
    let bad = trace::trace(&boot, None, &diagnosis);
    let sentence = bad.root.failed.expect("it failed");
    assert_eq!(sentence, diagnosis.findings[0].sentence());
}

/// Not asserted: what ten thousand attempts of 25 events cost. Run it with `--ignored --nocapture`, built for release.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, reason = "its result")]
async fn ten_thousand_attempts() {
    const ATTEMPTS: u64 = 10_000;
    let lab = Lab::new();
    let app = lab.app.clone();
    let mark = Mark::within(lab.folder.path());
    let following = tokio::spawn(follow(app.clone(), lab.in_progress.clone(), mark));
    let began = std::time::Instant::now();
    let sites = (0..20_u64).map(|site| {
        let app = app.clone();
        async move {
            let source = Source { site: format!("site-{site}"), agent: format!("agent-{site}") };
            let (mut number, mut batch) = (0, Vec::new());
            for attempt in (0..ATTEMPTS).filter(|attempt| attempt % 20 == site) {
                for (second, kind) in installation().into_iter().cycle().take(25).enumerate() {
                    number += 1;
                    let mut id = [0; 16];
                    id[..8].copy_from_slice(&attempt.to_be_bytes());
                    let mac = Mac([2, 0, 0, 0, id[6], id[7]]);
                    let (attempt, host) = (Some(AttemptId(id)), Some(HostId(id)));
                    let event = Event {
                        at: Wall(NOW.0 + second as u64),
                        attempt,
                        host,
                        mac: Some(mac),
                        kind: kind.1,
                    };
                    batch.push(NumberedEvent { number, event });
                }
                if batch.len() >= 500 {
                    app.events
                        .append(&source, Incarnation([7; 16]), std::mem::take(&mut batch))
                        .await
                        .expect("stored");
                }
            }
            app.events.append(&source, Incarnation([7; 16]), batch).await.expect("stored");
        }
    });
    futures::future::join_all(sites.map(tokio::spawn)).await;
    println!("taken in after {:?}", began.elapsed());
    // Beyond the longest silence that any stage is allowed, and on: what is taken up late falls due later.
    lab.clock.store(NOW.0 + 10_000 * SECOND, Ordering::Relaxed);
    while lab.in_progress.total() > 0 || lab.counted().is_empty() {
        lab.clock.fetch_add(SECOND, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("counted after {:?}", began.elapsed());
    following.abort();
}

//! Attempts from their first event to their number, on the real event store and a paper clock.

mod load;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use proto::event::{Answer, Client, Event, EventKind, NumberedEvent, OrderPhase, Transport};
use proto::plan::Stage;
use proto::{AttemptId, HostId, Incarnation, Mac, OrderId, Platform};
use telemetry::boots::Value;
use telemetry::metrics::{Exposition, Form};

use super::*;
use crate::app::Clock;
use crate::catalog::orders::NewOrder;
use crate::catalog::tests::{Fleet, NOW, host};
use crate::events::Source;
use crate::news::{Ears, News};
use crate::planner::Planner;

const SECOND: u64 = 1_000;

struct Lab {
    app: App,
    clock: Arc<AtomicU64>,
    folder: tempfile::TempDir,
    in_progress: InProgress,
    numbers: u64,
    /// Whose attempts are told of.
    host: HostId,
}

/// The order that installations are told to be under, which no catalog has.
const ORDER: OrderId = OrderId([4; 16]);

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let clock = Arc::new(AtomicU64::new(NOW.0));
        let hand = Arc::clone(&clock);
        let app = App {
            clock: Clock::from_fn(move || Wall(hand.load(Ordering::Relaxed)).into()),
            ..crate::admin::tests::app(folder.path())
        };
        let (in_progress, host) = (InProgress::default(), HostId([2; 16]));
        Self { app, clock, folder, in_progress, numbers: 0, host }
    }

    /// With a catalog: the site, its agent, which was just heard, and the host `web-1` with an order.
    async fn furnished() -> (Self, OrderId) {
        let fleet = Fleet::in_memory().furnished().await;
        fleet.apply(&[host("web-1", 9)]).await.expect("new");
        let order = NewOrder { host: "web-1".into(), profile: None, life: None, agent: None, wait: None };
        let order = fleet.catalog.create_order(&fleet.admin, &order, NOW).await.expect("in order");
        let lab = Self::new();
        let store = Arc::clone(fleet.catalog.store());
        let (planner, _task) = Planner::start(lab.app.fleet.clone(), Arc::clone(&store), fleet.vault.clone());
        planner.ready().await;
        let host = fleet.catalog.get_host("web-1").await.expect("read").and_then(|host| host.id());
        let (vault, catalog) = (fleet.vault, fleet.catalog);
        let app = App { catalog, store, planner, vault, ..lab.app };
        let order = order.id().expect("stored").into();
        (Self { app, host: host.expect("stored").into(), ..lab }, order)
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
            let (attempt, host) = (Some(AttemptId([attempt; 16])), Some(self.host));
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
        follower.find_missed().await;
        while !follower.table.due(Wall(now), 1).is_empty() {
            follower.look().await;
        }
        follower.heard = Wall(now);
        follower.keep_mark();
    }

    /// What `bootlane boot show` says of an attempt now.
    async fn explained(&self, attempt: u8) -> Explained {
        let mut inquiry = Inquiry::new(&self.app);
        inquiry.attempt(AttemptId([attempt; 16])).await.expect("readable").expect("there")
    }

    /// The lines of a metric, without its name.
    fn lines(&self, name: &str) -> Vec<String> {
        let mut all = Exposition::new();
        all.add_counters(&self.app.metrics.boots);
        all.add_counters(&self.app.metrics.events_missed);
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

fn moved(order: OrderId, phase: OrderPhase) -> EventKind {
    EventKind::OrderMoved { order, number: 1, phase, reason: String::new() }
}

/// A whole installation, some 10 minutes long.
fn installation(order: OrderId) -> Vec<(u64, EventKind)> {
    let moved = |phase| moved(order, phase);
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
    let mut events = installation(ORDER);
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
    lab.tell(1, installation(ORDER)).await;
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
    lab.tell(1, installation(ORDER)).await;
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
    lab.tell(1, installation(ORDER)).await;
    follower.lost(11);
    let mut follower = (follower, lab.app.events.subscribe());
    lab.at(4, &mut follower).await;
    assert_eq!(lab.lines("bootlane_boots_in_progress"), Vec::<String>::new(), "more may be lost");
    lab.at(5, &mut follower).await;
    assert_eq!(lab.lines("bootlane_boots_in_progress").len(), 1);
    lab.at(700, &mut follower).await;
    assert_eq!(lab.counted().len(), 1, "{:?}", lab.counted());
}

#[tokio::test]
async fn a_trace_has_a_span_for_each_stage_and_the_sentence_of_what_went_wrong() {
    let mut lab = Lab::new();
    lab.tell(1, installation(ORDER)).await;
    lab.tell(2, vec![(700, began()), (700, decided(Answer::Loader)), (701, leased())]).await;
    lab.clock.store(NOW.0 + 2_000 * SECOND, Ordering::Relaxed);
    let Explained { boot, diagnosis, .. } = lab.explained(1).await;
    let good = trace::trace(&boot, Some("web-1".into()), &diagnosis);
    assert_eq!((good.id, good.root.failed), ([1; 16], None));
    assert!(good.root.attributes.contains(&("bootlane.host", Value::Text("web-1".into()))));
    let names: Vec<_> = good.stages.iter().map(|stage| stage.name.to_string()).collect();
    assert_eq!(names.len(), diagnosis.stages.len());
    for name in ["rom-address", "loader", "script", "kernel", "answer-file", "installation"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    let Explained { boot, diagnosis, .. } = lab.explained(2).await;
    let bad = trace::trace(&boot, None, &diagnosis);
    let sentence = bad.root.failed.expect("it failed");
    assert_eq!(sentence, diagnosis.findings[0].sentence());
}

#[tokio::test]
async fn an_installation_is_of_the_family_that_its_order_installs() {
    let (mut lab, order) = Lab::furnished().await;
    let mut follower = lab.follower().await;
    lab.tell(1, installation(order)).await;
    // Its host's profile installs, which takes an order: this is a boot from the disk.
    lab.tell(2, vec![(700, began()), (700, decided(Answer::LocalDisk)), (701, leased())]).await;
    lab.at(800, &mut follower).await;
    let mut families: Vec<_> =
        lab.counted().iter().filter_map(|line| Some(line.split_once("family=")?.1.to_owned())).collect();
    families.sort();
    assert_eq!(families, ["\"debian\"} 1", "\"none\"} 1"], "{:?}", lab.counted());
    let Explained { boot, diagnosis, .. } = lab.explained(1).await;
    let trace = trace::trace(&boot, None, &diagnosis);
    assert!(trace.root.attributes.contains(&("bootlane.family", Value::Text("debian".into()))));
}

#[tokio::test]
async fn a_cause_that_events_alone_do_not_tell_is_counted_as_it_is_explained() {
    let (mut lab, _) = Lab::furnished().await;
    let mut follower = lab.follower().await;
    lab.tell(1, vec![(0, began()), (0, decided(Answer::Loader)), (1, leased())]).await;
    lab.at(200, &mut follower).await;
    let explained = lab.explained(1).await.diagnosis.cause().map(crate::diagnosis::Cause::word);
    assert_eq!(explained, Some("agent-away"), "its agent has no stream here");
    let counted = lab.counted();
    assert!(counted[0].contains("outcome=\"silent\",cause=\"agent-away\""), "{counted:?}");
    let mut inquiry = Inquiry::new(&lab.app);
    let host = lab.app.catalog.get_host("web-1").await.expect("readable").expect("there");
    let host = inquiry.host(crate::explain::Subject::Host(Box::new(host))).await.expect("readable");
    assert_eq!(host.boots[0].diagnosis.cause().map(crate::diagnosis::Cause::word), explained);
    let lines = crate::overview::lines(&lab.app, vec![host.boots[0].boot.clone()]).await.expect("readable");
    assert_eq!(lines[0].diagnosis, host.boots[0].diagnosis, "the page shows the same");
}

#[tokio::test]
async fn who_watches_is_told_of_a_silence_and_why() {
    let mut lab = Lab::new();
    let mut follower = lab.follower().await;
    let mut ears = Ears::new(&lab.app.events, Some(&lab.app.silences));
    lab.tell(1, vec![(0, began()), (0, decided(Answer::Loader)), (1, leased())]).await;
    lab.at(200, &mut follower).await;
    let heard: Vec<_> = [ears.next().await, ears.next().await, ears.next().await, ears.next().await]
        .map(|news| news.expect("all of it"))
        .into();
    let silences = heard.iter().filter_map(|news| match news {
        News::Silence(silence) => Some(silence),
        News::Event(_) => None,
    });
    let [silence] = &silences.collect::<Vec<_>>()[..] else { panic!("one of four: {heard:?}") };
    assert_eq!(silence.boot.attempt, AttemptId([1; 16]));
    assert_eq!(silence.diagnosis.cause(), lab.explained(1).await.diagnosis.cause());
}

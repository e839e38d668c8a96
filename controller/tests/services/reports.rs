//! Events on their way up: once, in order, acknowledged when they are stored and what they mean is recorded.

use std::time::Duration;

use controller::events::BootFilter;
use proto::event::{AlarmKind, Answer, Event, EventKind, NumberedEvent, OrderPhase};
use proto::{AttemptId, OrderId, Wall, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::harness::{Agent, Controller, Link, next, now};

pub(super) const ATTEMPT: AttemptId = AttemptId([5; 16]);

pub(super) fn event(number: u64, kind: EventKind) -> v1::NumberedEvent {
    let event = Event { at: Wall(number), attempt: Some(ATTEMPT), host: None, mac: None, kind };
    NumberedEvent { number, event }.into()
}

pub(super) fn decided() -> EventKind {
    EventKind::Decided { answer: Answer::Script, reason: "order".into(), order: None, because: None }
}

fn moved(order: OrderId, phase: OrderPhase) -> EventKind {
    EventKind::OrderMoved { order, number: 1, phase, reason: "the installer said so".into() }
}

pub(super) struct Stream {
    requests: mpsc::Sender<v1::ReportRequest>,
    answers: tonic::Streaming<v1::Acknowledged>,
}

impl Stream {
    pub(super) async fn open(agent: &Agent) -> Self {
        let (requests, stream) = mpsc::channel(4);
        let answers = agent.client().await.report(ReceiverStream::new(stream)).await.expect("a stream");
        Self { requests, answers: answers.into_inner() }
    }

    pub(super) async fn send(&self, report: v1::report_request::Report) {
        self.requests.send(v1::ReportRequest { report: Some(report) }).await.expect("open");
    }

    pub(super) async fn batch(&mut self, events: Vec<v1::NumberedEvent>) -> Result<u64, tonic::Status> {
        let batch = v1::EventBatch { incarnation: vec![7; 16].into(), events };
        self.send(v1::report_request::Report::Batch(batch)).await;
        let answer = next(&mut self.answers).await?.expect("an acknowledgement");
        assert_eq!(answer.incarnation, vec![7; 16]);
        Ok(answer.number)
    }
}

#[tokio::test]
async fn events_are_stored_once_however_often_they_come() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let mut stream = Stream::open(&agent).await;
    let batch = vec![event(1, decided()), event(2, decided())];
    assert_eq!(stream.batch(batch.clone()).await.expect("stored"), 2);
    assert_eq!(stream.batch(batch.clone()).await.expect("again"), 2);
    let controller = controller.restart().await;
    let agent = agent.at(&controller);
    let mut stream = Stream::open(&agent).await;
    assert_eq!(stream.batch(batch).await.expect("also after a restart"), 2);
    let events = controller.running.app.events.boot_events(ATTEMPT).await.expect("readable");
    assert_eq!(events.iter().map(|event| event.numbered.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((events[0].source.site.as_str(), events[0].source.agent.as_str()), ("lyon", "lyon-1"));
}

#[tokio::test]
async fn alarms_are_kept_with_their_site_once_however_often_their_batch_comes() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let alarm = |detail: &str| EventKind::Alarm { kind: AlarmKind::ForeignDhcp, detail: detail.into() };
    let batch = vec![event(1, alarm("10.1.0.9")), event(2, alarm("10.1.0.7")), event(3, alarm("10.1.0.9"))];
    let mut stream = Stream::open(&agent).await;
    stream.batch(batch.clone()).await.expect("stored");
    stream.batch(batch).await.expect("again");
    let catalog = &controller.running.app.catalog;
    let kept = catalog.alarms(Some("lyon")).await.expect("readable");
    let lines: Vec<_> = kept.iter().map(|(_, alarm)| (alarm.detail.as_str(), alarm.times)).collect();
    assert_eq!(lines, [("10.1.0.9", 2), ("10.1.0.7", 1)]);
    assert!(catalog.alarms(Some("nice")).await.expect("readable").is_empty());
}

#[tokio::test]
async fn an_order_follows_what_its_agent_reports_and_nobody_else() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let order = controller.order("web-1", "install").await;
    let stranger = controller.agent("nice", "nice-1").await;
    let id = OrderId::from(order.id().expect("it has one"));
    let app = &controller.running.app;
    let ended = async || {
        let order = app.catalog.get_order(&order.name).await.expect("readable").expect("there");
        order.status.map(|status| status["phase"].as_str().map(str::to_owned))
    };
    let mut other = Stream::open(&stranger).await;
    other.batch(vec![event(1, moved(id, OrderPhase::Installed))]).await.expect("stored");
    assert_eq!(ended().await, None, "another site's agent moves nothing");
    let mut stream = Stream::open(&agent).await;
    stream
        .batch(vec![event(1, moved(id, OrderPhase::Offered)), event(2, moved(id, OrderPhase::Started))])
        .await
        .expect("stored");
    assert_eq!(ended().await, None);
    stream.batch(vec![event(3, moved(id, OrderPhase::Installed))]).await.expect("stored");
    assert_eq!(ended().await, Some(Some("installed".into())), "before the acknowledgement");
    stream.batch(vec![event(1, moved(id, OrderPhase::Offered))]).await.expect("an old one");
    assert_eq!(ended().await, Some(Some("installed".into())), "it never goes back");
}

#[tokio::test]
async fn an_event_of_a_newer_agent_holds_up_nothing() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let mut stream = Stream::open(&agent).await;
    let unknown =
        v1::NumberedEvent { number: 2, event: Some(v1::Event { at_ms: 2, ..v1::Event::default() }) };
    let batch = vec![event(1, decided()), unknown, event(3, decided())];
    assert_eq!(stream.batch(batch).await.expect("stored"), 3);
}

#[tokio::test]
async fn metrics_that_cannot_be_taken_hold_up_nothing() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let mut stream = Stream::open(&agent).await;
    let metrics = v1::MetricsReport { gzip: b"no gzip".as_slice().into() };
    stream.send(v1::report_request::Report::Metrics(metrics)).await;
    assert_eq!(stream.batch(vec![event(1, decided())]).await.expect("stored"), 1);
}

#[tokio::test]
async fn a_batch_with_a_hole_is_refused_whole() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let mut stream = Stream::open(&agent).await;
    let status = stream.batch(vec![event(1, decided()), event(3, decided())]).await.expect_err("a hole");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(controller.running.app.events.boots(BootFilter::default()).await.expect("readable").is_empty());
}

#[tokio::test]
async fn what_an_agent_says_of_itself_is_its_status() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let mut follow = agent.follow(None).await;
    next(&mut follow).await.expect("a plan");
    let stream = Stream::open(&agent).await;
    let debian = v1::MirrorStatus { name: "debian".into(), wan_bytes: 7, ..v1::MirrorStatus::default() };
    let status = v1::AgentStatus {
        leases: 9,
        addresses: vec!["10.1.0.2\u{1b}[2J".into()],
        mirrors: vec![debian],
        ..v1::AgentStatus::default()
    };
    stream.send(v1::report_request::Report::Status(status)).await;
    let status =
        controller.wait_status("lyon-1", |status| status.leases == 9 && status.version == "test").await;
    assert_eq!((status.connected, status.addresses), (true, vec!["10.1.0.2[2J".to_owned()]));
    assert_eq!((status.mirrors[0].name.as_str(), status.mirrors[0].wan_bytes), ("debian", 7));
    drop((follow, stream));
    controller.wait_status("lyon-1", |status| !status.connected).await;
}

#[tokio::test]
async fn an_agent_behind_a_cut_link_is_away_and_was_last_heard_before_the_cut() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let controller = Controller::start_with(folder, "[limits]\nkeep_alive = \"1s\"\n").await;
    controller.furnish().await;
    let link = Link::to(controller.running.fleet).await;
    let agent = controller.agent("lyon", "lyon-1").await.through(link.address);
    let mut follow = agent.follow(None).await;
    let mut stream = Stream::open(&agent).await;
    next(&mut follow).await.expect("a plan");
    stream.batch(vec![event(1, decided())]).await.expect("stored");
    controller.wait_status("lyon-1", |status| status.connected).await;
    let cut = now();
    link.cut();
    let status = controller.wait_status("lyon-1", |status| !status.connected).await;
    let allowed = cut.plus(Duration::from_secs(1));
    assert!(status.last_contact_ms <= allowed, "{} after {}", status.last_contact_ms.0, cut.0);
    assert_eq!(controller.running.app.sessions.count("lyon-1"), 0);
    drop((follow, stream));
}

//! Boots, listed and watched as they come.

use proto::event::{Answer, Client, Event, EventKind, NumberedEvent, OrderPhase};
use proto::{AttemptId, Incarnation, Wall};

use super::*;
use crate::events::Source;

pub(super) fn boot_event(
    number: u64,
    attempt: AttemptId,
    host: proto::HostId,
    kind: EventKind,
) -> NumberedEvent {
    let event = Event { at: Wall(number), attempt: Some(attempt), host: Some(host), mac: None, kind };
    NumberedEvent { number, event }
}

fn leased() -> EventKind {
    let address = std::net::Ipv4Addr::new(10, 1, 0, 9);
    EventKind::Leased { address, until: NOW, client: Client::PxeRom }
}

fn moved(phase: OrderPhase) -> EventKind {
    EventKind::OrderMoved { order: proto::OrderId([4; 16]), number: 1, phase, reason: String::new() }
}

#[tokio::test]
async fn a_host_is_watched_across_attempts_until_its_system_is_up() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let found = lab.app.catalog.get_host("web-1").await.expect("read").expect("there");
    let id: proto::HostId = found.id().expect("stored").into();
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let recent = |number: u64, attempt: u8, kind| {
        let mut event = boot_event(number, AttemptId([attempt; 16]), id, kind);
        event.event.at = Wall(NOW.0 + number);
        event
    };
    let disk = || EventKind::Decided {
        answer: Answer::LocalDisk,
        reason: String::new(),
        order: None,
        because: None,
    };
    let append = async |events| {
        lab.app.events.append(&source, Incarnation([2; 16]), events).await.expect("stored");
    };
    // Long over, silent since long ago, and under way.
    let mut silent = recent(2, 2, disk());
    silent.event.at = Wall(NOW.0 - 2 * 3_600_000);
    append(vec![recent(1, 1, EventKind::OsUp { address: None }), silent]).await;
    append(vec![recent(3, 3, moved(OrderPhase::Offered)), recent(4, 3, moved(OrderPhase::Started))]).await;
    let request =
        v1::WatchBootsRequest { host: "web-1".into(), until_end: true, ..v1::WatchBootsRequest::default() };
    let mut watch = lab.client().watch_boots(by("viewer", request)).await.expect("known").into_inner();
    let mut expect = async |numbers: &[u64]| {
        for number in numbers {
            let event = watch.message().await.expect("open").expect("an event").event.expect("there");
            assert_eq!(event.number, *number);
        }
    };
    expect(&[3, 4]).await;
    // The installation ends its attempt, not the watch.
    append(vec![recent(5, 3, moved(OrderPhase::Installed))]).await;
    expect(&[5]).await;
    append(vec![recent(6, 6, disk()), recent(7, 6, leased())]).await;
    expect(&[6, 7]).await;
    append(vec![recent(8, 6, EventKind::OsUp { address: None })]).await;
    expect(&[8]).await;
    assert!(watch.message().await.expect("closed in order").is_none(), "the system is up");
}

#[tokio::test]
async fn a_host_whose_installation_fails_is_watched_no_further() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let found = lab.app.catalog.get_host("web-1").await.expect("read").expect("there");
    let id = found.id().expect("stored").into();
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let event = |number, phase| {
        let mut event = boot_event(number, AttemptId([3; 16]), id, moved(phase));
        event.event.at = NOW;
        event
    };
    let events = vec![event(1, OrderPhase::Offered), event(2, OrderPhase::Started)];
    lab.app.events.append(&source, Incarnation([2; 16]), events).await.expect("stored");
    let request =
        v1::WatchBootsRequest { host: "web-1".into(), until_end: true, ..v1::WatchBootsRequest::default() };
    let mut watch = lab.client().watch_boots(by("viewer", request)).await.expect("known").into_inner();
    for number in [1, 2] {
        assert_eq!(watch.message().await.expect("open").expect("an event").event.expect("it").number, number);
    }
    let failed = vec![event(3, OrderPhase::Failed)];
    lab.app.events.append(&source, Incarnation([2; 16]), failed).await.expect("stored");
    assert_eq!(watch.message().await.expect("open").expect("an event").event.expect("it").number, 3);
    assert!(watch.message().await.expect("closed in order").is_none());

    let nobody = v1::WatchBootsRequest { until_end: true, ..v1::WatchBootsRequest::default() };
    let status = lab.client().watch_boots(by("viewer", nobody)).await.expect_err("whose end?");
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["until_end".to_owned()]));
}

#[tokio::test]
async fn a_boot_is_watched_from_its_beginning_to_its_end() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let id =
        lab.app.catalog.get_host("web-1").await.expect("read").expect("there").id().expect("stored").into();
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let (attempt, journal) = (AttemptId([1; 16]), Incarnation([2; 16]));
    let progress = |number| {
        let kind = EventKind::Progress { percent: Some(7), text: "installing".into() };
        boot_event(number, attempt, id, kind)
    };
    lab.app.events.append(&source, journal, vec![progress(1), progress(2)]).await.expect("stored");
    let request = v1::WatchBootsRequest {
        attempt: attempt.to_wire(),
        until_end: true,
        ..v1::WatchBootsRequest::default()
    };
    let mut watch = lab.client().watch_boots(by("viewer", request)).await.expect("known").into_inner();
    for number in [1, 2] {
        let event = watch.message().await.expect("open").expect("an event");
        assert_eq!((event.event.expect("there").number, event.host.as_str()), (number, "web-1"));
    }
    let kind = EventKind::Decided {
        answer: Answer::LocalDisk,
        reason: "no order".into(),
        order: None,
        because: None,
    };
    let ended = [progress(3), boot_event(4, attempt, id, kind), boot_event(5, attempt, id, leased())];
    for event in ended {
        lab.app.events.append(&source, journal, vec![event]).await.expect("stored");
    }
    for number in [3, 4, 5] {
        assert_eq!(
            watch.message().await.expect("open").expect("an event").event.expect("there").number,
            number
        );
    }
    assert!(watch.message().await.expect("closed in order").is_none(), "the boot has ended");
    let request = v1::ListBootsRequest { host: "web-1".into(), ..v1::ListBootsRequest::default() };
    let boots = lab.client().list_boots(by("viewer", request)).await.expect("an answer").into_inner().boots;
    assert_eq!((boots.len(), boots[0].host.as_str(), boots[0].outcome.as_str()), (1, "web-1", "local disk"));
    let unknown = v1::WatchBootsRequest { attempt: vec![9; 16].into(), ..v1::WatchBootsRequest::default() };
    let status = lab.client().watch_boots(by("viewer", unknown)).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn new_events_are_watched_by_host_and_site() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1), host("web-2", 2)]).await.expect("new");
    let id = async |name: &str| -> proto::HostId {
        lab.app.catalog.get_host(name).await.expect("read").expect("there").id().expect("stored").into()
    };
    let (one, two) = (id("web-1").await, id("web-2").await);
    let request = v1::WatchBootsRequest { host: "web-2".into(), ..v1::WatchBootsRequest::default() };
    let mut watch = lab.client().watch_boots(by("viewer", request)).await.expect("known").into_inner();
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let progress = |number, host| {
        let kind = EventKind::Progress { percent: None, text: String::new() };
        boot_event(number, AttemptId([number as u8; 16]), host, kind)
    };
    // The watch has subscribed when its answer's head is here: until then events are sent again.
    let mut number = 0;
    let seen = loop {
        number += 2;
        let events = vec![progress(number - 1, one), progress(number, two)];
        lab.app.events.append(&source, Incarnation([2; 16]), events).await.expect("stored");
        let wait = std::time::Duration::from_millis(200);
        if let Ok(seen) = tokio::time::timeout(wait, watch.message()).await {
            break seen.expect("open").expect("an event");
        }
    };
    assert_eq!((seen.host.as_str(), seen.site.as_str()), ("web-2", "lyon"));
}

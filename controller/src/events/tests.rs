//! Events are stored once, in order, and folded into boots.

mod leases;

use proto::event::{Answer, Client, Event, EventKind, NumberedEvent};
use proto::{AttemptId, HostId, Incarnation, Mac, Wall};

use super::*;

fn source() -> Source {
    Source { site: "lyon".into(), agent: "lyon-1".into() }
}

const JOURNAL: Incarnation = Incarnation([7; 16]);

fn event(number: u64, attempt: u8, host: Option<u8>) -> NumberedEvent {
    let kind = EventKind::Decided {
        answer: Answer::LocalDisk,
        reason: "no order".into(),
        order: None,
        because: None,
    };
    let host = host.map(|id| HostId([id; 16]));
    let attempt = Some(AttemptId([attempt; 16]));
    NumberedEvent { number, event: Event { at: Wall(number), attempt, host, mac: Some(Mac([1; 6])), kind } }
}

fn gap(number: u64, last: u64) -> NumberedEvent {
    let kind = EventKind::Gap { first: number, last };
    NumberedEvent { number, event: Event { at: Wall(number), attempt: None, host: None, mac: None, kind } }
}

fn open(folder: &std::path::Path) -> EventStore {
    EventStore::open(
        folder,
        Tuning {
            attempts_per_machine: 3,
            attempts_of_strangers: 2,
            events_per_attempt: 4,
            ..Tuning::default()
        },
    )
    .expect("opens")
}

fn numbers(events: &[StoredEvent]) -> Vec<u64> {
    events.iter().map(|event| event.numbered.number).collect()
}

#[tokio::test]
async fn a_batch_that_comes_twice_is_stored_once() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    let mut news = store.subscribe();
    let batch = vec![event(1, 1, Some(1)), event(2, 1, Some(1))];
    assert_eq!(store.append(&source(), JOURNAL, batch.clone()).await, Ok(2));
    assert_eq!(store.append(&source(), JOURNAL, batch).await, Ok(2));
    assert_eq!(
        store.append(&source(), JOURNAL, vec![event(2, 1, Some(1)), event(3, 1, Some(1))]).await,
        Ok(3)
    );
    let events = store.boot_events(AttemptId([1; 16])).await.expect("readable");
    assert_eq!(numbers(&events), [1, 2, 3]);
    assert_eq!(events[0].source, source());
    for number in 1..=3 {
        assert_eq!(news.try_recv().expect("told").numbered.number, number);
    }
    assert!(news.try_recv().is_err(), "nothing is told twice");
    let boots = store.boots(BootFilter::default()).await.expect("readable");
    assert_eq!((boots.len(), boots[0].events, boots[0].outcome), (1, 3, Outcome::LocalDisk));
}

#[tokio::test]
async fn a_boot_is_read_on_from_where_it_was_left() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    let boot = AttemptId([1; 16]);
    let read = async |from| {
        let found = store.boot_from(boot, from).await.expect("readable");
        found.map(|found| (numbers(&found.events), found.next))
    };
    let append = async |number, attempt| {
        store.append(&source(), JOURNAL, vec![event(number, attempt, None)]).await.expect("stored");
    };
    assert_eq!(read(0).await, None);
    append(1, 1).await;
    append(2, 1).await;
    assert_eq!(read(0).await, Some((vec![1, 2], 2)));
    assert_eq!(read(2).await, Some((vec![], 2)));
    append(3, 1).await;
    assert_eq!(read(2).await, Some((vec![3], 3)));
    append(4, 2).await;
    append(5, 3).await;
    assert_eq!(read(3).await, None, "two attempts of strangers are kept");
    append(6, 1).await;
    assert_eq!(read(3).await, Some((vec![6], 1)), "it has begun anew");
}

#[tokio::test]
async fn journals_count_by_themselves() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    assert_eq!(store.append(&source(), JOURNAL, vec![event(1, 1, Some(1))]).await, Ok(1));
    assert_eq!(store.append(&source(), Incarnation([8; 16]), vec![event(1, 2, Some(1))]).await, Ok(1));
    let other = Source { site: "lyon".into(), agent: "lyon-2".into() };
    assert_eq!(store.append(&other, JOURNAL, vec![event(1, 3, Some(1))]).await, Ok(1));
    assert_eq!(store.boots(BootFilter::default()).await.expect("readable").len(), 3);
}

#[tokio::test]
async fn holes_are_taken_only_where_a_gap_names_them() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    let hole = store.append(&source(), JOURNAL, vec![event(1, 1, None), event(3, 1, None)]).await;
    assert_eq!(hole, Err(AppendError::Hole { after: 1, found: 3 }));
    assert_eq!(store.boots(BootFilter::default()).await, Ok(vec![]));
    let named = vec![event(1, 1, None), gap(2, 8), event(9, 1, None)];
    assert_eq!(store.append(&source(), JOURNAL, named).await, Ok(9));
    assert_eq!(
        store.append(&source(), JOURNAL, vec![gap(8, 12), event(13, 1, None)]).await,
        Ok(13),
        "it has grown"
    );
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    assert_eq!(
        store.append(&source(), JOURNAL, vec![event(1, 1, Some(1)), event(2, 1, Some(1))]).await,
        Ok(2)
    );
    store.close().await;
    assert_eq!(store.append(&source(), JOURNAL, vec![event(3, 1, None)]).await, Err(AppendError::Closed));
    drop(store);
    let store = open(folder.path());
    assert_eq!(numbers(&store.boot_events(AttemptId([1; 16])).await.expect("readable")), [1, 2]);
    assert_eq!(store.append(&source(), JOURNAL, vec![event(2, 1, Some(1))]).await, Ok(2));
    assert_eq!(store.boot_events(AttemptId([1; 16])).await.expect("readable").len(), 2);
}

#[tokio::test]
async fn after_a_failure_events_are_taken_again_once_the_store_opens() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    assert_eq!(store.append(&source(), JOURNAL, vec![event(1, 1, Some(1))]).await, Ok(1));
    assert!(store.takes_events().await);
    store.fail("the disk is full").await;
    let failed = store.append(&source(), JOURNAL, vec![event(2, 1, Some(1))]).await;
    assert_eq!(failed, Err(AppendError::Failed { cause: "the disk is full".into() }));
    assert!(store.boot_events(AttemptId([1; 16])).await.is_err(), "what it holds is not known");
    // sled lets go of its files in its own time.
    while !store.takes_events().await {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(store.append(&source(), JOURNAL, vec![event(2, 1, Some(1))]).await, Ok(2));
    assert_eq!(numbers(&store.boot_events(AttemptId([1; 16])).await.expect("readable")), [1, 2]);
}

/// A full disk, or the end of the process, while sled writes a snapshot.
#[tokio::test]
async fn an_unfinished_snapshot_of_sled_does_not_count() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    store.append(&source(), JOURNAL, vec![event(1, 1, Some(1))]).await.expect("stored");
    store.close().await;
    drop(store);
    std::fs::write(folder.path().join("db-1/snap.FFFFFFFFFFFFFFFF.generating"), "").expect("ours");
    let store = open(folder.path());
    assert_eq!(numbers(&store.boot_events(AttemptId([1; 16])).await.expect("readable")), [1]);
}

#[tokio::test]
async fn boots_are_listed_by_host_and_site_the_latest_first() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    let batch = vec![event(1, 1, Some(1)), event(2, 2, Some(2)), event(3, 3, Some(1))];
    store.append(&source(), JOURNAL, batch).await.expect("stored");
    let attempts = |filter: BootFilter| {
        let store = store.clone();
        async move {
            let boots = store.boots(filter).await.expect("readable");
            boots.iter().map(|boot| boot.attempt.0[0]).collect::<Vec<_>>()
        }
    };
    assert_eq!(attempts(BootFilter::default()).await, [3, 2, 1]);
    assert_eq!(attempts(BootFilter { limit: 1, ..BootFilter::default() }).await, [3]);
    assert_eq!(attempts(BootFilter { host: Some(HostId([1; 16])), ..BootFilter::default() }).await, [3, 1]);
    assert_eq!(attempts(BootFilter { site: Some("lyon".into()), ..BootFilter::default() }).await, [3, 2, 1]);
    assert_eq!(attempts(BootFilter { site: Some("nice".into()), ..BootFilter::default() }).await, [0u8; 0]);
    let elsewhere =
        BootFilter { host: Some(HostId([1; 16])), site: Some("nice".into()), ..BootFilter::default() };
    assert_eq!(attempts(elsewhere).await, [0u8; 0]);
    let batch = vec![event(4, 4, None), event(5, 5, None)];
    store.append(&source(), JOURNAL, batch).await.expect("stored");
    let stranger = |mac| BootFilter { stranger: Some(Mac([mac; 6])), ..BootFilter::default() };
    assert_eq!(attempts(stranger(1)).await, [5, 4], "while it was no host");
    assert_eq!(attempts(stranger(2)).await, [0u8; 0]);
}

#[tokio::test]
async fn history_is_bounded() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    for attempt in 1..=5 {
        let batch = vec![event(u64::from(attempt), attempt, Some(1))];
        store.append(&source(), JOURNAL, batch).await.expect("stored");
    }
    let boots = store.boots(BootFilter::default()).await.expect("readable");
    assert_eq!(boots.iter().map(|boot| boot.attempt.0[0]).collect::<Vec<_>>(), [5, 4, 3]);
    assert!(store.boot_events(AttemptId([1; 16])).await.expect("readable").is_empty());
    for attempt in 11..=14 {
        store
            .append(&source(), JOURNAL, vec![event(u64::from(attempt), attempt, None)])
            .await
            .expect("stored");
    }
    let strangers = store.boots(BootFilter::default()).await.expect("readable");
    assert_eq!(strangers.iter().filter(|boot| boot.host.is_none()).count(), 2);
    let many = (15..=25).map(|number| event(number, 20, Some(1))).collect();
    store.append(&source(), JOURNAL, many).await.expect("stored");
    assert_eq!(store.boot_events(AttemptId([20; 16])).await.expect("readable").len(), 4);
    assert_eq!(store.boot(AttemptId([20; 16])).await.expect("readable").expect("known").events, 11);
}

#[tokio::test]
async fn an_attempt_whose_host_is_learnt_later_is_listed_under_it_alone() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    let began = EventKind::AttemptBegan {
        platform: None,
        client: Client::PxeRom,
        vendor_class: String::new(),
        uuid: None,
        relay: None,
        architecture: None,
    };
    let mut first = event(1, 1, None);
    first.event.kind = began;
    store.append(&source(), JOURNAL, vec![first]).await.expect("stored");
    store.append(&source(), JOURNAL, vec![event(2, 1, Some(1))]).await.expect("stored");
    let boots = store.boots(BootFilter::default()).await.expect("readable");
    assert_eq!((boots.len(), boots[0].host), (1, Some(HostId([1; 16]))));
    let of_host = BootFilter { host: Some(HostId([1; 16])), ..BootFilter::default() };
    assert_eq!(store.boots(of_host).await.expect("readable").len(), 1);
}

#[tokio::test]
async fn appends_at_the_same_time_are_all_stored() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    let appends = (0..32u8).map(|agent| {
        let (store, source) = (store.clone(), Source { site: "lyon".into(), agent: format!("lyon-{agent}") });
        async move {
            store
                .append(&source, JOURNAL, vec![event(1, agent, Some(agent)), event(2, agent, Some(agent))])
                .await
        }
    });
    let answers = futures::future::join_all(appends).await;
    assert!(answers.iter().all(|answer| *answer == Ok(2)), "{answers:?}");
    assert_eq!(
        store.boots(BootFilter { limit: 100, ..BootFilter::default() }).await.expect("readable").len(),
        32
    );
}

//! Leases as events tell of them.

use std::net::Ipv4Addr;

use proto::event::LeaseEnd;

use super::*;

const NINE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
const TEN: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);

/// Events, numbered from `first`, at these times and of these machines.
fn batch(first: u64, events: Vec<(u64, u8, EventKind)>) -> Vec<NumberedEvent> {
    let numbered = |(number, (at, mac, kind))| {
        let (attempt, host, mac) = (None, Some(HostId([mac; 16])), Some(Mac([mac; 6])));
        NumberedEvent { number, event: Event { at: Wall(at), attempt, host, mac, kind } }
    };
    (first..).zip(events).map(numbered).collect()
}

fn leased(address: Ipv4Addr, until: u64) -> EventKind {
    EventKind::Leased { address, until: Wall(until), client: Client::Os }
}

fn ended(address: Ipv4Addr, how: LeaseEnd) -> EventKind {
    EventKind::LeaseEnded { address, how }
}

async fn standing(store: &EventStore, site: Option<&str>) -> Vec<LeaseEntry> {
    store.leases(site.map(str::to_owned), vec![], 100).await.expect("readable").leases
}

#[tokio::test]
async fn a_lease_stands_from_its_first_word_to_its_end() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    let renewed = EventKind::LeaseRenewed { address: NINE, until: Wall(200) };
    let events = batch(1, vec![(10, 1, leased(NINE, 100)), (20, 1, leased(NINE, 120)), (60, 1, renewed)]);
    store.append(&source(), JOURNAL, events.clone()).await.expect("stored");
    store.append(&source(), JOURNAL, events).await.expect("passed over");
    let [lease] = &standing(&store, Some("lyon")).await[..] else { panic!("one lease") };
    assert_eq!((lease.address, lease.mac, lease.host), (NINE, Mac([1; 6]), Some(HostId([1; 16]))));
    assert_eq!((lease.began_ms, lease.until_ms, lease.end), (Wall(10), Wall(200), None));
    assert!(standing(&store, Some("nice")).await.is_empty());

    // An end by time is about an address, not about a machine.
    let mut end = batch(4, vec![(200, 1, ended(NINE, LeaseEnd::Expired))]);
    (end[0].event.host, end[0].event.mac) = (None, None);
    store.append(&source(), JOURNAL, end).await.expect("stored");
    assert!(standing(&store, None).await.is_empty());
    let history = store.leases_of_address(vec!["lyon".into()], NINE, 10).await.expect("readable");
    let [former] = &history[..] else { panic!("one lease") };
    assert_eq!(former.end, Some(Ended { at_ms: Wall(200), how: End::Expired }));
    assert_eq!(store.leases_of_machines(vec![Mac([1; 6])], None, 10).await, Ok(history));
}

#[tokio::test]
async fn who_had_an_address_and_what_a_machine_had() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    let events = vec![
        (10, 1, leased(NINE, 100)),
        (20, 1, ended(NINE, LeaseEnd::Released)),
        (30, 2, leased(NINE, 130)),
        // Its end was left out.
        (40, 3, leased(NINE, 140)),
        (50, 1, leased(TEN, 150)),
    ];
    store.append(&source(), JOURNAL, batch(1, events)).await.expect("stored");
    let words = |leases: Vec<LeaseEntry>| -> Vec<_> {
        leases.iter().map(|lease| (lease.mac.0[0], lease.end.map(|end| end.how))).collect()
    };
    let sites = || vec!["lyon".to_owned(), "nice".to_owned()];
    let of_address = store.leases_of_address(sites(), NINE, 10).await.expect("readable");
    assert_eq!(words(of_address), [(3, None), (2, Some(End::Replaced)), (1, Some(End::Released))]);
    let of_machine = store.leases_of_machines(vec![Mac([1; 6])], None, 10).await.expect("readable");
    assert_eq!(of_machine.iter().map(|lease| lease.address).collect::<Vec<_>>(), [TEN, NINE]);
    assert_eq!(store.leases_of_address(sites(), NINE, 2).await.map(|found| found.len()), Ok(2));
    assert_eq!(store.lease("lyon".into(), TEN).await.map(|lease| lease.is_some()), Ok(true));
}

#[tokio::test]
async fn a_machine_s_leases_elsewhere_take_no_place_of_those_that_are_asked_for() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    for (site, at) in [("nice", 10), ("lyon", 20)] {
        let source = Source { site: site.into(), agent: format!("{site}-1") };
        let events = (1..=3).map(|n| (at, 1, leased([10, 1, 0, n].into(), 100))).collect();
        store.append(&source, JOURNAL, batch(1, events)).await.expect("stored");
    }
    let found = store.leases_of_machines(vec![Mac([1; 6])], Some("nice".into()), 2).await.expect("readable");
    assert_eq!(found.iter().map(|lease| lease.site.as_str()).collect::<Vec<_>>(), ["nice", "nice"]);
}

#[tokio::test]
async fn pages_meet_every_lease_once() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    for site in ["lyon", "nice", "oslo"] {
        let source = Source { site: site.into(), agent: format!("{site}-1") };
        let events = (1..=5).map(|n| (u64::from(n), n, leased([10, 1, 0, n].into(), 100))).collect();
        store.append(&source, JOURNAL, batch(1, events)).await.expect("stored");
    }
    for (site, all) in [(None, 15), (Some("nice".to_owned()), 5)] {
        let (mut found, mut after) = (vec![], vec![]);
        loop {
            let page = store.leases(site.clone(), after, 2).await.expect("readable");
            assert!(page.leases.len() <= 2);
            found.extend(page.leases.into_iter().map(|lease| (lease.site, lease.address)));
            let Some(next) = page.next else { break };
            after = next;
        }
        assert_eq!(found.len(), all);
        assert!(found.is_sorted(), "{found:?}");
    }
}

#[tokio::test]
async fn of_each_site_a_bounded_number_is_kept() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let tuning = Tuning { leases_per_site: 3, ended_leases_per_site: 2, ..Tuning::default() };
    for restart in 0..2 {
        let store = EventStore::open(folder.path(), tuning).expect("opens");
        for n in 1..=6_u8 {
            let at = u64::from(n) + restart * 100;
            let events = vec![
                (at, n, leased(NINE, 1_000)),
                (at, n, ended(NINE, LeaseEnd::Released)),
                (at, n, leased([10, 2, 0, n].into(), 1_000)),
            ];
            let first = (restart * 6 + u64::from(n) - 1) * 3 + 1;
            store.append(&source(), JOURNAL, batch(first, events)).await.expect("stored");
        }
        let history = store.leases_of_address(vec!["lyon".into()], NINE, 100).await.expect("readable");
        assert_eq!(history.iter().map(|lease| lease.mac.0[0]).collect::<Vec<_>>(), [6, 5], "the latest stay");
        assert_eq!(standing(&store, None).await.len(), 3);
        let forgotten = store.leases_of_machines(vec![Mac([1; 6])], None, 100).await.expect("readable");
        assert!(forgotten.is_empty(), "{forgotten:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn what_is_unreadable_of_a_lease_holds_no_event_up() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = open(folder.path());
    store.append(&source(), JOURNAL, batch(1, vec![(10, 1, leased(NINE, 100))])).await.expect("stored");
    store.close().await;
    let db = crate::database::open(&folder.path().join("db-1")).expect("opens");
    db.insert(key::lease("lyon", NINE), b"{").expect("written");
    db.flush().expect("flushed");
    drop(db);

    let store = open(folder.path());
    let events = batch(2, vec![(20, 2, leased(NINE, 120)), (30, 2, ended(NINE, LeaseEnd::Released))]);
    assert_eq!(store.append(&source(), JOURNAL, events).await, Ok(3));
    let history = store.leases_of_machines(vec![Mac([2; 6])], None, 10).await.expect("readable");
    assert_eq!(history.iter().map(|lease| lease.began_ms).collect::<Vec<_>>(), [Wall(20)]);
}

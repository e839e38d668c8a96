//! Leases: what agents told of them, and an address that an operator frees.

use std::net::Ipv4Addr;

use controller::catalog::ChangeError;
use controller::catalog::roles::Actor;
use proto::catalog::Role;
use proto::event::{Client, Event, EventKind, LeaseEnd, NumberedEvent, OrderPhase};
use proto::{LeaseRelease, Mac, OrderId, Wall, v1};
use tonic::Code;
use tonic::transport::Channel;

use super::harness::{Agent, Controller, next, now, operator};
use super::reports::Stream;

type Admin = v1::admin_client::AdminClient<Channel>;

const NINE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
/// Of `web-1`.
const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);

async fn admin(controller: &Controller) -> Admin {
    let file = controller.folder.path().join("state").join(controller::ADMIN_CREDENTIAL);
    operator(&file, controller.running.fleet).await
}

fn event(number: u64, kind: EventKind) -> v1::NumberedEvent {
    let event = Event { at: now(), attempt: None, host: None, mac: Some(MAC), kind };
    NumberedEvent { number, event }.into()
}

fn leased(until: Wall) -> EventKind {
    EventKind::Leased { address: NINE, until, client: Client::Os }
}

fn soon() -> Wall {
    now().plus(std::time::Duration::from_secs(3_600))
}

async fn list(client: &mut Admin) -> Vec<v1::LeaseEntry> {
    let request = v1::ListLeasesRequest { site: "lyon".into(), ..v1::ListLeasesRequest::default() };
    client.list_leases(request).await.expect("readable").into_inner().leases
}

async fn release(client: &mut Admin, address: Ipv4Addr) -> Result<v1::LeaseEntry, tonic::Status> {
    let request = v1::ReleaseLeaseRequest { site: "lyon".into(), address: address.to_bits() };
    client.release_lease(request).await.map(|answer| answer.into_inner().lease.expect("the lease"))
}

/// The next address that the agent is to free.
async fn wanted(follow: &mut tonic::Streaming<v1::Update>) -> LeaseRelease {
    loop {
        let update = next(follow).await.expect("open").expect("an update");
        if let Some(v1::update::Change::Release(release)) = update.change {
            return release.try_into().expect("legal");
        }
    }
}

async fn with_a_lease(controller: &Controller) -> (Agent, Stream) {
    let agent = controller.agent("lyon", "lyon-1").await;
    let mut stream = Stream::open(&agent).await;
    stream.batch(vec![event(1, leased(soon()))]).await.expect("stored");
    (agent, stream)
}

#[tokio::test]
async fn an_address_is_freed_by_its_agent_whenever_that_is_there() {
    let controller = Controller::with_lyon().await;
    let (agent, stream) = with_a_lease(&controller).await;
    let mut client = admin(&controller).await;
    let [lease] = &list(&mut client).await[..] else { panic!("one lease") };
    let shown = (lease.host.as_str(), lease.network.as_str(), lease.state.as_str(), lease.as_of_ms);
    assert_eq!(shown, ("web-1", "10.1.0.0/24", "leased", 0));
    drop(stream);

    // Nobody follows: it is kept, also over a restart, and told to each who comes until it is answered.
    release(&mut client, NINE).await.expect("wanted");
    let controller = controller.restart().await;
    let (agent, mut client) = (agent.at(&controller), admin(&controller).await);
    assert_eq!(list(&mut client).await[0].state, "releasing");
    let told = wanted(&mut agent.follow(None).await).await;
    let mut follow = agent.follow(None).await;
    assert_eq!(wanted(&mut follow).await, told);
    assert_eq!((told.address, told.mac), (NINE, MAC));

    let mut stream = Stream::open(&agent).await;
    let ended = EventKind::LeaseEnded { address: NINE, how: LeaseEnd::Operator };
    let answered = EventKind::LeaseReleaseAnswered { release: told.id, address: NINE, refused: None };
    stream.batch(vec![event(2, ended), event(3, answered)]).await.expect("stored");
    assert!(list(&mut client).await.is_empty());
    assert!(controller.running.app.catalog.releases("lyon").await.expect("readable").is_empty());
    for of in [
        v1::lease_history_request::Of::Address(NINE.to_bits()),
        v1::lease_history_request::Of::Mac(MAC.0.to_vec().into()),
        v1::lease_history_request::Of::Host("web-1".into()),
    ] {
        let request = v1::LeaseHistoryRequest { of: Some(of), ..v1::LeaseHistoryRequest::default() };
        let history = client.lease_history(request).await.expect("readable").into_inner().leases;
        assert_eq!(
            history.iter().map(|lease| lease.state.as_str()).collect::<Vec<_>>(),
            ["released by operator"]
        );
    }

    // While somebody follows, it is told at once.
    stream.batch(vec![event(4, leased(soon()))]).await.expect("stored");
    release(&mut client, NINE).await.expect("wanted");
    assert_ne!(wanted(&mut follow).await.id, told.id);
    let log = controller.running.app.catalog.audit_log(None, 2).await.expect("readable");
    let line = &log[0];
    assert_eq!((line.actor.as_str(), line.change.action.as_str()), ("operator/admin", "release-lease"));
    assert_eq!(line.change.detail, format!("{NINE} of {MAC}"));
}

#[tokio::test]
async fn why_an_agent_did_not_free_an_address_stays_with_the_lease() {
    let controller = Controller::with_lyon().await;
    let (agent, mut stream) = with_a_lease(&controller).await;
    let mut client = admin(&controller).await;
    let mut follow = agent.follow(None).await;
    release(&mut client, NINE).await.expect("wanted");
    let told = wanted(&mut follow).await;
    let refused = Some("an installation runs under it".to_owned());
    let answered = EventKind::LeaseReleaseAnswered { release: told.id, address: NINE, refused };
    stream.batch(vec![event(2, answered)]).await.expect("stored");

    let controller = controller.restart().await;
    let (agent, mut client) = (agent.at(&controller), admin(&controller).await);
    let shown = list(&mut client).await.remove(0);
    let expected = ("leased", "an installation runs under it");
    assert_eq!((shown.state.as_str(), shown.release_refused.as_str()), expected);
    assert!(controller.running.app.catalog.releases("lyon").await.expect("readable").is_empty());
    // The next wish is another, and is told with its time.
    let mut follow = agent.follow(None).await;
    release(&mut client, NINE).await.expect("wanted");
    let next = wanted(&mut follow).await;
    assert!(next.id != told.id && next.at > told.at, "{next:?} after {told:?}");
    let shown = list(&mut client).await.remove(0);
    assert_eq!((shown.state.as_str(), shown.release_refused.as_str()), ("releasing", ""));
}

#[tokio::test]
async fn what_is_known_of_an_agent_that_is_away_says_as_of_when() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let follow = agent.follow(None).await;
    let mut stream = Stream::open(&agent).await;
    stream.batch(vec![event(1, leased(Wall(now().0 - 1)))]).await.expect("stored");
    let mut client = admin(&controller).await;
    assert_eq!(list(&mut client).await[0].state, "leased", "its agent would have told of its end");
    // Renewals are told within the hour: no agent holds this one any more.
    let lost = Wall(now().0 - 3_600_001);
    stream.batch(vec![event(2, leased(lost))]).await.expect("stored");
    let lease = list(&mut client).await.remove(0);
    assert_eq!((lease.state.as_str(), lease.as_of_ms), ("unknown", 0));
    drop((follow, stream));
    let heard = controller.wait_status("lyon-1", |status| !status.connected).await.last_contact_ms;
    let lease = list(&mut client).await.remove(0);
    assert_eq!((lease.state.as_str(), lease.as_of_ms), ("unknown", heard.0));
}

#[tokio::test]
async fn what_may_not_be_freed_is_refused_and_says_why() {
    let controller = Controller::with_lyon().await;
    let (_agent, mut stream) = with_a_lease(&controller).await;
    let mut client = admin(&controller).await;
    let status = release(&mut client, Ipv4Addr::new(10, 1, 0, 8)).await.expect_err("nobody's");
    assert_eq!(
        (status.code(), status.message()),
        (Code::NotFound, "no lease of 10.1.0.8 is known at site lyon")
    );

    let catalog = &controller.running.app.catalog;
    let nice = Actor { name: "nina".into(), role: Role::Operator, sites: vec!["nice".into()] };
    let denied = catalog.release(&nice, "lyon", (NINE, MAC), now()).await.expect_err("another site's");
    assert!(matches!(denied, ChangeError::Denied(_)), "{denied}");

    let order = controller.order("web-1", "install").await;
    let id = OrderId::from(order.id().expect("it has one"));
    let reason = "the answer file was fetched".to_owned();
    let started = EventKind::OrderMoved { order: id, number: 1, phase: OrderPhase::Started, reason };
    stream.batch(vec![event(2, started)]).await.expect("stored");
    let status = release(&mut client, NINE).await.expect_err("an installer has it");
    assert_eq!(status.code(), Code::FailedPrecondition);
    let text = format!("order {} has started: web-1 is being installed at {NINE}", order.name);
    assert_eq!(status.message(), text);
    assert!(catalog.releases("lyon").await.expect("readable").is_empty());
}

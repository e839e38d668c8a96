//! ShowBoot and ExplainHost.

use proto::event::{Answer, Because, Client, EventKind};
use proto::plan::Stage;
use proto::{AttemptId, HostId, Incarnation, Mac, Platform, Wall};

use super::boots::boot_event;
use super::*;
use crate::catalog::keys;
use crate::diagnosis::Cause;
use crate::events::Source;
use crate::store::Txn;

const ATTEMPT: AttemptId = AttemptId([1; 16]);
/// Two hours before [`NOW`].
const BEGAN: u64 = NOW.0 - 7_200_000;

/// A host whose ROM took an address two hours ago and then asked for nothing.
async fn stuck() -> (Lab, HostId) {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let found = lab.app.catalog.get_host("web-1").await.expect("read").expect("there");
    let id: HostId = found.id().expect("stored").into();
    let began = EventKind::AttemptBegan {
        platform: Some(Platform::UefiX64),
        client: Client::PxeRom,
        vendor_class: String::new(),
        uuid: None,
        relay: None,
        architecture: Some(7),
    };
    let address = std::net::Ipv4Addr::new(10, 1, 0, 9);
    let leased = EventKind::Leased { address, until: Wall(u64::MAX), client: Client::PxeRom };
    store(&lab, id, vec![began, leased]).await;
    // Its agent was heard until now, so that the silence is the machine's.
    let status = proto::catalog::AgentStatus { last_contact_ms: NOW, ..Default::default() };
    let key = keys::status(proto::catalog::Kind::Agent, "edge-1").expect("a name");
    let json = serde_json::to_vec(&status).expect("plain fields");
    lab.app.store.txn(Txn::new().put(key, json)).await.expect("written");
    (lab, id)
}

async fn store(lab: &Lab, host: HostId, kinds: Vec<EventKind>) {
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let event = |(number, kind)| {
        let mut event = boot_event(number, ATTEMPT, host, kind);
        event.event.at = Wall(BEGAN + number * 1_000);
        event
    };
    let events = (1..).zip(kinds).map(event).collect();
    lab.app.events.append(&source, Incarnation([2; 16]), events).await.expect("stored");
}

fn of_host(name: &str) -> v1::ExplainHostRequest {
    v1::ExplainHostRequest { host: name.into(), ..v1::ExplainHostRequest::default() }
}

fn of_machine(mac: Mac) -> v1::ExplainHostRequest {
    v1::ExplainHostRequest { mac: mac.0.to_vec().into(), ..v1::ExplainHostRequest::default() }
}

#[tokio::test]
async fn a_boot_is_shown_with_its_stages_and_what_is_wrong_with_it() {
    let (lab, _) = stuck().await;
    let request = v1::ShowBootRequest { attempt: ATTEMPT.to_wire() };
    let shown = lab.client().show_boot(by("viewer", request)).await.expect("there").into_inner();
    let boot = shown.boot.expect("there");
    let stages: Vec<_> = boot.stages.iter().map(|stage| (stage.step.as_str(), stage.end.as_str())).collect();
    assert_eq!(stages, [("rom-address", "done")]);
    let causes: Vec<_> = boot.findings.iter().map(|finding| finding.cause.as_str()).collect();
    assert_eq!((causes, boot.standing.as_str()), (vec!["nothing-asked"], "silent"));
    assert_eq!((boot.firmware.as_str(), shown.events.len()), ("uefi-x64", 2));
    assert!(boot.findings[0].sentence.starts_with("Its ROM took the address 10.1.0.9"), "{boot:?}");
    let unknown = v1::ShowBootRequest { attempt: vec![9; 16].into() };
    let status = lab.client().show_boot(by("viewer", unknown)).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_list_says_what_keeps_each_from_booting_if_it_is_asked() {
    let (lab, _) = stuck().await;
    let list = async |explain| {
        let request = v1::ListBootsRequest { explain, ..v1::ListBootsRequest::default() };
        let boots = lab.client().list_boots(by("viewer", request)).await.expect("read").into_inner().boots;
        (boots[0].cause.clone(), boots[0].standing.clone())
    };
    assert_eq!(list(true).await, ("nothing-asked".to_owned(), "silent".to_owned()));
    assert_eq!(list(false).await, (String::new(), String::new()));
}

#[tokio::test]
async fn who_asks_for_silences_is_told_of_them_and_why() {
    let (lab, id) = stuck().await;
    let watch = async |silences| {
        let request =
            v1::WatchBootsRequest { host: "web-1".into(), silences, ..v1::WatchBootsRequest::default() };
        lab.client().watch_boots(by("viewer", request)).await.expect("known").into_inner()
    };
    let (mut asked, mut other) = (watch(true).await, watch(false).await);
    let mut inquiry = crate::explain::Inquiry::new(&lab.app);
    let explained = inquiry.attempt(ATTEMPT).await.expect("readable").expect("there");
    lab.app.silences.tell(&explained.boot, &explained.diagnosis);
    let told = asked.message().await.expect("open").expect("told");
    let silence = told.silence.expect("it is one");
    let boot = silence.boot.expect("whose");
    assert_eq!((boot.host.as_str(), told.site.as_str(), told.event), ("web-1", "lyon", None));
    assert_eq!((boot.cause.as_str(), boot.step.as_str()), ("nothing-asked", "rom-address"));
    assert!(silence.sentence.starts_with("Its ROM took the address 10.1.0.9"), "{}", silence.sentence);
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let event = boot_event(3, ATTEMPT, id, EventKind::OsUp { address: None });
    lab.app.events.append(&source, Incarnation([2; 16]), vec![event]).await.expect("stored");
    let next = other.message().await.expect("open").expect("told");
    assert!(next.silence.is_none() && next.event.is_some(), "an older program would not know what that is");
}

#[tokio::test]
async fn a_host_is_explained_by_its_name_and_by_its_address() {
    let (lab, _) = stuck().await;
    let explain =
        async |request| lab.client().explain_host(by("viewer", request)).await.expect("known").into_inner();
    let by_name = explain(of_host("web-1")).await;
    assert_eq!((by_name.host.as_str(), by_name.site.as_str()), ("web-1", "lyon"));
    assert_eq!(by_name.findings[0].cause, "nothing-asked");
    assert_eq!(by_name.answer, by_name.findings[0].sentence);
    assert_eq!((by_name.given.as_str(), by_name.boots.len()), ("its local disk", 1));
    let mac = Mac(by_name.mac.as_ref().try_into().expect("six bytes"));
    assert_eq!(explain(of_machine(mac)).await, by_name);
    let stranger = explain(of_machine(Mac([2, 9, 9, 9, 9, 9]))).await;
    assert_eq!((stranger.host.as_str(), stranger.findings[0].cause.as_str()), ("", "unknown-machine"));
    let status = lab.client().explain_host(by("viewer", of_host("web-9"))).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
    let nobody = lab.client().explain_host(by("nobody", of_host("web-1"))).await.expect_err("no operator");
    assert_eq!(nobody.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn other_machines_and_refused_requests_are_evidence() {
    let (lab, id) = stuck().await;
    lab.apply(&[host("web-2", 2)]).await.expect("new");
    let found = lab.app.catalog.get_host("web-2").await.expect("read").expect("there");
    let other: HostId = found.id().expect("stored").into();
    let refused = EventKind::FileRefused {
        transport: proto::event::Transport::Tftp,
        name: "pxelinux.0".into(),
        why: "no such loader".into(),
        refusal: Some(proto::event::Refusal::NoSuchFile),
        by_token: false,
    };
    let address = std::net::Ipv4Addr::new(10, 1, 0, 8);
    let leased = EventKind::Leased { address, until: Wall(u64::MAX), client: Client::PxeRom };
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let event = |(number, kind)| {
        let mut event = boot_event(number, AttemptId([2; 16]), other, kind);
        event.event.mac = Some(Mac([2, 0, 0, 0, 0, 2]));
        event.event.at = Wall(BEGAN + number * 1_000);
        event
    };
    let events = (3..).zip([leased, refused]).map(event).collect();
    lab.app.events.append(&source, Incarnation([2; 16]), events).await.expect("stored");
    let explain = async |name| {
        lab.client().explain_host(by("viewer", of_host(name))).await.expect("known").into_inner()
    };
    let stuck = explain("web-1").await.findings.remove(0);
    let expected = "0 of 1 other machine heard here last fetched a loader from the agent";
    assert_eq!(
        (stuck.evidence, stuck.meaning.as_str()),
        (vec![expected.to_owned()], Cause::NothingAsked.meaning())
    );
    let boots = explain("web-2").await.boots;
    assert_eq!((boots[0].refusals.len(), boots[0].refusals[0].host.as_str()), (1, "web-2"));
    assert_ne!(id, other);
}

#[tokio::test]
async fn a_host_whose_last_boot_was_well_has_nothing_wrong_with_it() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let found = lab.app.catalog.get_host("web-1").await.expect("read").expect("there");
    let served = EventKind::FileServed {
        transport: proto::event::Transport::Http,
        stage: Stage::Kernel,
        name: "linux".into(),
        bytes: 1,
        took_ms: 1,
        retransmissions: 0,
        repeats: 0,
    };
    let (answer, because) = (Answer::Script, Some(Because::Profile));
    let decided = EventKind::Decided { answer, reason: String::new(), order: None, because };
    let up = EventKind::OsUp { address: None };
    store(&lab, found.id().expect("stored").into(), vec![decided, served, up]).await;
    let explained =
        lab.client().explain_host(by("viewer", of_host("web-1"))).await.expect("known").into_inner();
    assert_eq!(explained.findings, []);
    assert!(explained.answer.starts_with("Nothing is wrong"), "{}", explained.answer);
}

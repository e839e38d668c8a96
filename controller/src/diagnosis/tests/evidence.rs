//! What tells a cause from others, and what a finding leaves no room for.

use std::net::Ipv4Addr;

use proto::event::{Breakage, Client, EventKind, OrderPhase, Refusal, Transport};
use proto::plan::Stage;
use proto::{Platform, Wall};

use super::super::{BootFacts, Cause, Context, Neighbour, OrderFacts, OrderState, Rom, Step, expect};
use super::golden::{BEGAN, Story};
use super::{diagnosed, examples};

/// Another machine with the firmware of [`Story::pxe`], heard at [`BEGAN`].
fn neighbour(seen: &[Step]) -> Neighbour {
    Neighbour {
        name: "web-2".into(),
        last: BEGAN,
        rom: Rom { platform: Some(Platform::UefiX64), class: "PXEClient:Arch:00007".into() },
        relay: None,
        leased: true,
        seen: seen.to_vec(),
        awake: false,
        loader: None,
    }
}

fn beside(neighbours: Vec<Neighbour>) -> Context {
    Context { neighbours, ..Context::default() }
}

/// The only finding of a story, two hours later.
fn only(story: &Story, context: Context) -> (String, Vec<String>) {
    let mut findings = diagnosed(story, 7_200, context).findings;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let found = findings.remove(0);
    (found.likely, found.evidence)
}

fn alone(cause: Cause) {
    let found: Vec<_> = examples::of(cause).iter().map(|finding| finding.cause).collect();
    assert_eq!(found, [cause]);
}

#[test]
fn what_cannot_be_the_cause_beside_another_is_not_told() {
    for cause in [
        Cause::AgentAway,
        Cause::DhcpOff,
        Cause::WrongLoader,
        Cause::AnswerRefused,
        Cause::AddressInUse,
        Cause::ForeignOfferTaken,
        Cause::BlockTooLarge,
        Cause::StuckRetransmitting,
        Cause::StoppedAtSizeProbe,
    ] {
        alone(cause);
    }
    let why = |phase| {
        let refused = EventKind::FileRefused {
            transport: Transport::Http,
            name: "o/.../preseed.cfg".into(),
            why: "the order is expired".into(),
            refusal: Some(Refusal::OrderEnded),
            by_token: true,
        };
        let story = Story::pxe().handed_over().moved(phase, "").then(refused);
        diagnosed(&story, 7_200, Context::default()).findings.into_iter().map(|found| found.cause).collect()
    };
    let found: Vec<_> = why(OrderPhase::Expired);
    assert_eq!(found, [Cause::AnswerRefused], "an order that ended is why its file was refused");
}

#[test]
fn firmware_alike_that_fetches_shows_that_the_reply_is_understood() {
    let story = Story::pxe().leased();
    let (likely, evidence) = only(&story, beside(vec![neighbour(&[Step::RomAddress, Step::Loader])]));
    assert!(likely.contains("firmware like it understands the agent's reply"), "{likely}");
    assert_eq!(
        evidence,
        ["web-2, whose ROM says the same of itself, fetched its loader by the same kind of OFFER 2 h ago"]
    );
    let rom = Rom { platform: Some(Platform::UefiX64), class: "another's".into() };
    let (likely, evidence) = only(&story, beside(vec![Neighbour { rom, ..neighbour(&[Step::Loader]) }]));
    assert!(likely.contains("or its firmware does not understand"), "{likely}");
    let expected =
        "1 of 1 other machine heard here last fetched a loader from the agent, the latest web-2, 2 h ago";
    assert_eq!(evidence, [expected]);
    let relay = Some(Ipv4Addr::new(10, 2, 0, 1));
    let (_, evidence) = only(&story, beside(vec![Neighbour { relay, ..neighbour(&[Step::Loader]) }]));
    assert_eq!(evidence, ["no other machine was heard here in the last day"], "another way tells nothing");
}

#[test]
fn who_asks_again_after_an_offer_was_not_reached_by_it() {
    let once = Story::pxe().offered(Client::PxeRom, "ipxe.efi");
    let foreign_servers = vec!["10.1.0.3 gives addresses".to_owned()];
    let (likely, _) = only(&once, Context::default());
    assert!(likely.contains("or it was turned off"), "{likely}");
    let again = once.offered(Client::PxeRom, "ipxe.efi");
    let (likely, evidence) =
        only(&again, Context { foreign_servers, ..beside(vec![neighbour(&[Step::RomAddress])]) });
    assert_eq!(likely, "the agent's OFFERs do not reach it, for it asks again after each");
    assert!(
        evidence[0].contains("1 of 1 other machine heard here last accepted the agent's OFFER"),
        "{evidence:?}"
    );
    assert!(evidence[1].contains("no REQUEST of this machine to it"), "{evidence:?}");
}

#[test]
fn who_asks_for_an_address_that_it_may_not_have_is_told_why() {
    let (address, client) = (Ipv4Addr::new(10, 1, 0, 7), Client::PxeRom);
    let why = "it is leased to 02:00:00:00:00:77, host web-2";
    let refused = EventKind::AddressRefused { address, client, told: false, why: why.into() };
    let story = Story::pxe().offered(client, "ipxe.efi").then(refused);
    let found = diagnosed(&story, 7_200, Context::default()).findings.remove(0);
    assert_eq!((found.cause, found.likely.as_str()), (Cause::OfferNotTaken, why));
    assert!(found.stopped_at.contains("10.1.0.7"), "{}", found.stopped_at);
}

#[test]
fn an_order_that_was_just_made_is_no_silence() {
    let order = OrderFacts {
        name: "web-1-3".into(),
        number: 3,
        state: OrderState::Armed,
        profile: "web".into(),
        agent: "lyon-1".into(),
        since: BEGAN,
        not_after: Wall(BEGAN.0 + 7_200_000),
    };
    let host = Some(super::super::HostFacts { name: "web-1".into(), locked: false, has_address: false });
    let after = |seconds: u64, last: u64| {
        let now = Wall(BEGAN.0 + seconds * 1_000);
        let other = Neighbour { last: Wall(BEGAN.0 + last * 1_000), ..neighbour(&[]) };
        let (order, host) = (Some(order.clone()), host.clone());
        expect(&Context { order, host, neighbours: vec![other], ..Context::at(now) })
    };
    assert_eq!(after(89, 0), []);
    let heard = after(90, 30).remove(0);
    assert_eq!(
        heard.evidence,
        ["the agent hears others: one other machine since the order was made, the last web-2, 60 s ago"]
    );
    let unheard = Neighbour { last: Wall(BEGAN.0 - 1), ..neighbour(&[]) };
    let deaf = Context {
        neighbours: vec![unheard],
        order: Some(order),
        host,
        ..Context::at(Wall(BEGAN.0 + 90_000))
    };
    assert_eq!(
        expect(&deaf)[0].evidence,
        ["the agent has heard no other machine at this site since the order was made either"]
    );
}

#[test]
fn a_system_that_runs_from_the_network_need_not_ask_for_an_answer_file() {
    let story = Story::pxe().handed_over().leased_to(Client::Os);
    let boots = |installs| Some(BootFacts { installs, ..BootFacts::default() });
    let found = |installs| {
        let context = Context { boots: boots(installs), ..Context::default() };
        diagnosed(&story, 7_200, context).cause()
    };
    assert_eq!((found(true), found(false)), (Some(Cause::NoAnswerAsked), None));
}

#[test]
fn a_loop_is_judged_by_where_each_attempt_ends() {
    let likely = |story: Story| {
        let former = (1..=3_u64).map(|number| {
            let began_ms = Wall(BEGAN.0 - number * 60_000);
            crate::events::BootSummary { began_ms, last_ms: Wall(began_ms.0 + 10_000), ..story.boot() }
        });
        let context = Context { former: former.collect(), ..Context::default() };
        let found = diagnosed(&story, 7_200, context).findings.pop().expect("it loops");
        assert_eq!(found.cause, Cause::Loops);
        (found.likely, found.evidence)
    };
    let (system, evidence) = likely(Story::pxe().handed_over());
    assert!(system.contains("resets it"), "{system}");
    let expected = [
        "each attempt before it came as far as this: initrd",
        "each began 50 s after the last word of the one before",
    ];
    assert_eq!(evidence, expected);
    assert!(likely(Story::pxe().leased()).0.contains("gives up and tries again"));
}

#[test]
fn advice_belongs_to_what_was_seen() {
    let remedy = |story: &Story| diagnosed(story, 7_200, Context::default()).findings.remove(0).remedy;
    let late = Story::pxe()
        .installing()
        .moved(OrderPhase::Failed, "the installer did not say that it had ended within 60 minutes");
    assert!(remedy(&late).contains("install_time"));
    for story in [
        Story::pxe().installing().moved(OrderPhase::Failed, "no disk"),
        Story::pxe().installing().moved(OrderPhase::Revoked, "it is no longer in the plan"),
        Story::pxe().handed_over().moved(OrderPhase::Expired, "no installation started in time"),
    ] {
        assert!(!remedy(&story).contains("install_time"), "{}", remedy(&story));
    }
}

#[test]
fn a_machine_is_a_neighbour_by_what_its_events_tell() {
    let story = Story::pxe().installing();
    let found = Neighbour::of("web-2".into(), BEGAN, &story.events);
    assert!(found.leased && found.awake && found.seen.contains(&Step::AnswerFile), "{found:?}");
    assert_eq!((found.loader.as_deref(), found.rom), (Some("ipxe.efi"), neighbour(&[]).rom));
    let broken = EventKind::FileBroken {
        transport: Transport::Tftp,
        stage: Stage::Loader,
        name: "ipxe.efi".into(),
        bytes: 0,
        why: String::new(),
        breakage: Some(Breakage::Silent),
        block_size: 0,
        retransmissions: 0,
        took_ms: 0,
    };
    let asked = Neighbour::of("web-3".into(), BEGAN, &Story::pxe().leased().then(broken).events);
    assert!(asked.seen.contains(&Step::Loader) && asked.loader.is_none(), "its port is open: {asked:?}");
}

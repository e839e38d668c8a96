//! What else is on the wire: addresses in use, and other DHCP servers.

use proto::event::AlarmKind;
use proto::plan::{DhcpMode, Network};

use super::*;
use crate::{
    arp::Claim,
    dhcp::{BootHints, ServerMessage},
};

const OURS: Mac = Mac([2, 0, 0, 0, 0, 2]);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 3);
const SQUATTER: Mac = Mac([2, 0, 0, 0, 9, 9]);
const STRANGER: Mac = Mac([0x52, 0x54, 0, 0, 9, 1]);

/// Four interfaces, of which the last is the one that machines speak at.
fn stations() -> Vec<Station> {
    let station = |last| Station { address: [10, 1, last, 2].into(), mac: Mac([2, 0, 0, 0, last, 2]) };
    vec![station(7), station(8), station(9), Station { address: SERVER, mac: OURS }]
}

fn paper(plan: SitePlan) -> Paper {
    let mut paper = Paper::started(&[], at(0), stations());
    paper.input(0, Input::Plan(Arc::new(plan)));
    paper
}

fn watching(dhcp: DhcpMode) -> Paper {
    let network = Network { dhcp, watch_dhcp: true, ..network() };
    paper(plan_of(1, vec![network_entry(&network), host_entry(&host())]))
}

fn offer() -> ServerMessage {
    let boot = BootHints { file: "pxelinux.0".into(), ..BootHints::default() };
    ServerMessage { mac: SQUATTER, from: OTHER, server: OTHER, machine: MAC, address: Some(ADDRESS), boot }
}

fn alarms(paper: &Paper) -> Vec<(AlarmKind, String)> {
    let alarm = |event| {
        let EventKind::Alarm { kind, detail } = event else { return None };
        Some((kind, detail))
    };
    paper.events().into_iter().filter_map(alarm).collect()
}

#[test]
fn a_system_waits_for_the_probe_and_is_then_answered_without_asking_again() {
    let mut paper = paper(plan_that_leases());
    paper.wait(0);
    paper.say(1, &message(MessageType::Discover, Voice::Os, STRANGER, 7));
    let [address] = paper.probes[..] else { panic!("{:?}", paper.probes) };
    assert!(paper.sent.is_empty());
    let over = paper.site.poll_timeout();
    assert_eq!(over, at(1).mono.plus(Duration::from_millis(300)));
    paper.site.handle(at(1), Input::Claim(Claim { address, mac: SQUATTER }));
    paper.site.handle_timeout(Now { mono: over, ..at(1) });
    paper.drain();
    let [_, other] = paper.probes[..] else { panic!("{:?}", paper.probes) };
    assert!(other != address && paper.sent.is_empty());
    paper.wait(2);
    assert_eq!(paper.sent.len(), 1, "an OFFER of the other one");
    assert!(matches!(&alarms(&paper)[..], [(AlarmKind::AddressInUse, _)]));
}

#[test]
fn a_boot_that_takes_another_servers_offer_says_so_once() {
    let mut paper = watching(DhcpMode::Authoritative);
    paper.say(1, &message(MessageType::Discover, Voice::UefiRom, MAC, 7));
    let mut request = message(MessageType::Request, Voice::UefiRom, MAC, 7);
    request.opts_mut().insert(DhcpOption::RequestedIpAddress(ADDRESS));
    request.opts_mut().insert(DhcpOption::ServerIdentifier(OTHER));
    paper.input(2, Input::Overheard(Box::new(offer())));
    paper.say(2, &request);
    paper.say(3, &request);
    let attempt = paper.attempt();
    let about = |numbered: &NumberedEvent| {
        let known = format!("at {SQUATTER}, boot file pxelinux.0");
        let taken = EventKind::ForeignOfferTaken { server: OTHER, known };
        numbered.event.kind == taken && numbered.event.attempt.is_some_and(|id| id.to_string() == attempt)
    };
    assert_eq!(paper.site.events_after(0).filter(about).count(), 1);

    // Our own other interface is nobody else.
    let mut ours = message(MessageType::Request, Voice::UefiRom, MAC, 7);
    ours.opts_mut().insert(DhcpOption::ServerIdentifier([10, 1, 7, 2].into()));
    let before = paper.events().len();
    paper.say(4, &ours);
    assert_eq!(paper.events().len(), before);
}

#[test]
fn a_foreign_server_is_an_alarm_and_our_own_words_are_not() {
    let mut paper = watching(DhcpMode::Authoritative);
    paper.input(1, Input::Overheard(Box::new(ServerMessage { mac: OURS, ..offer() })));
    assert_eq!(alarms(&paper), []);
    paper.input(2, Input::Overheard(Box::new(offer())));
    paper.input(3, Input::Overheard(Box::new(offer())));
    let [(AlarmKind::ForeignDhcp, detail)] = &alarms(&paper)[..] else { panic!("{:?}", alarms(&paper)) };
    assert!(detail.contains("10.1.0.3 at") && detail.contains("pxelinux.0"), "{detail}");
}

#[test]
fn our_address_from_another_machine_is_an_alarm_but_not_from_a_relay_agent_that_we_answer() {
    for hidden in
        [ServerMessage { server: SERVER, ..offer() }, ServerMessage { from: [10, 1, 8, 2].into(), ..offer() }]
    {
        let mut paper = watching(DhcpMode::Authoritative);
        paper.input(1, Input::Overheard(Box::new(hidden)));
        let [(AlarmKind::ForeignDhcp, detail)] = &alarms(&paper)[..] else { panic!("{:?}", alarms(&paper)) };
        assert!(detail.contains("speaks for this agent"), "{detail}");
    }
    let mut paper = watching(DhcpMode::Authoritative);
    let relay = Ipv4Addr::new(10, 1, 0, 1);
    let mut discover = message(MessageType::Discover, Voice::UefiRom, MAC, 7);
    discover.set_giaddr(relay);
    paper.say(1, &discover);
    assert_eq!(paper.sent.len(), 1);
    let relayed = ServerMessage { from: relay, server: SERVER, ..offer() };
    paper.input(1, Input::Overheard(Box::new(relayed)));
    assert_eq!(alarms(&paper), []);
}

#[test]
fn servers_are_asked_for_each_minute_at_each_interface_and_never_answered() {
    let mut site = Site::new(
        Config { agent: AGENT.into(), journal_limit: 1_000, stations: stations() },
        Incarnation([9; 16]),
        [1; 32],
    );
    site.begin(Mono::default(), Wall(0));
    let network = Network { watch_dhcp: true, ..network() };
    site.handle(at(0), Input::Plan(Arc::new(plan_of(1, vec![network_entry(&network)]))));
    let mut asked = Vec::new();
    for second in 0..130 {
        site.handle_timeout(at(second));
        while let Some(action) = site.poll_action() {
            if let Action::Send { interface, datagram, to, at_once } = action {
                assert!(at_once && to == Destination::Servers);
                let request = Request::parse(&datagram).expect("a legal DISCOVER");
                assert_eq!(request.mac, stations()[interface as usize].mac);
                asked.push(second);
                // What comes back in at another interface of ours begins no boot.
                let back = Arrival { interface: 0, ..arrival() };
                site.handle(at(second), Input::Dhcp(back, Box::new(request)));
            }
        }
    }
    assert_eq!(asked.len(), 3 * 4, "{asked:?}");
    assert!(asked[0] <= 5 && (53..=67).contains(&(asked[4] - asked[0])), "{asked:?}");
    let began = |numbered: NumberedEvent| matches!(numbered.event.kind, EventKind::AttemptBegan { .. });
    assert!(!site.events_after(0).any(began));
}

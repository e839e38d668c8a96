//! A site where another server leases the addresses.

use std::net::SocketAddrV4;

use proto::plan::{DhcpMode, Network};

use super::*;

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 3);
/// What the other server gives to the machine.
const GIVEN: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 77);

fn beside() -> Paper {
    let network = Network { dhcp: DhcpMode::Proxy, ..network() };
    let host = HostPlan { address: None, ..host() };
    let mut entries = vec![network_entry(&network), host_entry(&host), order_entry(&order())];
    entries.extend(secrets_entry(&order()));
    Paper::new(plan_of(2, entries))
}

/// DISCOVER, and the REQUEST that takes the other server's address.
fn dora(paper: &mut Paper, second: u64, voice: Voice) {
    paper.say(second, &super::message(MessageType::Discover, voice, MAC, 7));
    let mut request = super::message(MessageType::Request, voice, MAC, 7);
    request.opts_mut().insert(DhcpOption::RequestedIpAddress(GIVEN));
    request.opts_mut().insert(DhcpOption::ServerIdentifier(OTHER));
    paper.say(second, &request);
}

fn text(paper: &mut Paper, second: u64, from: Ipv4Addr, name: &str) -> Option<String> {
    match paper.ask(second, from, name) {
        FileAnswer::Send { source: Source::Bytes(bytes), .. } => String::from_utf8(bytes.to_vec()).ok(),
        FileAnswer::Send { source: Source::Blob(_), .. } => Some("a blob".into()),
        FileAnswer::NotFound => None,
    }
}

#[test]
fn an_installation_beside_another_server() {
    let mut paper = beside();
    dora(&mut paper, 1, Voice::UefiRom);
    assert_eq!(paper.sent.len(), 1, "an offer, and silence for what another server is asked");
    assert_eq!(paper.phases(), [OrderPhase::Armed], "an offer that nobody takes spends no attempt");
    assert_eq!(text(&mut paper, 2, GIVEN, "snponly.efi").as_deref(), Some("a blob"));
    assert_eq!(paper.phases(), [OrderPhase::Armed, OrderPhase::Offered]);

    dora(&mut paper, 3, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());
    let script = text(&mut paper, 4, GIVEN, &format!("a/{attempt}/boot.ipxe")).expect("the script");
    assert!(script.contains(&token));
    dora(&mut paper, 9, Voice::Os);
    let name = format!("o/{token}/preseed.cfg");
    assert_eq!(text(&mut paper, 10, [10, 1, 0, 78].into(), &name), None, "no address of the host");
    assert_eq!(text(&mut paper, 11, GIVEN, &name).as_deref(), Some("password hunter2"));
    let request = ReportRequest { ask: 2, from: GIVEN, token, callback: Callback::Installed };
    paper.input(12, Input::Report(request));
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Installed));

    dora(&mut paper, 40, Voice::Ipxe);
    dora(&mut paper, 50, Voice::Os);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk));
    assert_eq!(paper.events().last(), Some(&EventKind::OsUp { address: Some(GIVEN) }));
}

#[test]
fn the_boot_service_takes_the_order_before_it_answers() {
    let mut paper = beside();
    let discover = super::message(MessageType::Discover, Voice::UefiRom, MAC, 7);
    paper.say(1, &discover);
    let mut message = super::message(MessageType::Request, Voice::UefiRom, MAC, 7);
    message.set_ciaddr(GIVEN);
    let mut bytes = Vec::new();
    message.encode(&mut Encoder::new(&mut bytes)).expect("a legal message");
    let from = SocketAddrV4::new(GIVEN, 4011);
    let request = Request::parse_boot_service(&bytes, from).expect("a legal message");
    paper.input(2, Input::Dhcp(arrival(), Box::new(request)));
    let offered =
        |record: &Record| matches!(record, Record::Order(state) if state.phase == OrderPhase::Offered);
    let (before, _) = paper.sent[1];
    assert!(paper.ledger.iter().position(offered).expect("offered") < before);
    assert_eq!(paper.site.dhcp().machine_at(GIVEN), Some(MAC));
}

/// The attempt's id is in an offer that everybody on the link may hear.
#[test]
fn an_order_is_for_who_was_overheard_and_not_for_who_names_the_attempt() {
    let mut paper = beside();
    paper.say(1, &super::message(MessageType::Discover, Voice::Ipxe, MAC, 7));
    let name = format!("a/{}/boot.ipxe", paper.attempt());
    assert_eq!(text(&mut paper, 2, [10, 1, 0, 78].into(), &name), None);
    assert_eq!(paper.phases(), [OrderPhase::Armed], "nothing is offered to it");
    dora(&mut paper, 3, Voice::Ipxe);
    assert!(text(&mut paper, 4, GIVEN, &name).is_some());
    assert_eq!(text(&mut paper, 5, [10, 1, 0, 78].into(), &name), None);
    let token = paper.token();
    let ledger = paper.ledger.clone();
    let mut paper = Paper::restarted(&ledger, at(6));
    let plan = beside().site.plan().expect("a plan").clone();
    paper.input(7, Input::Plan(plan));
    assert!(text(&mut paper, 8, GIVEN, &format!("o/{token}/preseed.cfg")).is_some(), "also after a restart");
}

#[test]
fn what_a_host_always_boots_is_for_who_names_the_attempt_and_binds_no_address() {
    let network = Network { dhcp: DhcpMode::Proxy, ..network() };
    let host = HostPlan { address: None, boot: Some(boot()), ..host() };
    let mut paper = Paper::new(plan_of(2, vec![network_entry(&network), host_entry(&host)]));
    paper.say(1, &super::message(MessageType::Discover, Voice::Ipxe, MAC, 7));
    let name = format!("a/{}/linux", paper.attempt());
    assert_eq!(text(&mut paper, 2, [192, 0, 2, 9].into(), &name), None, "no link of ours");
    assert_eq!(text(&mut paper, 3, GIVEN, &name).as_deref(), Some("a blob"));
    assert_eq!(paper.site.dhcp().machine_at(GIVEN), None);
    dora(&mut paper, 4, Voice::Os);
    assert_eq!(text(&mut paper, 5, [10, 1, 0, 78].into(), &name), None, "the machine is elsewhere");
}

#[test]
fn an_address_is_forgotten_as_soon_as_its_machine_is_no_host_any_more() {
    let mut paper = beside();
    dora(&mut paper, 1, Voice::Os);
    assert_eq!(paper.site.dhcp().machine_at(GIVEN), Some(MAC));
    let network = Network { dhcp: DhcpMode::Proxy, ..network() };
    paper.input(2, Input::Plan(Arc::new(plan_of(3, vec![network_entry(&network)]))));
    assert_eq!(paper.site.dhcp().machine_at(GIVEN), None, "before anybody speaks again");
}

#[test]
fn an_order_that_is_over_is_not_taken_by_an_old_answer() {
    let mut paper = beside();
    dora(&mut paper, 1, Voice::Ipxe);
    let attempt = paper.attempt();
    paper.wait(7_300);
    assert_eq!(text(&mut paper, 7_301, GIVEN, &format!("a/{attempt}/boot.ipxe")), None);
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Expired));
}

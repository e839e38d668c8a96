//! An installation from its order to its end: who may begin it, what it rests on, what stops it.

use proto::event::Because;

use super::*;

#[test]
fn an_installation_from_the_first_packet_to_the_installed_system() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());
    let script = paper.text(2, &format!("a/{attempt}/boot.ipxe")).expect("the script");
    assert_eq!(script, format!("#!ipxe\nkernel {URL}/a/{attempt}/linux token={token}"));
    assert_eq!(paper.text(3, &format!("a/{attempt}/linux")).as_deref(), Some("a blob"));
    paper.dora(9, Voice::Os);
    assert_eq!(paper.text(10, &format!("o/{token}/preseed.cfg")).as_deref(), Some("password hunter2"));
    assert_eq!(paper.callback(20, &token, Callback::Installed), ReportAnswer::Recorded);
    assert_eq!(paper.callback(21, &token, Callback::Installed), ReportAnswer::Recorded, "said again");
    let ended = [OrderPhase::Armed, OrderPhase::Offered, OrderPhase::Started, OrderPhase::Installed];
    assert_eq!(paper.phases(), ended);
    assert_eq!(paper.destroyed, [ORDER], "its secrets have served");
    assert_eq!(paper.text(22, &format!("o/{token}/preseed.cfg")), None, "the order is at its end");

    paper.dora(40, Voice::Ipxe);
    assert_ne!(paper.attempt(), attempt, "another boot is another attempt");
    paper.dora(50, Voice::Os);
    assert_eq!(paper.decisions(), [Answer::Script, Answer::LocalDisk]);
    assert_eq!(paper.events().last(), Some(&EventKind::OsUp { address: Some(ADDRESS) }));
}

#[test]
fn an_installer_that_fetches_nothing_guarded_starts_and_ends_the_order_by_its_word() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    assert_eq!(paper.callback(2, &token, Callback::Started), ReportAnswer::Recorded);
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Started));
    paper.dora(3, Voice::UefiRom);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk), "no other attempt gets an installer");
    assert_eq!(paper.callback(4, &token, Callback::Installed), ReportAnswer::Recorded);
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Installed));
}

#[test]
fn started_is_on_disk_before_the_answer_file_leaves() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.text(2, &format!("o/{token}/preseed.cfg")).expect("the answer file");
    let started = paper
        .ledger
        .iter()
        .position(|record| matches!(record, Record::Order(state) if state.phase == OrderPhase::Started));
    let (before, _) = paper.answers.last().expect("answered");
    assert!(started.expect("it has started") < *before);
}

#[test]
fn the_lease_and_the_offered_order_are_on_disk_before_the_packets_leave() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let position = |wanted: &dyn Fn(&Record) -> bool| paper.ledger.iter().position(wanted).expect("recorded");
    let offered = position(&|record| matches!(record, Record::Order(s) if s.phase == OrderPhase::Offered));
    let leased = position(&|record| matches!(record, Record::Lease(_)));
    let [(before_offer, _), (before_ack, _)] = &paper.sent[..] else { panic!("an OFFER and an ACK") };
    assert!(offered < *before_ack && leased < *before_ack);
    assert!(offered >= *before_offer, "an offer that nobody takes spends no attempt");
}

#[test]
fn a_machine_that_is_reset_after_a_restart_of_the_agent_gets_its_disk() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());
    let mut paper = Paper::restarted(&paper.ledger.clone(), at(5));
    paper.input(5, Input::Plan(Arc::new(plan_with_order())));
    assert!(paper.text(6, &format!("a/{attempt}/boot.ipxe")).is_some());
    assert!(paper.text(7, &format!("o/{token}/preseed.cfg")).is_some());
    paper.dora(20, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk));
    assert_eq!(paper.text(21, &format!("a/{attempt}/boot.ipxe")), None, "another attempt has begun");
}

#[test]
fn a_host_that_is_locked_after_the_offer_is_not_installed() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());
    paper.input(2, Input::Plan(plan_with(|host, _| host.locked = true)));
    assert_eq!(paper.text(3, &format!("a/{attempt}/linux")), None);
    assert_eq!(paper.text(3, &format!("o/{token}/preseed.cfg")), None);
    assert_eq!(paper.callback(4, &token, Callback::Started), ReportAnswer::TooLate);
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Offered));
}

#[test]
fn an_order_that_is_given_to_another_agent_is_revoked_here() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.input(2, Input::Plan(plan_with(|_, order| order.agent = "lyon-2".into())));
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Revoked));
    assert_eq!(paper.text(3, &format!("o/{token}/preseed.cfg")), None);
}

#[test]
fn a_part_of_the_plan_that_is_not_understood_revokes_no_running_installation() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.text(2, &format!("o/{token}/preseed.cfg")).expect("it starts");
    let unclear = (format!("order/{ORDER}"), Entry { body: vec![].into(), level: u32::MAX });
    let plan = plan_of(3, vec![network_entry(&network()), host_entry(&host()), unclear]);
    paper.input(3, Input::Plan(Arc::new(plan)));
    assert!(paper.text(4, &format!("o/{token}/preseed.cfg")).is_some(), "it goes on with what it began with");
    assert_eq!(paper.callback(5, &token, Callback::Installed), ReportAnswer::Recorded);
}

#[test]
fn what_cannot_be_given_does_not_start_the_order() {
    let mut paper = Paper::new(plan());
    paper.input(1, Input::Plan(plan_with(|_, order| order.secrets.clear())));
    paper.dora(2, Voice::Ipxe);
    let token = paper.token();
    assert_eq!(paper.text(3, &format!("o/{token}/preseed.cfg")), None, "its secret is missing");
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Offered));
}

#[test]
fn a_look_at_the_size_starts_nothing() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let name = format!("o/{}/preseed.cfg", paper.token());
    let request = FileRequest {
        ask: 1,
        transport: Transport::Http,
        arrival: arrival(),
        from: ADDRESS,
        name,
        probe: true,
    };
    paper.input(2, Input::File(request));
    assert!(matches!(paper.answers.last(), Some((_, FileAnswer::Send { .. }))));
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Offered));
}

#[test]
fn an_installer_that_never_renews_its_lease_is_still_heard() {
    let mut paper = Paper::new(plan());
    paper.input(0, Input::Plan(plan_with(|_, order| order.install = Duration::from_secs(50_000))));
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.text(2, &format!("o/{token}/preseed.cfg")).expect("it starts");
    paper.wait(9_000);
    assert!(paper.site.dhcp().lease_of(ADDRESS).is_none(), "its lease has ended");
    assert_eq!(paper.callback(9_001, &token, Callback::Installed), ReportAnswer::Recorded);
}

#[test]
fn a_message_that_asks_for_nothing_spends_no_attempt() {
    let mut paper = Paper::new(plan_with_order());
    for round in 0..5 {
        paper.dora(1 + round, Voice::Ipxe);
        paper.say(1 + round, &message(MessageType::Release, Voice::UefiRom, MAC, 7));
    }
    assert_eq!(paper.site.orders.get(ORDER).map(|state| state.attempts), Some(1));
}

#[test]
fn a_uuid_that_disagreed_is_remembered_through_the_chain() {
    let mut paper = Paper::new(plan());
    paper.input(1, Input::Plan(plan_with(|host, _| host.uuid = Some([7; 16].map(|byte: u8| byte + 1)))));
    let mut discover = message(MessageType::Discover, Voice::UefiRom, MAC, 7);
    let shown = [vec![0], (1..=16).collect()].concat();
    discover.opts_mut().insert(DhcpOption::Unknown(UnknownOption::new(OptionCode::from(97), shown)));
    paper.say(2, &discover);
    paper.dora(3, Voice::Ipxe);
    assert_eq!(paper.decisions(), [Answer::LocalDisk, Answer::LocalDisk]);
}

#[test]
fn after_a_restart_the_attempt_goes_on_and_nothing_is_installed_twice() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let (attempt, token) = (paper.attempt(), paper.token());

    let mut paper = Paper::restarted(&paper.ledger.clone(), at(5));
    paper.input(5, Input::Plan(Arc::new(plan_with_order())));
    assert!(paper.text(6, &format!("a/{attempt}/linux")).is_some(), "the boot goes on");
    assert!(paper.text(7, &format!("o/{token}/preseed.cfg")).is_some());

    let mut paper = Paper::restarted(&paper.ledger.clone(), at(8));
    paper.input(8, Input::Plan(Arc::new(plan_with_order())));
    paper.dora(9, Voice::Ipxe);
    assert_eq!(
        paper.decisions().last(),
        Some(&Answer::LocalDisk),
        "it has started: no other attempt gets it"
    );
    assert_eq!(paper.callback(10, &token, Callback::Installed), ReportAnswer::Recorded);
}

#[test]
fn an_order_at_its_end_is_not_obeyed_again_whatever_the_plan_says() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.text(2, &format!("o/{token}/preseed.cfg"));
    paper.callback(3, &token, Callback::Installed);
    paper.input(4, Input::Plan(Arc::new(plan())));
    let mut restored = plan_with_order();
    restored.id.generation.epoch = 2;
    paper.input(5, Input::Plan(Arc::new(restored)));
    paper.dora(60, Voice::Ipxe);
    assert_eq!(paper.decisions().last(), Some(&Answer::LocalDisk));
}

#[test]
fn an_order_that_leaves_the_plan_is_revoked_and_its_files_with_it() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    paper.input(2, Input::Plan(Arc::new(plan())));
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Revoked));
    assert_eq!(paper.text(3, &format!("o/{token}/preseed.cfg")), None);
}

#[test]
fn an_order_expires_by_time_alone() {
    let mut paper = Paper::new(plan_with_order());
    paper.wait(7_199);
    assert_eq!(paper.phases(), [OrderPhase::Armed]);
    paper.wait(7_206);
    assert_eq!(paper.phases(), [OrderPhase::Armed, OrderPhase::Expired]);
}

#[test]
fn a_full_disk_stops_orders_and_not_the_local_boot() {
    let mut paper = Paper::new(plan_with_order());
    paper.input(1, Input::Disk(Disk::Full));
    paper.dora(2, Voice::Ipxe);
    assert_eq!((paper.decisions(), paper.sent.len()), (vec![Answer::LocalDisk], 2));
}

#[test]
fn an_order_that_comes_between_two_exchanges_shows_by_its_reason() {
    let mut paper = Paper::new(plan());
    let discover = message(MessageType::Discover, Voice::UefiRom, MAC, 7);
    paper.say(1, &discover);
    let another = OrderPlan { agent: "another".into(), ..order() };
    let entries = vec![network_entry(&network()), host_entry(&host()), order_entry(&another)];
    paper.input(2, Input::Plan(Arc::new(plan_of(2, entries))));
    paper.say(3, &discover);
    paper.say(4, &discover);
    let because = |kind| if let EventKind::Decided { because, .. } = kind { because } else { None };
    let told: Vec<_> = paper.events().into_iter().filter_map(because).collect();
    assert_eq!(told, [Because::NothingStands, Because::OrderDoubt], "once each");
    assert_eq!(paper.decisions(), [Answer::LocalDisk; 2], "what is offered is the same");
    let mut paper = Paper::restarted(&paper.ledger.clone(), at(5));
    paper.input(5, Input::Plan(Arc::new(plan())));
    paper.say(6, &discover);
    assert_eq!(paper.decisions().len(), 3, "the order has gone, and that is told after a restart, too");
}

//! What is told, and to whom room in the journal is left.

use super::*;

#[test]
fn strangers_push_no_known_machine_out() {
    let mut paper = Paper::new(plan_that_leases());
    paper.dora(1, Voice::Ipxe);
    let attempt = paper.attempt();
    for machine in 0..3_000u32 {
        let [a, b, c, d] = machine.to_be_bytes();
        paper.say(2, &message(MessageType::Discover, Voice::UefiRom, Mac([2, 0, a, b, c, d]), machine));
    }
    paper.dora(3, Voice::Ipxe);
    assert_eq!(paper.attempt(), attempt);
}

#[test]
fn strangers_do_not_fill_the_journal() {
    let mut paper = Paper::new(plan_that_leases());
    for machine in 0..1_000u32 {
        let [a, b, c, d] = machine.to_be_bytes();
        paper.say(1, &message(MessageType::Discover, Voice::UefiRom, Mac([2, 0, a, b, c, d]), machine));
    }
    assert!((50..100).contains(&paper.events().len()), "{}", paper.events().len());
    let sent = paper.sent.len();
    paper.dora(2, Voice::UefiRom);
    assert_eq!(paper.sent.len(), sent + 2, "the reserved host is served all the same");
}

/// S2: sixty nonsense requests do not hide what comes behind them.
#[test]
fn no_other_event_mutes_an_alarm() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let name = format!("o/{}/preseed.cfg", paper.token());
    let stranger = [10, 1, 0, 77].into();
    for _ in 0..400 {
        paper.ask(2, stranger, "no-such-file");
        paper.ask(2, ADDRESS, "no-such-file");
    }
    paper.ask(2, stranger, &name);
    assert_eq!(alarms(&paper, AlarmKind::OrderFileFromElsewhere).len(), 1);
    for _ in 0..1_000 {
        paper.ask(3, stranger, &name);
    }
    assert_eq!(alarms(&paper, AlarmKind::OrderFileFromElsewhere).len(), 20, "nor does it fill the journal");
    paper.wait(70);
    paper.wait(80);
    assert_eq!(alarms(&paper, AlarmKind::OrderFileFromElsewhere)[20..], ["981 more like these"]);
}

/// A stranger takes this address, and gives it back if it is to.
fn lease(paper: &mut Paper, machine: u32, address: Ipv4Addr, gives_back: bool) {
    let [a, b, c, d] = machine.to_be_bytes();
    let mac = Mac([2, 0, a, b, c, d]);
    let mut request = message(MessageType::Request, Voice::Os, mac, machine);
    request.opts_mut().insert(DhcpOption::RequestedIpAddress(address));
    paper.say(1, &request);
    if gives_back {
        let mut release = message(MessageType::Release, Voice::Os, mac, machine);
        release.set_ciaddr(address);
        paper.say(1, &release);
    }
}

/// How many leases began and ended.
fn leases(paper: &Paper) -> (usize, usize) {
    let events = paper.events();
    let began = events.iter().filter(|kind| matches!(kind, EventKind::Leased { .. })).count();
    (began, events.iter().filter(|kind| matches!(kind, EventKind::LeaseEnded { .. })).count())
}

#[test]
fn a_strangers_lease_is_told_whole_or_not_at_all() {
    let mut paper = Paper::new(plan_that_leases());
    for _ in 0..100 {
        paper.ask(1, [10, 1, 0, 77].into(), "no-such-file");
    }
    lease(&mut paper, 1, [10, 1, 0, 100].into(), false);
    assert_eq!(leases(&paper), (1, 0), "whatever else was said of strangers");
    for machine in 2..2_000 {
        lease(&mut paper, machine, [10, 1, 0, 101].into(), true);
    }
    assert_eq!(leases(&paper), (300, 299), "who takes and releases without end does not fill the journal");
    lease(&mut paper, 3_000, [10, 1, 0, 102].into(), false);
    paper.wait(5_000);
    assert_eq!(leases(&paper), (300, 300), "no end without a beginning, and the reverse");
    assert!(
        alarms(&paper, AlarmKind::TooManyEvents)
            .contains(&"1700 leases of unknown machines were left out".into())
    );
}

/// The stranger says that it goes on using its address.
fn renew(paper: &mut Paper, at: u64, machine: u32, address: Ipv4Addr) {
    let [a, b, c, d] = machine.to_be_bytes();
    let mut request = message(MessageType::Request, Voice::Os, Mac([2, 0, a, b, c, d]), machine);
    request.set_ciaddr(address);
    paper.say(at, &request);
}

/// What was told of the lease of an address: its beginning, its renewals, its end.
fn told_of(paper: &Paper, wanted: Ipv4Addr) -> (usize, usize, usize) {
    let events = paper.events();
    let count = |told: &dyn Fn(&EventKind) -> bool| events.iter().filter(|kind| told(kind)).count();
    (
        count(&|kind| matches!(kind, EventKind::Leased { address, .. } if *address == wanted)),
        count(&|kind| matches!(kind, EventKind::LeaseRenewed { address, .. } if *address == wanted)),
        count(&|kind| matches!(kind, EventKind::LeaseEnded { address, .. } if *address == wanted)),
    )
}

#[test]
fn a_lease_that_was_left_out_is_not_renewed_either() {
    let mut paper = Paper::new(plan_that_leases());
    for machine in 1..=300 {
        lease(&mut paper, machine, [10, 1, 0, 101].into(), true);
    }
    let (silent, late) = ([10, 1, 0, 102].into(), [10, 1, 0, 103].into());
    for (machine, address) in [(1_002, silent), (1_003, late)] {
        lease(&mut paper, machine, address, false);
        renew(&mut paper, 2, machine, address);
        assert_eq!(told_of(&paper, address), (0, 0, 0));
    }
    // When there is room again the lease begins with its renewal, and so it has an end.
    renew(&mut paper, 1_800, 1_003, late);
    assert_eq!(told_of(&paper, late), (0, 1, 0), "what was left out does not count as told");
    paper.wait(9_000);
    assert_eq!((told_of(&paper, late), told_of(&paper, silent)), ((0, 1, 1), (0, 0, 0)));
}

#[test]
fn renewals_of_many_guests_leave_room_for_what_else_is_told_of_strangers() {
    let mut wide = network();
    wide.unknown = proto::plan::UnknownMachines::Lease;
    wide.subnets[0].pools = vec!["10.1.0.100-10.1.0.249".parse().expect("a range")];
    let mut paper = Paper::new(plan_of(1, vec![network_entry(&wide)]));
    let guests = 100..240;
    for guest in guests.clone() {
        lease(&mut paper, guest.into(), [10, 1, 0, guest].into(), false);
    }
    for at in [1_801, 3_601] {
        guests.clone().for_each(|guest| renew(&mut paper, at, guest.into(), [10, 1, 0, guest].into()));
    }
    assert!(guests.clone().all(|guest| told_of(&paper, [10, 1, 0, guest].into()) == (1, 1, 0)));
    paper.ask(3_602, [10, 1, 0, 77].into(), "no-such-file");
    assert!(matches!(paper.events().last(), Some(EventKind::FileRefused { .. })));
}

#[test]
fn a_lease_that_began_before_a_restart_goes_on_and_ends() {
    let mut paper = Paper::new(plan_that_leases());
    let address = [10, 1, 0, 100].into();
    lease(&mut paper, 1, address, false);
    let snapshot: Vec<_> = paper.site.snapshot().collect();
    let mut again = Paper::restarted(&snapshot, at(5));
    again.input(5, Input::Plan(Arc::new(plan_that_leases())));
    renew(&mut again, 1_801, 1, address);
    again.wait(9_000);
    assert_eq!(told_of(&again, address), (1, 1, 1));
}

/// The alarms of a kind.
fn alarms(paper: &Paper, wanted: AlarmKind) -> Vec<String> {
    let detail = |event| {
        if let EventKind::Alarm { kind, detail } = event { (kind == wanted).then_some(detail) } else { None }
    };
    paper.events().into_iter().filter_map(detail).collect()
}

#[test]
fn ignored_machines_are_counted_and_begin_no_boot() {
    let mut paper = Paper::new(plan());
    let stranger = |n| Mac([2, 0, 0, 0, 0, n]);
    for (n, voice) in [(1, Voice::UefiRom), (2, Voice::Os), (2, Voice::Os), (3, Voice::Ipxe)] {
        paper.say(10, &message(MessageType::Discover, voice, stranger(n), 1));
    }
    paper.wait(60);
    assert_eq!(alarms(&paper, AlarmKind::UnknownIgnored), [""; 0], "not one by one");
    paper.wait(75);
    let told = "3 that no host has: 02:00:00:00:00:01, 02:00:00:00:00:02, 02:00:00:00:00:03";
    assert_eq!(alarms(&paper, AlarmKind::UnknownIgnored), [told]);
    paper.say(80, &message(MessageType::Discover, Voice::Os, stranger(2), 1));
    paper.wait(200);
    assert_eq!(alarms(&paper, AlarmKind::UnknownIgnored).len(), 1, "it has been told");
    paper.say(210, &message(MessageType::Discover, Voice::Os, stranger(4), 1));
    paper.wait(300);
    assert_eq!(alarms(&paper, AlarmKind::UnknownIgnored)[1..], ["1 that no host has: 02:00:00:00:00:04"]);
    paper.say(4_000, &message(MessageType::Discover, Voice::Os, stranger(2), 1));
    paper.wait(4_100);
    assert_eq!(alarms(&paper, AlarmKind::UnknownIgnored).len(), 3, "it is still there");
    let began = paper.events().into_iter().filter(|kind| matches!(kind, EventKind::AttemptBegan { .. }));
    assert_eq!((began.count(), paper.sent.len()), (0, 0));
}

#[test]
fn one_known_host_does_not_fill_the_journal_and_its_order_goes_on() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let token = paper.token();
    for _ in 0..2_000 {
        paper.ask(2, ADDRESS, "no-such-file");
        paper.callback(2, &token, Callback::Progress { percent: Some(1), text: b"again".to_vec() });
    }
    assert!((300..320).contains(&paper.events().len()), "{}", paper.events().len());
    assert_eq!(alarms(&paper, AlarmKind::TooManyEvents).len(), 1);
    assert_eq!(paper.text(3, &format!("o/{token}/preseed.cfg")).as_deref(), Some("password hunter2"));
    assert_eq!(paper.callback(4, &token, Callback::Installed), ReportAnswer::Recorded);
    assert_eq!(paper.phases().last(), Some(&OrderPhase::Installed), "orders are never left out");
    let before = paper.events().len();
    paper.ask(700, ADDRESS, "no-such-file");
    assert_eq!(paper.events().len(), before + 1, "told again in the next window");
}

#[test]
fn acknowledged_events_are_gone_and_those_of_another_journal_are_not() {
    let mut paper = Paper::new(plan());
    paper.dora(1, Voice::Ipxe);
    let all = paper.events().len();
    paper.input(2, Input::Acknowledged(Incarnation([0; 16]), 2));
    assert_eq!(paper.events().len(), all);
    paper.input(3, Input::Acknowledged(Incarnation([9; 16]), 2));
    assert_eq!(paper.events().len(), all - 2);
}

#[test]
fn a_snapshot_makes_the_same_site_again() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::Ipxe);
    let snapshot: Vec<_> = paper.site.snapshot().collect();
    let again = Paper::restarted(&snapshot, at(5));
    assert_eq!(again.site.snapshot().collect::<Vec<_>>(), snapshot);
    assert!(matches!(again.site.dhcp().lease_of(ADDRESS), Some(lease) if lease.key.mac == MAC));
}

#[test]
fn events_name_the_client_that_spoke() {
    let mut paper = Paper::new(plan_with_order());
    paper.dora(1, Voice::UefiRom);
    let EventKind::AttemptBegan { client, platform, .. } = &paper.events()[2] else {
        panic!("{:?}", paper.events())
    };
    assert_eq!((*client, *platform), (Client::PxeRom, Some(proto::Platform::UefiX64)));
}

//! The rules of RFC 2131 §4.3 and of the site, one exchange each, on paper time.

use proto::{
    event::{AlarmKind, EventKind, LeaseEnd},
    ledger::{Lease, LeaseKey, Quarantine},
};

use super::{
    super::{offer::MAX_OFFERS, option::USER_CLASS},
    *,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn machine(n: u16) -> Mac {
    let [high, low] = n.to_be_bytes();
    Mac([2, 0, 0, 1, high, low])
}

/// The addresses that were refused, whether the machine was told, and why.
pub(super) fn refusals(effects: &[Effect]) -> Vec<(Ipv4Addr, bool, String)> {
    let refused = |effect: &Effect| {
        let Effect::Report(EventKind::AddressRefused { address, told, why, .. }) = effect else {
            return None;
        };
        Some((*address, *told, why.clone()))
    };
    effects.iter().filter_map(refused).collect()
}

pub(super) fn alarms(effects: &[Effect]) -> Vec<AlarmKind> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Report(EventKind::Alarm { kind, .. }) => Some(*kind),
            Effect::Report(_)
            | Effect::Persist(_)
            | Effect::Send { .. }
            | Effect::Probe(_)
            | Effect::ProbeAhead { .. }
            | Effect::Wait { .. } => None,
        })
        .collect()
}

#[test]
fn a_lease_is_persisted_and_reported_before_its_ack() {
    let mut site = Site::new();
    let (offer, _) = site.reply(&discover(KNOWN));
    let effects = site.hear(&select(&discover(KNOWN), &offer));
    let key = LeaseKey { mac: KNOWN, network: "10.1.0.0/24".parse().expect("a network") };
    let until = site.now.wall.plus(LEASE);
    assert_eq!(effects.len(), 3);
    assert_eq!(effects[0], Effect::Persist(Record::Lease(Lease { key, address: FIXED, until })));
    let client = proto::event::Client::Os;
    assert_eq!(effects[1], Effect::Report(EventKind::Leased { address: FIXED, until, client }));
    assert_eq!(kind(&sent(&effects).expect("an ACK").0), Some(5));
    assert_eq!(site.server.lease_of(FIXED).map(|lease| lease.key), Some(key));
}

#[test]
fn an_offer_holds_its_address_for_a_minute() {
    let mut site = Site::new();
    let first = site.reply(&discover(STRANGER)).0.yiaddr;
    assert_eq!(site.reply(&discover(STRANGER)).0.yiaddr, first);
    // 10.1.0.8-12 without the reserved .9: three are left.
    let others: Vec<_> = (0..3).map(|n| site.reply(&discover(machine(n))).0.yiaddr).collect();
    assert!(!others.contains(&first) && !others.contains(&FIXED));
    let effects = site.hear(&discover(machine(9)));
    assert_eq!((sent(&effects), alarms(&effects)), (None, vec![AlarmKind::PoolEmpty]));
    assert_eq!(alarms(&site.hear(&discover(machine(9)))), [], "once a minute");
    assert_eq!(site.server.poll_timeout(), Some(site.now.mono.plus(MINUTE)));
    site.wait(MINUTE);
    assert!(sent(&site.hear(&discover(machine(9)))).is_some());
    assert!(site.ledger.is_empty(), "offers leave nothing behind");
}

#[test]
fn another_servers_client_is_let_go() {
    let mut site = Site::new();
    let (offer, _) = site.reply(&discover(STRANGER));
    let mut request = select(&discover(STRANGER), &offer);
    request.options.as_mut().expect("options").set(54, [10, 1, 0, 77]);
    assert_eq!(site.hear(&request), []);
    assert_eq!(site.server.poll_timeout(), None, "the offer is forgotten");
}

#[test]
fn after_a_restart_what_was_offered_is_granted() {
    let mut site = Site::new();
    let (offer, _) = site.reply(&discover(STRANGER));
    site.restart();
    let (ack, _) = site.reply(&select(&discover(STRANGER), &offer));
    assert_eq!((kind(&ack), ack.yiaddr), (Some(5), offer.yiaddr));
}

#[test]
fn a_machine_keeps_its_address_over_restarts_and_through_all_its_programs() {
    let mut site = Site::new();
    let address = site.boot(STRANGER);
    site.restart();
    let mut with_duid = discover(STRANGER);
    with_duid.options.as_mut().expect("options").set(61, *b"\xff\x00\x00\x00\x01");
    assert_eq!(site.reply(&with_duid).0.yiaddr, address, "QUIRKS 4");
    assert_eq!(kind(&site.reply(&reboot(STRANGER, address)).0), Some(5));
    let (ack, to) = site.reply(&renew(STRANGER, address));
    assert_eq!((kind(&ack), ack.ciaddr, ack.yiaddr), (Some(5), address, address));
    assert_eq!(to, Destination::Address(address, 68));
}

#[test]
fn wrong_addresses_are_refused_to_systems_and_passed_over_in_firmware() {
    let mut site = Site::new();
    let elsewhere = [192, 168, 7, 7].into();
    for wrong in [elsewhere, FIXED, SERVER, [10, 1, 0, 200].into()] {
        let (nak, to) = site.reply(&reboot(STRANGER, wrong));
        assert_eq!((kind(&nak), to), (Some(6), Destination::Broadcast));
        assert_eq!((nak.yiaddr, codes(&nak)), (Ipv4Addr::UNSPECIFIED, vec![53, 54, 56]));
        let mut rom = reboot(STRANGER, wrong);
        rom.options.as_mut().expect("options").set(USER_CLASS, *b"iPXE");
        assert_eq!(sent(&site.hear(&rom)), None, "QUIRKS 7");
    }
    let mut relayed = reboot(STRANGER, elsewhere);
    relayed.giaddr = [10, 9, 0, 1].into();
    let (nak, to) = site.reply(&relayed);
    assert_eq!((nak.broadcast, to), (true, Destination::Relay([10, 9, 0, 1].into())));
}

#[test]
fn who_is_refused_an_address_is_told_of_with_the_reason() {
    let mut site = Site::new();
    let taken = site.boot(STRANGER);
    let mut why = |mac, address| refusals(&site.hear(&reboot(mac, address)));
    let elsewhere = [192, 168, 7, 7].into();
    let expected = |address, why: &str| vec![(address, true, why.to_owned())];
    assert_eq!(why(machine(1), elsewhere), expected(elsewhere, "it is no address of 10.1.0.0/24"));
    assert_eq!(why(machine(1), taken), [], "once a minute of one machine");
    assert_eq!(why(machine(2), taken), expected(taken, &format!("it is leased to {STRANGER}")));
    assert_eq!(why(machine(3), FIXED), expected(FIXED, "it is another host's fixed address"));
    assert_eq!(why(KNOWN, taken), expected(taken, &format!("the host has the fixed address {FIXED}")));
}

#[test]
fn each_machine_that_finds_the_pool_empty_is_told_of() {
    let mut site = Site::new();
    (0..4).for_each(|n| drop(site.reply(&discover(machine(n)))));
    let details = |effects: Vec<Effect>| -> Vec<String> {
        let detail = |effect| {
            let Effect::Report(EventKind::Alarm { detail, .. }) = effect else { return None };
            Some(detail)
        };
        effects.into_iter().filter_map(detail).collect()
    };
    let expected = "no address of 10.1.0.0/24 is free: all 5 addresses of its pool 10.1.0.8 to 10.1.0.12 are leased, offered, \
                    kept for hosts or found in use";
    for number in [8, 9] {
        assert_eq!(details(site.hear(&discover(machine(number)))), [expected]);
    }
}

#[test]
fn a_lease_ends_in_time_and_its_end_is_persisted() {
    let mut site = Site::new();
    let address = site.boot(STRANGER);
    assert_eq!(site.server.poll_timeout(), Some(site.now.mono.plus(LEASE)));
    assert_eq!(site.wait(LEASE - Duration::from_millis(1)), []);
    let effects = site.wait(Duration::from_millis(1));
    assert!(matches!(effects[0], Effect::Persist(Record::LeaseRemoved(key)) if key.mac == STRANGER));
    let how = LeaseEnd::Expired;
    assert_eq!(effects[1..], [Effect::Report(EventKind::LeaseEnded { address, how })]);
    assert_eq!(site.server.leases().count(), 0);
    assert_eq!(site.boot(STRANGER), address, "the same place in the pool");
}

#[test]
fn release_ends_only_ones_own_lease() {
    let mut site = Site::new();
    let address = site.boot(STRANGER);
    let release = |mac, address| Message { ciaddr: address, ..message(mac, &[(53, &[7])]) };
    assert_eq!(site.hear(&release(KNOWN, address)), []);
    assert_eq!(site.hear(&release(STRANGER, FIXED)), []);
    let effects = site.hear(&release(STRANGER, address));
    assert!(matches!(effects[0], Effect::Persist(Record::LeaseRemoved(_))));
    assert_eq!(site.server.lease_of(address), None);
}

#[test]
fn quirk_11_firmware_of_an_unknown_machine_keeps_a_pool_address_for_minutes() {
    let rom = |mac| Message { mac, ..super::golden::ovmf_pxe() };
    let told = |message: &Message| option(message, 51).map(<[u8]>::to_vec);
    let mut site = Site::new();
    site.answer = BootAnswer::LocalDisk;
    let (offer, _) = site.reply(&rom(STRANGER));
    let (ack, _) = site.reply(&select(&rom(STRANGER), &offer));
    assert_eq!([told(&offer), told(&ack)], [(); 2].map(|()| Some(600_u32.to_be_bytes().to_vec())));
    let until = |site: &Site| site.server.lease_of(ack.yiaddr).expect("leased").until;
    assert_eq!(until(&site), site.now.wall.plus(Duration::from_secs(600)));

    // Its system takes the rest, and the ROM of its next boot takes nothing away.
    assert_eq!(site.boot(STRANGER), ack.yiaddr);
    let whole = until(&site);
    assert_eq!(whole, site.now.wall.plus(LEASE));
    let (again, _) = site.reply(&select(&rom(STRANGER), &offer));
    assert_eq!((told(&again), until(&site)), (Some(600_u32.to_be_bytes().to_vec()), whole));

    let (known, _) = site.reply(&rom(KNOWN));
    assert_eq!(told(&known), Some(3600_u32.to_be_bytes().to_vec()), "a host's files rest on its lease");
}

#[test]
fn a_declined_address_rests_for_a_day() {
    let mut site = Site::new();
    let address = site.boot(STRANGER);
    let decline = |mac| message(mac, &[(53, &[4]), (50, &address.octets()), (54, &SERVER.octets())]);
    assert_eq!(site.hear(&decline(machine(7))), [], "not its address");
    let effects = site.hear(&decline(STRANGER));
    let until = site.now.wall.plus(DAY);
    assert_eq!(effects[0], Effect::Persist(Record::Quarantine(Quarantine { address, until })));
    assert_eq!(alarms(&effects), [AlarmKind::AddressInUse]);
    assert_eq!(site.server.lease_of(address), None);
    site.restart();
    let next = site.boot(STRANGER);
    assert_ne!(next, address);
    assert_eq!(kind(&site.reply(&reboot(machine(7), address)).0), Some(6));
    site.wait(DAY);
    assert_eq!(kind(&site.reply(&reboot(machine(7), address)).0), Some(5));
}

#[test]
fn a_declined_fixed_address_rests_for_a_minute() {
    let mut site = Site::new();
    site.boot(KNOWN);
    let effects = site.hear(&message(KNOWN, &[(53, &[4]), (50, &FIXED.octets())]));
    assert_eq!(alarms(&effects), [AlarmKind::AddressInUse]);
    assert_ne!(site.reply(&discover(KNOWN)).0.yiaddr, FIXED);
    site.wait(MINUTE);
    assert_eq!(site.boot(KNOWN), FIXED, "one forged packet keeps no host away for a day");
}

#[test]
fn inform_gets_parameters_without_address_or_lease() {
    let mut site = Site::new();
    let inform = Message { ciaddr: [10, 1, 0, 50].into(), ..message(STRANGER, &[(53, &[8])]) };
    let (ack, to) = site.reply(&inform);
    assert_eq!((kind(&ack), ack.yiaddr, option(&ack, 51)), (Some(5), Ipv4Addr::UNSPECIFIED, None));
    assert_eq!(to, Destination::Address([10, 1, 0, 50].into(), 68));
    assert!(option(&ack, 3).is_some() && site.ledger.is_empty());
}

#[test]
fn no_reply_is_turned_on_a_third_party() {
    let mut site = Site::new();
    let victim = [192, 0, 2, 7].into();
    let (offer, _) = site.reply(&discover(STRANGER));
    let request = Message { ciaddr: victim, ..select(&discover(STRANGER), &offer) };
    let (_, to) = site.reply(&request);
    assert_eq!(to, Destination::Unicast { address: offer.yiaddr, mac: STRANGER });
    assert_eq!(site.hear(&Message { ciaddr: victim, ..message(STRANGER, &[(53, &[8])]) }), []);
    assert_eq!(kind(&site.reply(&renew(STRANGER, victim)).0), Some(6));
}

#[test]
fn a_full_disk_stops_pool_grants_alone() {
    let mut site = Site::new();
    let address = site.boot(STRANGER);
    site.grants_allowed = false;
    let waits = site.hear(&discover(machine(1)));
    assert_eq!(sent(&waits), None);
    let told =
        Effect::Report(EventKind::Alarm { kind: AlarmKind::DiskLow, detail: crate::dhcp::POOLS_WAIT.into() });
    assert!(waits.contains(&told), "{waits:?}");
    assert_eq!(sent(&site.hear(&reboot(machine(1), [10, 1, 0, 11].into()))), None, "no NAK either");
    assert_eq!(site.boot(KNOWN), FIXED);
    assert_eq!(kind(&site.reply(&renew(STRANGER, address)).0), Some(5));
    assert_eq!(site.boot(STRANGER), address);
}

/// S5.
#[test]
fn a_flood_of_strangers_leaves_known_hosts_served() {
    let hosts = [host(1, "fixed", vec![KNOWN], Some(FIXED)), host(2, "pooled", vec![KNOWN_TOO], None)];
    for pool in ["10.1.0.8-10.1.0.12", "10.1.0.8-10.1.0.250"] {
        let mut site = Site::of(plan(1, pool, &hosts));
        for n in 0..5000 {
            site.hear(&discover(machine(n)));
        }
        assert_eq!(site.boot(KNOWN), FIXED);
        assert_ne!(site.boot(KNOWN_TOO), FIXED);
    }
}

#[test]
fn offers_are_bounded() {
    let mut wide = plan(1, "10.1.0.8-10.1.0.12", &[host(2, "pooled", vec![KNOWN_TOO], None)]);
    wide.network.subnets = vec![subnet("10.1.0.0/16", "10.1.1.0-10.1.99.255")];
    let mut site = Site::of(wide);
    let answered = (0..5000).filter(|n| sent(&site.hear(&discover(machine(*n)))).is_some()).count();
    assert_eq!(answered, MAX_OFFERS);
    site.boot(KNOWN_TOO);
}

#[test]
fn a_machine_has_one_fixed_address_for_the_card_that_boots() {
    let mut site = Site::new();
    assert_eq!(site.boot(KNOWN), FIXED);
    assert_ne!(site.reply(&discover(KNOWN_TOO)).0.yiaddr, FIXED, "a running system has both cards up");
    let mut rom = discover(KNOWN_TOO);
    rom.options.as_mut().expect("options").set(93, [0, 7]);
    let (offer, _) = site.reply(&rom);
    assert_eq!(offer.yiaddr, FIXED);
    let effects = site.hear(&select(&rom, &offer));
    assert!(matches!(effects[0], Effect::Persist(Record::LeaseRemoved(key)) if key.mac == KNOWN));
    assert_eq!(site.server.lease_of(FIXED).map(|lease| lease.key.mac), Some(KNOWN_TOO));
}

#[test]
fn a_new_reservation_waits_for_the_stranger_to_leave() {
    let mut site = Site::of(plan(1, "10.1.0.8-10.1.0.12", &[]));
    let taken = site.boot(STRANGER);
    site.plan = plan(2, "10.1.0.8-10.1.0.12", &[host(1, "web-1", vec![KNOWN], Some(taken))]);
    let effects = site.hear(&discover(KNOWN));
    assert_ne!(sent(&effects).expect("from the pool").0.yiaddr, taken);
    assert_eq!(alarms(&effects), [AlarmKind::AddressInUse]);
    assert_eq!(kind(&site.reply(&renew(STRANGER, taken)).0), Some(6), "it is to move");
    site.wait(LEASE);
    assert_eq!(site.boot(KNOWN), taken);
}

#[test]
fn a_changed_fixed_address_takes_effect_at_the_next_boot() {
    let mut site = Site::new();
    assert_eq!(site.boot(KNOWN), FIXED);
    let moved = [10, 1, 0, 77].into();
    site.plan = plan(2, "10.1.0.8-10.1.0.12", &[host(1, "web-1", vec![KNOWN], Some(moved))]);
    assert_eq!(kind(&site.reply(&renew(KNOWN, FIXED)).0), Some(5), "an installation may be under way");
    assert_eq!(kind(&site.reply(&reboot(KNOWN, FIXED)).0), Some(6));
    assert_eq!(site.boot(KNOWN), moved);
    assert_eq!(site.server.leases().count(), 1);
}

#[test]
fn a_routed_renewal_is_known_by_its_own_address() {
    let mut site = Site::new();
    let mut relayed = discover(STRANGER);
    relayed.giaddr = [10, 9, 0, 1].into();
    let (offer, _) = site.reply(&relayed);
    assert_eq!(kind(&site.reply(&select(&relayed, &offer)).0), Some(5));
    let (ack, to) = site.reply(&renew(STRANGER, offer.yiaddr));
    assert_eq!((kind(&ack), to), (Some(5), Destination::Address(offer.yiaddr, 68)));
}

#[test]
fn links_without_a_subnet_are_silent() {
    let mut site = Site::new();
    let mut relayed = discover(STRANGER);
    relayed.giaddr = [172, 16, 0, 1].into();
    assert_eq!(site.hear(&relayed), []);
    site.plan.network.dhcp = DhcpMode::Off;
    assert_eq!(site.hear(&discover(KNOWN)), []);
}

#[test]
fn a_snapshot_brings_everything_back() {
    let mut site = Site::new();
    let address = site.boot(STRANGER);
    site.boot(KNOWN);
    site.hear(&message(KNOWN, &[(53, &[4]), (50, &FIXED.octets())]));
    site.ledger = site.server.snapshot().collect();
    assert_eq!(site.ledger.len(), 2);
    site.restart();
    assert_eq!(site.server.lease_of(address).map(|lease| lease.key.mac), Some(STRANGER));
    assert_eq!(kind(&site.reply(&reboot(KNOWN, FIXED)).0), Some(6), "still in quarantine");
}

//! Addresses of the pool that somebody uses without our leave (QUIRKS 8), on paper time.

use proto::{
    event::{AlarmKind, EventKind},
    ledger::Quarantine,
};

use super::{
    rules::{alarms, refusals},
    *,
};
use crate::{arp::Claim, dhcp::Freed};

const PATIENCE: Duration = Duration::from_millis(300);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const SQUATTER: Mac = Mac([2, 0, 0, 0, 9, 9]);
const STRANGER_ROM: Mac = Mac([2, 0, 0, 0, 1, 1]);
const OTHER_ROM: Mac = Mac([2, 0, 0, 0, 1, 2]);
/// No address is asked for.
const NOBODY: [Ipv4Addr; 0] = [];

fn site() -> Site {
    Site { probes: true, ..Site::new() }
}

fn rom(mac: Mac) -> Message {
    message(mac, &[(53, &[1]), (60, b"PXEClient:Arch:00000:UNDI:002001"), (93, &[0, 0])])
}

impl Site {
    fn claim(&mut self, address: Ipv4Addr, mac: Mac) -> Vec<Effect> {
        let effects = self.server.handle_claim(self.now, Claim { address, mac });
        self.note(&effects);
        effects
    }

    fn rom_boot(&mut self, mac: Mac) -> Ipv4Addr {
        let (offer, _) = sent(&self.hear(&rom(mac))).expect("an OFFER");
        self.reply(&select(&rom(mac), &offer)).0.yiaddr
    }

    /// The address that is asked for because of a message, which then waits.
    fn probed(&mut self, message: &Message) -> Ipv4Addr {
        match self.hear(message)[..] {
            [Effect::Probe(address), Effect::Wait { until }] => {
                assert_eq!(until, self.now.mono.plus(PATIENCE));
                address
            }
            ref other => panic!("{other:?}"),
        }
    }

    /// Whose address is asked for now, whatever else is said.
    fn asked(&mut self, message: &Message) -> Vec<Ipv4Addr> {
        let probe = |effect: &Effect| if let Effect::Probe(address) = effect { Some(*address) } else { None };
        self.hear(message).iter().filter_map(probe).collect()
    }
}

#[test]
fn a_system_waits_for_a_probe_that_nobody_answers() {
    let mut site = site();
    let address = site.probed(&discover(STRANGER));
    site.wait(PATIENCE / 2);
    let again = site.hear(&discover(STRANGER));
    assert_eq!(again, [Effect::Wait { until: site.now.mono.plus(PATIENCE / 2) }], "asked for once");
    site.wait(PATIENCE / 2);
    assert_eq!(site.reply(&discover(STRANGER)).0.yiaddr, address);
    assert_eq!(site.boot(STRANGER), address, "silence is remembered");
    assert_eq!(site.asked(&discover(STRANGER)), NOBODY, "what a machine has is not asked for");
}

#[test]
fn a_system_is_offered_another_address_where_somebody_answers() {
    let mut site = site();
    let taken = site.probed(&discover(STRANGER));
    let effects = site.claim(taken, SQUATTER);
    assert_eq!(alarms(&effects), [AlarmKind::AddressInUse]);
    assert!(matches!(&effects[0], Effect::Persist(Record::Quarantine(q)) if q.address == taken));
    let told = |effect: &Effect| {
        matches!(effect, Effect::Report(EventKind::Alarm { detail, .. })
        if detail.contains(&SQUATTER.to_string()) && detail.contains(&taken.to_string()))
    };
    assert!(effects.iter().any(told), "{effects:?}");
    let other = site.probed(&discover(STRANGER));
    assert_ne!(other, taken);
    site.wait(PATIENCE);
    assert_eq!(site.boot(STRANGER), other);
    // Beyond its rest the address is asked for like any other.
    site.wait(HOUR);
    site.server = Server::new();
    assert_eq!(site.probed(&discover(STRANGER)), taken);
}

#[test]
fn firmware_has_its_offer_at_once() {
    let mut site = site();
    let effects = site.hear(&rom(STRANGER));
    let (offer, _) = sent(&effects).expect("an OFFER");
    assert!(effects.contains(&Effect::Probe(offer.yiaddr)));
    let (ack, _) = site.reply(&select(&rom(STRANGER), &offer));
    assert_eq!((kind(&ack), ack.yiaddr), (Some(5), offer.yiaddr), "the answer is not waited for");
}

#[test]
fn firmware_that_asks_for_an_address_in_use_is_passed_over_and_asks_anew() {
    let mut site = site();
    let (offer, _) = sent(&site.hear(&rom(STRANGER))).expect("an OFFER");
    assert_eq!(alarms(&site.claim(offer.yiaddr, SQUATTER)), [AlarmKind::AddressInUse]);
    let passed_over = site.hear(&select(&rom(STRANGER), &offer));
    assert_eq!(sent(&passed_over), None, "QUIRKS 7: no NAK");
    assert_eq!(
        refusals(&passed_over),
        [(offer.yiaddr, false, "another machine was found to use it".to_owned())]
    );
    let (other, _) = sent(&site.hear(&rom(STRANGER))).expect("another OFFER");
    assert_ne!(other.yiaddr, offer.yiaddr);
    assert_eq!(site.rom_boot(STRANGER), other.yiaddr);
}

#[test]
fn an_answer_behind_the_ack_counts_while_it_is_waited_for() {
    let mut site = site();
    let address = site.rom_boot(STRANGER_ROM);
    site.wait(PATIENCE / 2);
    assert_eq!(alarms(&site.claim(address, SQUATTER)), [AlarmKind::AddressInUse]);
    assert!(site.server.lease_of(address).is_some(), "the boot under way goes on");
    let (next, _) = sent(&site.hear(&rom(STRANGER_ROM))).expect("an OFFER");
    assert_ne!(next.yiaddr, address, "its next program gets another");

    let late = site.rom_boot(OTHER_ROM);
    site.wait(PATIENCE);
    assert_eq!(site.claim(late, SQUATTER), [], "another card of the machine that has it now");
}

#[test]
fn nothing_is_asked_of_fixed_addresses_relayed_links_and_what_is_leased() {
    let mut site = site();
    assert_eq!(site.asked(&discover(KNOWN)), NOBODY, "a fixed address");
    let mut relayed = discover(STRANGER);
    relayed.giaddr = [10, 9, 0, 1].into();
    assert_eq!(site.asked(&relayed), NOBODY);
    assert_eq!(site.asked(&reboot(STRANGER, [10, 1, 0, 10].into())), NOBODY, "no offer");
    let mut without = Site::new();
    assert_eq!(without.asked(&discover(STRANGER)), NOBODY, "no ARP there");
}

#[test]
fn whose_answer_is_no_conflict() {
    let mut site = site();
    let address = site.probed(&discover(STRANGER));
    assert_eq!(site.claim(address, STRANGER), [], "it has the address still");
    assert_eq!(site.claim([10, 1, 0, 12].into(), SQUATTER), [], "nobody asked");
    site.wait(PATIENCE);
    assert_eq!(site.boot(STRANGER), address);
    site.wait(MINUTE);
    assert_eq!(site.claim(address, SQUATTER), [], "long ago");
}

#[test]
fn a_declined_fixed_address_is_lifted_by_silence_and_confirmed_by_an_answer() {
    let decline = |site: &mut Site| {
        let declined = message(KNOWN, &[(53, &[4]), (50, &FIXED.octets()), (54, &SERVER.octets())]);
        site.asked(&declined)
    };
    let mut site = site();
    assert_eq!(site.boot(KNOWN), FIXED);
    assert_eq!(decline(&mut site), [FIXED]);
    assert_ne!(sent(&site.hear(&rom(KNOWN))).expect("a pool address").0.yiaddr, FIXED);
    assert_eq!(site.server.poll_timeout(), Some(site.now.mono.plus(PATIENCE)));
    site.wait(PATIENCE);
    assert_eq!(site.boot(KNOWN), FIXED, "nobody else has it");

    site.wait(MINUTE);
    assert_eq!(decline(&mut site), [FIXED]);
    assert_eq!(alarms(&site.claim(FIXED, SQUATTER)), [AlarmKind::AddressInUse]);
    site.wait(PATIENCE);
    assert_ne!(sent(&site.hear(&rom(KNOWN))).expect("a pool address").0.yiaddr, FIXED);
    site.wait(MINUTE);
    assert_eq!(site.boot(KNOWN), FIXED, "it rests for a minute");
    let before: Vec<_> = site.server.snapshot().collect();
    site.restart();
    site.wait(Duration::ZERO);
    assert_eq!(site.server.snapshot().collect::<Vec<_>>(), before, "the ledger knows what was lifted");
}

#[test]
fn an_answer_behind_the_silence_keeps_no_fixed_address_at_rest() {
    let mut site = site();
    assert_eq!(site.boot(KNOWN), FIXED);
    let declined = message(KNOWN, &[(53, &[4]), (50, &FIXED.octets()), (54, &SERVER.octets())]);
    assert_eq!(site.asked(&declined), [FIXED]);
    site.now = site.now.plus(PATIENCE + Duration::from_millis(1));
    let lifted = Record::Quarantine(Quarantine { address: FIXED, until: site.now.wall });
    assert_eq!(site.claim(FIXED, SQUATTER), [Effect::Persist(lifted)], "nobody was heard in time");
    assert_eq!(site.claim(FIXED, SQUATTER), [], "nobody asks any longer");
    assert_eq!(site.boot(KNOWN), FIXED);
}

#[test]
fn what_the_plan_keeps_for_a_host_rests_for_a_minute_whoever_answers_or_declines() {
    let (squatted, declined) = ([10, 1, 0, 10].into(), [10, 1, 0, 11].into());
    let wish = |address: Ipv4Addr| message(STRANGER, &[(53, &[1]), (50, &address.octets())]);
    let hosts = |fixed| [host(1, "web-1", vec![KNOWN, KNOWN_TOO], Some(fixed))];
    let mut site = site();
    assert_eq!(site.probed(&wish(squatted)), squatted);
    site.plan = plan(2, "10.1.0.8-10.1.0.12", &hosts(squatted));
    site.server.follow(&site.plan);
    assert_eq!(alarms(&site.claim(squatted, SQUATTER)), [AlarmKind::AddressInUse]);
    assert_ne!(sent(&site.hear(&rom(KNOWN))).expect("a pool address").0.yiaddr, squatted);
    site.wait(MINUTE);
    assert_eq!(site.boot(KNOWN), squatted);

    let (offer, _) = {
        site.probed(&wish(declined));
        site.wait(PATIENCE);
        site.reply(&wish(declined))
    };
    assert_eq!(offer.yiaddr, declined);
    site.reply(&select(&wish(declined), &offer));
    site.plan = plan(3, "10.1.0.8-10.1.0.12", &hosts(declined));
    site.hear(&message(STRANGER, &[(53, &[4]), (50, &declined.octets()), (54, &SERVER.octets())]));
    site.wait(MINUTE);
    assert_eq!(site.boot(KNOWN_TOO), declined, "its lease and its rest are over");
}

#[test]
fn silence_for_one_machine_is_none_for_another() {
    let wish = |mac: Mac| message(mac, &[(53, &[1]), (50, &[10, 1, 0, 10])]);
    let mut site = site();
    let address = site.probed(&wish(STRANGER));
    site.wait(PATIENCE);
    let (offer, _) = site.reply(&wish(STRANGER));
    site.reply(&select(&wish(STRANGER), &offer));
    site.wait(MINUTE / 2);
    assert!(matches!(site.server.free(address, STRANGER), Freed::Ended(_)));
    assert_eq!(site.probed(&wish(OTHER_ROM)), address, "its last machine may use it still");
    assert_eq!(alarms(&site.claim(address, STRANGER)), [AlarmKind::AddressInUse]);
    site.wait(MINUTE / 6);
    assert_ne!(site.probed(&wish(OTHER_ROM)), address);
}

/// A wide link of one pool; the first machines' addresses are answered for, by whom `claimant` says. What was
/// answered with, each time.
fn answered_for(pool: &str, machines: u8, claimant: impl Fn(u8) -> Mac) -> (Site, Vec<Vec<Effect>>) {
    let hosts = [host(1, "web-1", vec![KNOWN, KNOWN_TOO], Some(FIXED))];
    let mut site = Site { probes: true, ..Site::of(plan(1, pool, &hosts)) };
    let claims = (0..machines).map(|n| {
        let address = site.probed(&discover(Mac([2, 0, 0, 1, 0, n])));
        let effects = site.claim(address, claimant(n));
        site.wait(MINUTE / 4);
        effects
    });
    let claims = claims.collect();
    (site, claims)
}

fn resting(site: &Site) -> usize {
    site.server.snapshot().filter(|record| matches!(record, Record::Quarantine(_))).count()
}

#[test]
fn who_answers_for_everything_empties_no_pool_and_what_it_answered_for_is_free_again() {
    let (mut site, claims) = answered_for("10.1.0.20-10.1.0.200", 40, |_| SQUATTER);
    let persisted =
        |effects: &Vec<Effect>| effects.iter().filter(|effect| matches!(effect, Effect::Persist(_))).count();
    let records: Vec<usize> = claims.iter().map(persisted).collect();
    assert_eq!(records, [&[1; 16][..], &[16], &[0; 23]].concat());
    assert!(claims.iter().filter(|effects| !alarms(effects).is_empty()).count() > 16, "it is told of");
    assert_eq!(resting(&site), 0);
    site.restart();
    site.wait(Duration::ZERO);
    assert_eq!(resting(&site), 0, "nor in the ledger");
}

#[test]
fn who_answers_with_a_new_address_each_time_takes_a_quarter_of_the_pool() {
    let (mut site, claims) = answered_for("10.1.0.20-10.1.0.99", 60, |n| Mac([2, 0, 0, 3, 0, n]));
    assert_eq!(resting(&site), 20);
    let told = claims[20..].iter().filter(|effects| !alarms(effects).is_empty()).count();
    assert_eq!(told, 10, "once a minute, not once for each");
    assert_eq!(site.asked(&discover(STRANGER)).len(), 1, "there is an address to offer");
}

#[test]
fn a_small_pool_is_never_at_rest_as_a_whole() {
    for (pool, left) in [("10.1.0.20-10.1.0.23", 4), ("10.1.0.20-10.1.0.20", 1)] {
        let (site, _) = answered_for(pool, 4.min(left), |_| SQUATTER);
        assert_eq!(resting(&site), 0, "{pool}: unmasked by its second answer");
        let (site, _) = answered_for(pool, left.min(2), |n| Mac([2, 0, 0, 3, 0, n]));
        assert_eq!(resting(&site), usize::from(left > 1), "{pool}");
    }
}

#[test]
fn probes_that_are_remembered_are_bounded() {
    let hosts = [host(1, "web-1", vec![KNOWN, KNOWN_TOO], Some(FIXED))];
    let mut plan = plan(1, "10.1.0.20-10.1.0.200", &hosts);
    plan.network.subnets[0].network = "10.1.0.0/16".parse().expect("a network");
    plan.network.subnets[0].pools = vec!["10.1.1.0-10.1.200.255".parse().expect("a range")];
    let mut site = Site { probes: true, ..Site::of(plan) };
    let asked: usize = (0..2_000_u16)
        .map(|n| {
            let [high, low] = n.to_be_bytes();
            let asked = site.asked(&rom(Mac([2, 0, 0, 2, high, low]))).len();
            site.hear(&message(Mac([2, 0, 0, 2, high, low]), &[(53, &[3]), (54, &[10, 1, 0, 77])]));
            asked
        })
        .sum();
    assert_eq!(asked, 1_024);
}

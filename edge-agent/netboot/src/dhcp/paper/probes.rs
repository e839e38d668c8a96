//! Addresses of the pool that somebody uses without our leave (QUIRKS 8), on paper time.

use proto::event::{AlarmKind, EventKind};

use super::{rules::alarms, *};
use crate::arp::Claim;

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
    assert_eq!(site.hear(&select(&rom(STRANGER), &offer)), Vec::new(), "QUIRKS 7: no NAK");
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
fn who_answers_for_everything_empties_no_pool() {
    let hosts = [host(1, "web-1", vec![KNOWN, KNOWN_TOO], Some(FIXED))];
    let mut site = Site { probes: true, ..Site::of(plan(1, "10.1.0.20-10.1.0.200", &hosts)) };
    let mut withdrawn = 0;
    for n in 0..40 {
        let mac = Mac([2, 0, 0, 1, 0, n]);
        let address = site.probed(&discover(mac));
        withdrawn += usize::from(!site.claim(address, SQUATTER).is_empty());
        site.wait(MINUTE);
    }
    // And one alarm a minute that says so.
    assert_eq!(withdrawn, 40);
    assert_eq!(site.server.snapshot().filter(|record| matches!(record, Record::Quarantine(_))).count(), 16);
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

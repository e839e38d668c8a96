//! Addresses that stand ready, so that systems need not wait for their offers, on paper time.

use proto::event::AlarmKind;

use super::{rules::alarms, *};
use crate::arp::Claim;

const SECOND: Duration = Duration::from_secs(1);
const SQUATTER: Mac = Mac([2, 0, 0, 0, 9, 9]);

fn site() -> Site {
    let hosts = [host(1, "web-1", vec![KNOWN, KNOWN_TOO], Some(FIXED))];
    let site = Site::of(plan(1, "10.1.0.20-10.1.0.39", &hosts));
    Site { probes: true, server: Server::asking_ahead(), ..site }
}

fn machine(n: u8) -> Mac {
    Mac([2, 0, 0, 0, 1, n])
}

/// Everything that is due until then; what was asked for ahead of time.
fn pass(site: &mut Site, by: Duration) -> Vec<Ipv4Addr> {
    let until = site.now.mono.plus(by);
    let mut asked = Vec::new();
    while let Some(due) = site.server.poll_timeout().filter(|due| *due <= until) {
        let effects = site.wait(due.since(site.now.mono));
        asked.extend(effects.iter().filter_map(|effect| match effect {
            Effect::ProbeAhead { wire: 0, address } => Some(*address),
            Effect::ProbeAhead { .. } => panic!("another wire"),
            Effect::Persist(_)
            | Effect::Report(_)
            | Effect::Probe(_)
            | Effect::Send { .. }
            | Effect::Wait { .. } => None,
        }));
    }
    site.wait(until.since(site.now.mono));
    asked
}

fn waits(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Wait { .. }))
}

/// The address that a system is offered at once; None: it has to wait.
fn offered(site: &mut Site, mac: Mac) -> Option<Ipv4Addr> {
    let effects = site.hear(&discover(mac));
    let offer = sent(&effects).map(|(offer, _)| offer.yiaddr);
    assert_eq!(offer.is_none(), waits(&effects));
    let asked = |address| effects.contains(&Effect::Probe(address));
    assert!(offer.is_none_or(asked), "it is asked for all the same");
    offer
}

#[test]
fn the_first_system_waits_and_the_next_ones_do_not() {
    let mut site = site();
    assert_eq!(offered(&mut site, machine(1)), None);
    let asked = pass(&mut site, 3 * SECOND);
    assert_eq!(asked.len(), 2);
    let first = offered(&mut site, machine(2)).expect("one stands ready");
    let second = offered(&mut site, machine(3)).expect("another");
    assert_eq!([first, second], asked[..]);
    assert_eq!(site.boot(machine(2)), first, "and no wait when it asks again");
    assert_eq!(offered(&mut site, machine(4)), None, "so quickly there are no more");
    assert_eq!(pass(&mut site, 3 * SECOND).len(), 4, "there are more the next time");
    assert!((5..9).all(|n| offered(&mut site, machine(n)).is_some()));
}

#[test]
fn who_answers_takes_an_address_from_what_stands_ready() {
    let mut site = site();
    offered(&mut site, machine(1));
    let asked = pass(&mut site, 3 * SECOND);
    let effects = site.server.handle_claim(site.now, Claim { address: asked[0], mac: SQUATTER });
    assert_eq!(alarms(&effects), [AlarmKind::AddressInUse]);
    assert_eq!(offered(&mut site, machine(2)), Some(asked[1]));
    // Somebody has come since: the answer is heard before the REQUEST, and the offer is withdrawn.
    let (offer, _) = site.reply(&discover(machine(2)));
    site.server.handle_claim(site.now, Claim { address: asked[1], mac: SQUATTER });
    assert_eq!(
        sent(&site.hear(&select(&discover(machine(2)), &offer))).map(|(nak, _)| kind(&nak)),
        Some(Some(6))
    );
    assert_ne!(offered(&mut site, machine(2)), Some(asked[1]));
}

#[test]
fn what_was_leased_meanwhile_stands_ready_no_longer() {
    let mut site = site();
    offered(&mut site, machine(1));
    let asked = pass(&mut site, 3 * SECOND);
    // INIT-REBOOT: it takes the address without an offer, and gives it back.
    assert!(sent(&site.hear(&reboot(machine(9), asked[0]))).is_some());
    assert!(matches!(site.server.free(asked[0], machine(9)), crate::dhcp::Freed::Ended(_)));
    assert_eq!(
        offered(&mut site, machine(2)),
        Some(asked[1]),
        "its last machine may use the other one still"
    );
}

#[test]
fn silence_of_long_ago_counts_for_nothing() {
    let mut site = site();
    offered(&mut site, machine(1));
    let asked = pass(&mut site, 3 * SECOND);
    site.now = site.now.plus(200 * SECOND);
    let mut again = pass(&mut site, Duration::ZERO);
    assert_eq!(offered(&mut site, machine(2)), None);
    again.extend(pass(&mut site, 3 * SECOND));
    assert_eq!(again.len(), 2, "{asked:?}, then {again:?}");
}

#[test]
fn who_comes_back_is_asked_for_its_former_address_and_a_wish_is_a_wish() {
    let mut site = site();
    let wish = |address: Ipv4Addr| message(machine(1), &[(53, &[1]), (50, &address.octets())]);
    site.hear(&wish([10, 1, 0, 39].into()));
    pass(&mut site, 3 * SECOND);
    let (offer, _) = site.reply(&wish([10, 1, 0, 39].into()));
    assert_eq!(offer.yiaddr, Ipv4Addr::new(10, 1, 0, 39), "asked for, though others stand ready");
    site.reply(&select(&discover(machine(1)), &offer));
    pass(&mut site, LEASE + SECOND);
    assert_eq!(offered(&mut site, machine(1)), None, "its former address is to be asked for");
    pass(&mut site, SECOND);
    assert_eq!(site.boot(machine(1)), offer.yiaddr);
}

#[test]
fn firmware_is_offered_what_it_always_was() {
    let (mut site, mut plain) = (site(), self::site());
    plain.server = Server::new();
    offered(&mut site, machine(1));
    pass(&mut site, 3 * SECOND);
    let rom = message(machine(2), &[(53, &[1]), (60, b"PXEClient:Arch:00000:UNDI:002001"), (93, &[0, 0])]);
    assert_eq!(site.reply(&rom).0.yiaddr, plain.reply(&rom).0.yiaddr);
}

#[test]
fn what_is_never_leased_is_not_asked_for() {
    let mut plan = plan(1, "10.1.0.1-10.1.0.8", &[]);
    let subnet = &mut plan.network.subnets[0];
    (subnet.dns, subnet.ntp) = (vec![Ipv4Addr::new(10, 1, 0, 3)], vec![Ipv4Addr::new(10, 1, 0, 4)]);
    let never = [subnet.router.expect("it has one"), SERVER, subnet.dns[0], subnet.ntp[0]];
    let mut site = Site { probes: true, server: Server::asking_ahead(), ..Site::of(plan) };
    let mut asked = Vec::new();
    for n in 0..4 {
        offered(&mut site, machine(n));
        asked.extend(pass(&mut site, 10 * SECOND));
    }
    assert!(asked.len() >= 2, "{asked:?}");
    assert!(never.iter().all(|address| !asked.contains(address)), "{asked:?}");
}

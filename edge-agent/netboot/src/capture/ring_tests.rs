//! Bounds that hold for any machines, and whose packets come back.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000;
const LIMITS: Limits = Limits { total: 256 << 10, machine: 8 << 10 };

fn end(last: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, last), 67)
}

fn packet(at: u64, bytes: &[u8]) -> Packet<'_> {
    Packet::udp(at, Way::In, end(9), end(2), bytes)
}

fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

fn record(rings: &mut Rings, number: u32, at: u64, bytes: &[u8], standing: Standing) {
    rings.record(Party::Machine(mac(number)), &packet(at, bytes), || Some(standing));
}

fn held(rings: &Rings, number: u32) -> Vec<u64> {
    rings.collect(&[Party::Machine(mac(number))], 0, u64::MAX).iter().map(|packet| packet.at).collect()
}

#[test]
fn packets_come_back_as_they_were() {
    let segment = Segment { sequence: u32::MAX, acknowledgement: 7, flags: Segment::SYN };
    let whole = packet(1 << 40, b"payload");
    let connected =
        Packet { carrier: Carrier::Tcp(segment), way: Way::Out, relayed: true, original: 70_000, ..whole };
    let mut rings = Rings::new(LIMITS);
    for packet in [whole, connected] {
        rings.record(Party::Machine(mac(1)), &packet, || Some(Standing::Host));
    }
    assert_eq!(rings.collect(&[Party::Machine(mac(1))], 0, u64::MAX), [whole, connected]);
}

#[test]
fn of_a_long_payload_the_start_is_kept_and_its_length() {
    let mut rings = Rings::new(LIMITS);
    record(&mut rings, 1, 1, &[7; 5_000], Standing::Host);
    let packets = rings.collect(&[Party::Machine(mac(1))], 0, 1);
    assert_eq!((packets[0].bytes.len(), packets[0].original), (LONGEST, 5_000));
}

#[test]
fn the_oldest_packets_go_first() {
    let mut rings = Rings::new(LIMITS);
    (0..1_000).for_each(|at| record(&mut rings, 1, at, &[0; 300], Standing::Host));
    let held = held(&rings, 1);
    let room = LIMITS.machine / (300 + HEADER);
    assert!(held.len() > room / 2 && held.len() <= room, "{} of {room}", held.len());
    assert!(
        held.iter().copied().eq(1_000 - held.len() as u64..1_000),
        "the last ones without a hole: {held:?}"
    );
}

#[test]
fn many_thousand_machines_stay_within_the_limit() {
    let mut rings = Rings::new(LIMITS);
    for number in 0..20_000 {
        record(&mut rings, number, u64::from(number) * SECOND, &[0; 300], Standing::Host);
        assert!(rings.bytes() <= LIMITS.total);
    }
    let (held_by, entries) = (rings.len(), rings.hosts.by_silence.len());
    assert!(held_by > 50 && entries == held_by, "{held_by} rings, {entries} entries");
    assert!(held(&rings, 0).is_empty() && held(&rings, 19_999) == [19_999 * SECOND]);
}

#[test]
fn strangers_never_push_out_hosts() {
    let mut rings = Rings::new(LIMITS);
    record(&mut rings, 1, 1, b"boots", Standing::Host);
    for number in 2..20_000 {
        record(&mut rings, number, number.into(), &[0; 300], Standing::Stranger);
    }
    assert_eq!(held(&rings, 1), [1]);
    assert!(rings.strangers.bytes <= LIMITS.total / 4);
}

#[test]
fn who_has_spoken_since_stays() {
    let mut rings = Rings::new(LIMITS);
    record(&mut rings, 0, 0, b"first", Standing::Host);
    for number in 1..2_000 {
        record(&mut rings, number, u64::from(number) * SECOND, &[0; 300], Standing::Host);
        record(&mut rings, 0, u64::from(number) * SECOND, b"on", Standing::Host);
    }
    assert!(!held(&rings, 0).is_empty());
}

#[test]
fn those_under_way_do_not_give_way_to_a_flood() {
    let mut rings = Rings::new(LIMITS);
    for number in 0..20_000 {
        record(&mut rings, number, number.into(), &[0; 300], Standing::Host);
    }
    let kept = rings.len() as u64;
    assert!(kept > 50 && held(&rings, 0) == [0] && held(&rings, 19_999).is_empty(), "{kept} rings");
    (0..200).for_each(|at| record(&mut rings, 0, 20_000 + at, &[0; 300], Standing::Host));
    let held_now = held(&rings, 0);
    assert_eq!(held_now.last(), Some(&20_199), "its own oldest give way");
    assert!(held_now.len() < 10 && rings.len() as u64 == kept && rings.bytes() <= LIMITS.total);
    record(&mut rings, 20_000, UNDER_WAY + kept, b"later", Standing::Host);
    assert_eq!(held(&rings, 20_000), [UNDER_WAY + kept]);
}

#[test]
fn who_is_not_admitted_has_no_ring() {
    let mut rings = Rings::new(LIMITS);
    rings.record(Party::Machine(mac(1)), &packet(1, b""), || None);
    assert!(rings.is_empty());
    let mut off = Rings::new(Limits::of_total(0));
    record(&mut off, 1, 1, b"", Standing::Host);
    assert!(off.is_empty() && off.is_off());
}

#[test]
fn an_address_leads_to_the_machine_that_was_given_it() {
    let (mut rings, address) = (Rings::new(LIMITS), Ipv4Addr::new(10, 1, 0, 50));
    rings.given(mac(1), address);
    assert_eq!(rings.party_of(address), Party::Address(address), "a machine without a ring has none");
    (1..3).for_each(|number| record(&mut rings, number, 1, b"", Standing::Host));
    rings.given(mac(1), address);
    rings.claimed(mac(2), address);
    assert_eq!(rings.party_of(address), Party::Machine(mac(1)), "a word takes nothing from others");
    rings.given(mac(2), address);
    assert_eq!(rings.party_of(address), Party::Machine(mac(2)));
    (1..=9).for_each(|last| rings.given(mac(2), Ipv4Addr::new(10, 1, 0, last)));
    assert_eq!(rings.owners.len(), ADDRESSES);
    rings.remove(Party::Machine(mac(2)));
    assert!(rings.owners.is_empty());
}

proptest! {
    /// Whatever comes from whom: within the limits, what is counted is what there is, and packets are whole.
    #[test]
    fn bounds_hold(steps in prop::collection::vec((0_u32..300, 0_usize..3_000, any::<bool>()), 1..600)) {
        let mut rings = Rings::new(Limits { total: 64 << 10, machine: 5 << 10 });
        for (at, (number, length, host)) in steps.iter().enumerate() {
            let standing = if *host { Standing::Host } else { Standing::Stranger };
            record(&mut rings, *number, at as u64 * SECOND, &vec![1; *length], standing);
            prop_assert!(rings.hosts.bytes <= rings.hosts.limit && rings.strangers.bytes <= rings.strangers.limit);
        }
        let counted: usize = rings.rings.values().map(Ring::cost).sum();
        prop_assert_eq!(counted, rings.bytes());
        for ring in rings.rings.values() {
            prop_assert!(ring.older.capacity() + ring.newer.capacity() <= rings.limits.machine);
            let parsed: usize = ring.packets().map(|packet| HEADER + packet.bytes.len()).sum();
            prop_assert_eq!(parsed, ring.older.len() + ring.newer.len());
        }
    }
}

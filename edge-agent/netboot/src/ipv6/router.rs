//! Router discovery (RFC 4861 §4.1, §4.2, §6): solicitations read, and the advertisement of a router that is none.

use std::net::Ipv6Addr;

use proto::Mac;

use super::packet::{ICMPV6, Packet, Route, frame, multicast_mac, own_address};

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
const SOURCE_LINK_ADDRESS: u8 = 1;
/// Nothing with another hop limit comes from this link (RFC 4861 §6.1).
const HOP_LIMIT: u8 = 255;
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub(super) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Who is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    /// One that has no address yet: everybody is told.
    Unspecified,
    /// This one.
    Machine(Mac, Ipv6Addr),
}

/// What router discovery has to tell us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Somebody asks for a router.
    Solicitation(Asker),
    /// There is a router, or a router's DHCPv6 server, or a prefix: IPv6 is somebody's here.
    Router,
}

/// None: neither of them, or not valid.
pub(super) fn read(packet: &Packet<'_>) -> Option<Heard> {
    let [kind, 0, _, _, rest @ ..] = packet.payload else { return None };
    if packet.protocol != ICMPV6 || packet.hop_limit != HOP_LIMIT {
        return None;
    }
    match *kind {
        SOLICITATION => solicitation(packet, rest).map(Heard::Solicitation),
        ADVERTISEMENT => says_something(packet, rest).then_some(Heard::Router),
        _ => None,
    }
}

/// RFC 4861 §6.1.1.
fn solicitation(packet: &Packet<'_>, rest: &[u8]) -> Option<Asker> {
    let (_reserved, options) = rest.split_first_chunk::<4>()?;
    let options = option_kinds(options)?;
    if !packet.source.is_unspecified() {
        return Some(Asker::Machine(packet.mac, packet.source));
    }
    let legal = packet.destination == ALL_ROUTERS && !options.contains(&SOURCE_LINK_ADDRESS);
    legal.then_some(Asker::Unspecified)
}

/// RFC 4861 §6.1.2. An advertisement like ours says nothing: it is another agent's.
fn says_something(packet: &Packet<'_>, rest: &[u8]) -> bool {
    let Some(([_hop_limit, flags, lifetime @ ..], rest)) = rest.split_first_chunk::<4>() else {
        return false;
    };
    let options = rest.split_first_chunk::<8>().and_then(|(_timers, options)| option_kinds(options));
    let Some(options) = options.filter(|_| packet.source.is_unicast_link_local()) else { return false };
    *flags != 0 || *lifetime != [0, 0] || !options.is_empty()
}

/// The types of the options; None: one of them has no length, or is cut off (RFC 4861 §4.6).
fn option_kinds(mut options: &[u8]) -> Option<Vec<u8>> {
    let mut kinds = Vec::new();
    while let [kind, eights, ..] = options {
        options = options.get(usize::from(*eights).checked_mul(8).filter(|length| *length > 0)?..)?;
        kinds.push(*kind);
    }
    options.is_empty().then_some(kinds)
}

/// We ask whether there is a router: from nowhere, so that the answer is for all (RFC 4861 §6.2.6), and needs no address
/// of ours to be resolved.
pub(super) fn question(ours: Mac) -> Option<Vec<u8>> {
    let (from, to) = ((ours, Ipv6Addr::UNSPECIFIED), (multicast_mac(ALL_ROUTERS), ALL_ROUTERS));
    let mut payload = vec![0; 8];
    payload[0] = SOLICITATION;
    frame(Route { from, to, hop_limit: HOP_LIMIT, protocol: ICMPV6 }, payload, 2)
}

/// An advertisement that makes nobody take us for a router: hop limit, flags, lifetime and timers are all "unspecified",
/// and there is no option, so that no cache is touched either.
pub(super) fn advertisement(ours: Mac, to: Asker) -> Option<Vec<u8>> {
    let to = match to {
        Asker::Unspecified => (multicast_mac(ALL_NODES), ALL_NODES),
        Asker::Machine(mac, address) => (mac, address),
    };
    let route = Route { from: (ours, own_address(ours)), to, hop_limit: HOP_LIMIT, protocol: ICMPV6 };
    let mut payload = vec![0; 16];
    payload[0] = ADVERTISEMENT;
    frame(route, payload, 2)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::packet::tests::{MACHINE, OURS, sent};
    use super::*;

    const SOURCE: &str = "fe80::5054:ff:fe7b:6d3d";
    /// As iPXE sends it, with its link address.
    const SOLICIT: &[u8] = b"\x85\0\0\0\0\0\0\0\x01\x01\x52\x54\0\x7b\x6d\x3d";

    pub(in crate::ipv6) fn solicit(source: &str) -> Vec<u8> {
        let payload = if source == "::" { &SOLICIT[..8] } else { SOLICIT };
        sent((source, "ff02::2"), (ICMPV6, HOP_LIMIT), payload)
    }

    pub(in crate::ipv6) fn advertise(lifetime: u16) -> Vec<u8> {
        let mut payload = [0; 16];
        payload[0] = ADVERTISEMENT;
        payload[6..8].copy_from_slice(&lifetime.to_be_bytes());
        sent(("fe80::99", "ff02::1"), (ICMPV6, HOP_LIMIT), &payload)
    }

    fn heard(frame: &[u8]) -> Option<Heard> {
        read(&Packet::parse(frame).expect("well-formed"))
    }

    fn asks(source: &str, destination: &str, hop_limit: u8, payload: &[u8]) -> bool {
        heard(&sent((source, destination), (ICMPV6, hop_limit), payload)).is_some()
    }

    #[test]
    fn who_asks_is_known() {
        let source = SOURCE.parse().expect("an address");
        assert_eq!(heard(&solicit(SOURCE)), Some(Heard::Solicitation(Asker::Machine(MACHINE, source))));
        assert_eq!(heard(&solicit("::")), Some(Heard::Solicitation(Asker::Unspecified)));
    }

    #[test]
    fn our_question_is_a_valid_solicitation() {
        let frame = question(OURS).expect("it fits");
        assert_eq!((&frame[..6], &frame[6..12]), (&[0x33, 0x33, 0, 0, 0, 2][..], &OURS.0[..]));
        assert_eq!(heard(&frame), Some(Heard::Solicitation(Asker::Unspecified)));
    }

    /// RFC 4861 §6.1.1, rule by rule.
    #[test]
    fn a_solicitation_that_is_not_valid_is_dropped() {
        assert!(asks(SOURCE, "ff02::2", 255, SOLICIT));
        assert!(!asks(SOURCE, "ff02::2", 254, SOLICIT), "it came through a router");
        assert!(!asks(SOURCE, "ff02::2", 255, b"\x85\x01\0\0\0\0\0\0"), "code 1");
        assert!(!asks(SOURCE, "ff02::2", 255, &SOLICIT[..7]), "7 bytes");
        assert!(
            !asks(SOURCE, "ff02::2", 255, b"\x85\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"),
            "an option of length 0"
        );
        assert!(!asks(SOURCE, "ff02::2", 255, &SOLICIT[..12]), "an option that is cut off");
        assert!(!asks("::", "ff02::2", 255, SOLICIT), "a link address from nowhere");
        assert!(!asks("::", "ff02::1", 255, &SOLICIT[..8]), "from nowhere, not to all routers");
    }

    #[test]
    fn a_router_is_one_that_says_something() {
        assert_eq!(heard(&advertise(1_800)), Some(Heard::Router));
        assert_eq!(heard(&advertise(0)), None);
        let with = |payload: &[u8]| asks("fe80::99", "ff02::1", 255, payload);
        assert!(with(b"\x86\0\0\0\0\x80\0\0\0\0\0\0\0\0\0\0"), "a DHCPv6 server");
        assert!(with(b"\x86\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\x01\0\0\0\0\x05\xdc"), "an MTU");
        assert!(!with(b"\x86\0\0\0\0\x80\0\0\0\0\0\0\0\0\0"), "15 bytes");
        assert!(
            !asks("2001:db8::1", "ff02::1", 255, b"\x86\0\0\0\0\x80\0\0\0\0\0\0\0\0\0\0"),
            "not of this link"
        );
    }

    #[test]
    fn the_advertisement_is_of_no_router() {
        let to = Asker::Machine(MACHINE, SOURCE.parse().expect("an address"));
        let frame = advertisement(OURS, to).expect("it fits");
        assert_eq!((&frame[..6], &frame[6..12]), (&MACHINE.0[..], &OURS.0[..]));
        let packet = Packet::parse(&frame).expect("well-formed");
        assert_eq!((packet.source, packet.hop_limit), (own_address(OURS), 255));
        assert_eq!((packet.payload.len(), packet.payload[0], &packet.payload[4..]), (16, 134, &[0; 12][..]));
        assert_eq!(read(&packet), None, "another agent does not take it for a router's");
        let to_all = advertisement(OURS, Asker::Unspecified).expect("it fits");
        assert_eq!(to_all[..6], [0x33, 0x33, 0, 0, 0, 1]);
        assert_eq!(Packet::parse(&to_all).expect("well-formed").destination, ALL_NODES);
    }
}

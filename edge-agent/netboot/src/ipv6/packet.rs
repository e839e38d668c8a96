//! IPv6 packets in Ethernet frames (RFC 8200, RFC 2464), as far as this module needs them: ICMPv6 and UDP right behind
//! the fixed header. A packet with extension headers is passed over; no firmware sends one with what is answered here.
//!
//! ```text
//!  0 destination | source | 0x86dd
//! 14 version, class, flow | payload length | next header | hop limit | source (16) | destination (16)
//! 54 payload
//! ```

use std::net::Ipv6Addr;

use proto::Mac;

pub(super) const ICMPV6: u8 = 58;
pub(super) const UDP: u8 = 17;

const ETHERTYPE: [u8; 2] = [0x86, 0xdd];
const ETHERNET_HEADER: usize = 14;
const IPV6_HEADER: usize = 40;

/// A packet whose lengths and checksum are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// The link address that it came from.
    pub(super) mac: Mac,
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) hop_limit: u8,
    /// [`ICMPV6`] or [`UDP`].
    pub(super) protocol: u8,
    /// From the protocol's own header on.
    pub(super) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// None: something else, cut short or damaged.
    pub(super) fn parse(frame: &'a [u8]) -> Option<Self> {
        let (link, rest) = frame.split_first_chunk::<ETHERNET_HEADER>()?;
        let (header, rest) = rest.split_first_chunk::<IPV6_HEADER>()?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let packet = Self {
            mac: Mac(*link[6..].first_chunk()?),
            source: address(&header[8..])?,
            destination: address(&header[24..])?,
            hop_limit: header[7],
            protocol: header[6],
            // What is behind it pads the frame.
            payload: rest.get(..length)?,
        };
        let known = link[12..] == ETHERTYPE && header[0] >> 4 == 6 && matches!(header[6], ICMPV6 | UDP);
        let from_one = packet.mac.0[0] & 1 == 0 && !packet.source.is_multicast();
        // RFC 8200 §8.1: a UDP datagram without a checksum (0) is dropped, which its sum then shows.
        (known && from_one && packet.checksum() == 0).then_some(packet)
    }

    /// Over the pseudo-header of RFC 8200 §8.1 and the payload; 0 where the payload holds the right one.
    fn checksum(&self) -> u16 {
        let Ok(length) = u32::try_from(self.payload.len()) else { return u16::MAX };
        let (source, destination) = (self.source.octets(), self.destination.octets());
        let tail = [0, 0, 0, self.protocol];
        let parts = [&source[..], &destination, &length.to_be_bytes(), &tail, self.payload];
        let words = parts.iter().flat_map(|part| part.chunks(2));
        let sum: u64 =
            words.map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0))).sum();
        let folded = (0..3).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16));
        !u16::try_from(folded).unwrap_or(u16::MAX)
    }
}

fn address(bytes: &[u8]) -> Option<Ipv6Addr> {
    bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets))
}

/// Where a frame goes, and how it gets there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) from: (Mac, Ipv6Addr),
    pub(super) to: (Mac, Ipv6Addr),
    pub(super) hop_limit: u8,
    pub(super) protocol: u8,
}

/// A frame around a payload whose two bytes at `checksum_at` are still zero. None: the payload is longer than a packet
/// can be.
pub(super) fn frame(route: Route, mut payload: Vec<u8>, checksum_at: usize) -> Option<Vec<u8>> {
    let Route { from, to, hop_limit, protocol } = route;
    let length = u16::try_from(payload.len()).ok()?;
    let packet =
        Packet { mac: from.0, source: from.1, destination: to.1, hop_limit, protocol, payload: &payload };
    let sum = match packet.checksum() {
        // RFC 8200 §8.1; ICMPv6 has no such rule, and all ones mean the same there.
        0 => u16::MAX,
        sum => sum,
    };
    payload.get_mut(checksum_at..checksum_at + 2)?.copy_from_slice(&sum.to_be_bytes());
    let mut frame = [&to.0.0[..], &from.0.0, &ETHERTYPE, &[0x60, 0, 0, 0]].concat();
    frame.extend(length.to_be_bytes());
    frame.extend([protocol, hop_limit]);
    frame.extend(from.1.octets());
    frame.extend(to.1.octets());
    frame.extend(payload);
    Some(frame)
}

/// Where packets for a multicast group go (RFC 2464 §7).
pub(super) fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// The address that this module speaks from: link-local, made from the card's own, and no other than ours. It must not
/// be the one that the system has there: if that system is a router, a lifetime of 0 from its address would be its end
/// as one (RFC 4861 §6.3.4). `b0:07` stands where RFC 4291's own rule has `ff:fe`.
pub(super) fn own_address(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a, b, c, 0xb0, 0x07, d, e, f])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::ipv6) const MACHINE: Mac = Mac([0x52, 0x54, 0, 0x7b, 0x6d, 0x3d]);
    pub(in crate::ipv6) const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);

    /// A frame of the machine's.
    pub(in crate::ipv6) fn sent(
        (source, destination): (&str, &str),
        (protocol, hop_limit): (u8, u8),
        payload: &[u8],
    ) -> Vec<u8> {
        let to: Ipv6Addr = destination.parse().expect("an address");
        let route = Route {
            from: (MACHINE, source.parse().expect("an address")),
            to: (multicast_mac(to), to),
            hop_limit,
            protocol,
        };
        let checksum_at = if protocol == UDP { 6 } else { 2 };
        frame(route, payload.to_vec(), checksum_at).expect("it fits")
    }

    #[test]
    fn a_frame_reads_as_it_was_written() {
        for payload in [&b"\x85\0\0\0odd"[..], b"\x85\0\0\0even"] {
            let mut frame = sent(("fe80::1", "ff02::2"), (ICMPV6, 255), payload);
            assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 2]);
            // Short frames are padded on the wire.
            frame.extend([0; 8]);
            let packet = Packet::parse(&frame).expect("well-formed");
            assert_eq!((packet.mac, packet.hop_limit), (MACHINE, 255));
            assert_eq!(
                (packet.source.to_string(), packet.destination.to_string()),
                ("fe80::1".into(), "ff02::2".into())
            );
            assert_eq!((packet.payload.len(), &packet.payload[4..]), (payload.len(), &payload[4..]));
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_no_packet() {
        let whole = sent(("fe80::1", "ff02::2"), (ICMPV6, 255), b"\x85\0\0\0\0\0\0\0");
        for length in 0..whole.len() {
            assert_eq!(Packet::parse(&whole[..length]), None, "{length} bytes");
        }
        for at in (0..6).chain([18, 21]) {
            let mut other = whole.clone();
            other[at] ^= 1;
            // Where it goes, and how far, is in no checksum.
            let untouched = at < 6 || at == 21;
            assert_eq!(Packet::parse(&other).is_some(), untouched, "byte {at}");
        }
        for at in 12..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 0x40;
            let uncovered = matches!(at, 15..=17 | 21);
            assert_eq!(Packet::parse(&other).is_some(), uncovered, "byte {at}");
        }
    }

    #[test]
    fn our_address_is_no_systems() {
        assert_eq!(own_address(MACHINE).to_string(), "fe80::5254:b0:77b:6d3d");
        assert!(own_address(MACHINE).is_unicast_link_local());
        let eui64: Ipv6Addr = "fe80::5054:ff:fe7b:6d3d".parse().expect("an address");
        assert_ne!(own_address(MACHINE), eui64);
    }
}

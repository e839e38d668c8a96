//! Ethernet frames around UDP datagrams and TCP segments, made by hand: to be sent where a socket cannot, and to be written
//! into captures of what sockets carried.
//!
//! ```text
//!  0 destination | source | 0x0800          RFC 894
//! 14 version, IHL | TOS | length | id | flags | TTL | protocol | checksum | source | destination   RFC 791
//! 34 source port | destination port | length | checksum | payload                                  RFC 768
//! 34 source port | destination port | sequence | acknowledgement | offset, flags | window | checksum | urgent | payload
//!                                                                                                  RFC 9293
//! ```

use std::net::SocketAddrV4;

use proto::Mac;

const IPV4: [u8; 2] = [0x08, 0x00];
const ETHERNET_HEADER: usize = 14;
const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
const UDP: u8 = 17;
const TCP: u8 = 6;
const TTL: u8 = 64;

/// The longest payload: what an Ethernet frame carries less the headers.
pub const MAX_PAYLOAD: usize = 1500 - IP_HEADER - UDP_HEADER;

/// The two ends of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// Who sends it.
    pub from: (Mac, SocketAddrV4),
    /// Who is to get it.
    pub to: (Mac, SocketAddrV4),
}

/// Where a TCP segment stands in its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The number of its first byte.
    pub sequence: u32,
    /// The next byte that is expected from the other end.
    pub acknowledgement: u32,
    /// [`Segment::SYN`] and its like.
    pub flags: u8,
}

impl Segment {
    /// RFC 9293 §3.1: no more is to come.
    pub const FIN: u8 = 0x01;
    /// The first number.
    pub const SYN: u8 = 0x02;
    /// Somebody waits for it.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement counts.
    pub const ACK: u8 = 0x10;

    /// The window that every segment names: nobody here knows the real one.
    const WINDOW: u16 = u16::MAX;
}

/// A frame with a frame's real length, of which only the start may be at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The start of the frame.
    pub bytes: Vec<u8>,
    /// How long all of it was.
    pub original: usize,
}

/// The frame, without its checksum at the end, which the card adds. None: the payload is longer than
/// [`MAX_PAYLOAD`].
#[must_use]
pub fn udp_frame(ends: Ends, payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() > MAX_PAYLOAD {
        return None;
    }
    udp(ends, payload, payload.len()).map(|frame| frame.bytes)
}

/// A datagram of `original` bytes that begins with `payload`, as one frame however long it is. Without its whole payload
/// it has no checksum, which RFC 768 allows. None: no IPv4 datagram is so long.
#[must_use]
pub fn udp(ends: Ends, payload: &[u8], original: usize) -> Option<Cut> {
    let length = u16::try_from(UDP_HEADER + original).ok()?;
    let mut header = [0; UDP_HEADER];
    header[..2].copy_from_slice(&ends.from.1.port().to_be_bytes());
    header[2..4].copy_from_slice(&ends.to.1.port().to_be_bytes());
    header[4..6].copy_from_slice(&length.to_be_bytes());
    if payload.len() == original {
        let sum = match transport_checksum(ends, UDP, length, &header, payload) {
            // RFC 768: 0 would mean that there is none.
            0 => 0xffff,
            sum => sum,
        };
        header[6..].copy_from_slice(&sum.to_be_bytes());
    }
    frame(ends, UDP, length, &header, payload, original)
}

/// A segment of `original` bytes that begins with `payload`. None: no IPv4 datagram is so long.
#[must_use]
pub fn tcp(ends: Ends, segment: Segment, payload: &[u8], original: usize) -> Option<Cut> {
    let length = u16::try_from(TCP_HEADER + original).ok()?;
    let mut header = [0; TCP_HEADER];
    header[..2].copy_from_slice(&ends.from.1.port().to_be_bytes());
    header[2..4].copy_from_slice(&ends.to.1.port().to_be_bytes());
    header[4..8].copy_from_slice(&segment.sequence.to_be_bytes());
    header[8..12].copy_from_slice(&segment.acknowledgement.to_be_bytes());
    // Five words and no options.
    header[12..14].copy_from_slice(&[5 << 4, segment.flags]);
    header[14..16].copy_from_slice(&Segment::WINDOW.to_be_bytes());
    if payload.len() == original {
        let sum = transport_checksum(ends, TCP, length, &header, payload);
        header[16..18].copy_from_slice(&sum.to_be_bytes());
    }
    frame(ends, TCP, length, &header, payload, original)
}

fn frame(
    ends: Ends,
    protocol: u8,
    length: u16,
    header: &[u8],
    payload: &[u8],
    original: usize,
) -> Option<Cut> {
    let total = length.checked_add(20)?;
    let mut bytes = Vec::with_capacity(ETHERNET_HEADER + IP_HEADER + header.len() + payload.len());
    bytes.extend(ends.to.0.0);
    bytes.extend(ends.from.0.0);
    bytes.extend(IPV4);
    bytes.extend(ip_header(ends, protocol, total));
    bytes.extend(header);
    bytes.extend(payload);
    Some(Cut { original: bytes.len() - payload.len() + original, bytes })
}

fn ip_header(ends: Ends, protocol: u8, total: u16) -> [u8; IP_HEADER] {
    let [high, low] = total.to_be_bytes();
    let mut header = [0; IP_HEADER];
    header[..12].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0, 0, TTL, protocol, 0, 0]);
    header[12..16].copy_from_slice(&ends.from.1.ip().octets());
    header[16..].copy_from_slice(&ends.to.1.ip().octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

/// Over the pseudo header, the header with its own sum at 0, and the payload (RFC 768, RFC 9293 §3.1).
fn transport_checksum(ends: Ends, protocol: u8, length: u16, header: &[u8], payload: &[u8]) -> u16 {
    let [high, low] = length.to_be_bytes();
    let (source, destination) = (ends.from.1.ip().octets(), ends.to.1.ip().octets());
    checksum(&[&source, &destination, &[0, protocol, high, low], header, payload])
}

/// RFC 1071. Every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 = words.map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).expect("two folds of a sum of at most 65535 bytes leave 16 bits")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ends() -> Ends {
        Ends {
            from: (Mac([2, 0, 0, 0, 0, 1]), SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 2), 67)),
            to: (Mac([2, 0, 0, 0, 0, 9]), SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 9), 68)),
        }
    }

    /// Sums to all ones with its own checksum in place (RFC 1071 §1).
    fn holds(parts: &[&[u8]]) -> bool {
        checksum(parts) == 0
    }

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
    }

    #[test]
    fn a_frame_has_its_headers_and_sums() {
        for payload in [&b"even"[..], b"odd", b"", &[0xff; MAX_PAYLOAD]] {
            let frame = udp_frame(ends(), payload).expect("it fits");
            assert_eq!(frame[..14], [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0]);
            let (ip, udp) = frame[14..].split_at(20);
            assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), frame.len() - 14);
            assert_eq!((ip[9], &ip[12..16], &ip[16..]), (17, &[10, 1, 0, 2][..], &[10, 1, 0, 9][..]));
            assert_eq!(udp[..4], [0, 67, 0, 68]);
            assert!(holds(&[ip]));
            assert!(holds(&[&ip[12..], &[0, 17], &udp[4..6], udp]));
            assert_eq!(&udp[8..], payload);
        }
        assert_eq!(udp_frame(ends(), &[0; MAX_PAYLOAD + 1]), None);
    }

    #[test]
    fn a_segment_has_its_numbers_and_sums() {
        let segment = Segment { sequence: 7, acknowledgement: 9, flags: Segment::PSH | Segment::ACK };
        for payload in [&b"even"[..], b"odd", b"", &[0xff; 40_000]] {
            let Cut { bytes, original } = tcp(ends(), segment, payload, payload.len()).expect("it fits");
            assert_eq!(bytes.len(), original);
            let (ip, tcp) = bytes[14..].split_at(20);
            assert_eq!((ip[9], &tcp[4..14]), (6, &[0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18][..]));
            let length = u16::try_from(tcp.len()).expect("it fits").to_be_bytes();
            assert!(holds(&[ip]) && holds(&[&ip[12..], &[0, 6], &length, tcp]));
        }
    }

    #[test]
    fn of_what_is_cut_the_headers_say_the_real_length() {
        let Cut { bytes, original } = udp(ends(), b"head", 1_472).expect("it fits");
        assert_eq!((bytes.len(), original), (14 + 28 + 4, 14 + 1_500));
        let (ip, udp) = bytes[14..].split_at(20);
        assert_eq!((&ip[2..4], &udp[4..8]), (&1_500_u16.to_be_bytes()[..], &[0x05, 0xc8, 0, 0][..]));
        assert!(holds(&[ip]));
        assert_eq!(super::udp(ends(), b"", 65_508), None, "RFC 791: the length has 16 bits");
    }
}

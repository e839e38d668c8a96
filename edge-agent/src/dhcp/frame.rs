//! An Ethernet frame with an IPv4 and UDP header around a payload, made by hand.
//!
//! ```text
//!  0 destination | source | 0x0800          RFC 894
//! 14 version, IHL | TOS | length | id | flags | TTL | protocol | checksum | source | destination   RFC 791
//! 34 source port | destination port | length | checksum | payload                                  RFC 768
//! ```

use std::net::SocketAddrV4;

use proto::Mac;

const IPV4: [u8; 2] = [0x08, 0x00];
const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
const TTL: u8 = 64;

/// The longest payload: what an Ethernet frame carries less the headers.
pub(super) const MAX_PAYLOAD: usize = 1500 - IP_HEADER - UDP_HEADER;

/// The two ends of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) from: (Mac, SocketAddrV4),
    pub(super) to: (Mac, SocketAddrV4),
}

/// The frame, without its checksum at the end, which the card adds. None: the payload is longer than
/// [`MAX_PAYLOAD`].
pub(super) fn udp_frame(ends: Ends, payload: &[u8]) -> Option<Vec<u8>> {
    if payload.len() > MAX_PAYLOAD {
        return None;
    }
    let udp_length = u16::try_from(UDP_HEADER + payload.len()).ok()?;
    let mut frame = Vec::with_capacity(14 + IP_HEADER + usize::from(udp_length));
    frame.extend(ends.to.0.0);
    frame.extend(ends.from.0.0);
    frame.extend(IPV4);
    frame.extend(ip_header(ends, udp_length));
    frame.extend(udp_header(ends, udp_length, payload));
    frame.extend(payload);
    Some(frame)
}

fn ip_header(ends: Ends, udp_length: u16) -> [u8; IP_HEADER] {
    let [high, low] = (udp_length + 20).to_be_bytes();
    let mut header = [0; IP_HEADER];
    header[..12].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0, 0, TTL, UDP, 0, 0]);
    header[12..16].copy_from_slice(&ends.from.1.ip().octets());
    header[16..].copy_from_slice(&ends.to.1.ip().octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

fn udp_header(ends: Ends, length: u16, payload: &[u8]) -> [u8; UDP_HEADER] {
    let mut header = [0; UDP_HEADER];
    header[..2].copy_from_slice(&ends.from.1.port().to_be_bytes());
    header[2..4].copy_from_slice(&ends.to.1.port().to_be_bytes());
    header[4..6].copy_from_slice(&length.to_be_bytes());
    let [high, low] = length.to_be_bytes();
    let (source, destination) = (ends.from.1.ip().octets(), ends.to.1.ip().octets());
    let sum = match checksum(&[&source, &destination, &[0, UDP, high, low], &header, payload]) {
        // RFC 768: 0 would mean that there is none.
        0 => 0xffff,
        sum => sum,
    };
    header[6..].copy_from_slice(&sum.to_be_bytes());
    header
}

/// RFC 1071. Every part but the last has an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u32 = words.map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).expect("two folds of a sum of at most 1500 bytes leave 16 bits")
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
}

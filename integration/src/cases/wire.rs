//! What a capture tells: who asked whom for what. Of DHCP every message, of HTTP the first line of a request, of IPv6
//! that it is declined.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Context as _;
use proto::Mac;

use super::exchange::Heard;
use crate::lab::pcap::{self, Datagram, Packet, short};

/// What one packet says, as far as cases ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A DHCP message of a client.
    DhcpRequest { mac: Mac },
    /// A DHCP message to a client.
    DhcpReply { mac: Mac },
    /// A machine is told that there is no IPv6: by an advertisement of a router that is none, or by a DHCPv6 Advertise.
    Ipv6Declined { mac: Mac },
    /// A TFTP read request (RFC 1350 §5).
    TftpRead { from: Ipv4Addr, name: String },
    /// The first line of an HTTP request.
    HttpRequest { from: Ipv4Addr, method: String, target: String },
}

/// A capture.
#[derive(Debug)]
pub(super) struct Wire {
    said: Vec<Said>,
    heard: Vec<Heard>,
    bytes: Vec<u8>,
}

impl Wire {
    /// Reads a pcap file. Packets of other kinds are passed over.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        let frames = pcap::frames(&bytes).with_context(|| format!("failed to read {}", path.display()))?;
        let (mut said, mut heard) = (Vec::new(), Vec::new());
        for frame in frames {
            said.extend(parse(frame));
            heard.extend(Packet::of(frame).and_then(Datagram::of).and_then(Heard::of));
        }
        Ok(Self { said, heard, bytes })
    }

    /// The DHCP messages of a machine and those to it, in their order.
    pub(super) fn dhcp(&self, mac: Mac) -> Vec<Heard> {
        self.heard.iter().filter(|heard| heard.message.mac == mac).cloned().collect()
    }

    /// Whether the machine asked by DHCP and was answered.
    pub(super) fn leased(&self, mac: Mac) -> bool {
        self.said.contains(&Said::DhcpRequest { mac }) && self.said.contains(&Said::DhcpReply { mac })
    }

    /// Whether the machine was told that there is no IPv6.
    pub(super) fn declined_ipv6(&self, mac: Mac) -> bool {
        self.said.contains(&Said::Ipv6Declined { mac })
    }

    /// The names that were asked for by TFTP.
    pub(super) fn tftp_names(&self) -> Vec<&str> {
        self.said
            .iter()
            .filter_map(
                |said| if let Said::TftpRead { name, .. } = said { Some(name.as_str()) } else { None },
            )
            .collect()
    }

    /// The requests to HTTP servers, as `METHOD TARGET`.
    pub(super) fn http_requests(&self) -> Vec<String> {
        let line = |said: &Said| match said {
            Said::HttpRequest { method, target, .. } => Some(format!("{method} {target}")),
            Said::DhcpRequest { .. }
            | Said::DhcpReply { .. }
            | Said::Ipv6Declined { .. }
            | Said::TftpRead { .. } => None,
        };
        self.said.iter().filter_map(line).collect()
    }

    /// Whether these bytes went over the wire within one packet.
    pub(super) fn carried(&self, text: &str) -> bool {
        self.bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

fn parse(frame: &[u8]) -> Option<Said> {
    if short(frame, 12) == Some(0x86dd) {
        return ipv6(frame);
    }
    let packet = Packet::of(frame)?;
    match packet.protocol {
        6 => http(packet.from, packet.segment.get(usize::from(packet.segment.get(12)? >> 4) * 4..)?),
        _ => udp(Datagram::of(packet)?),
    }
}

/// RFC 8200 §3, behind the link's 14 bytes: the next header is the 7th byte, the payload begins behind the 40th.
fn ipv6(frame: &[u8]) -> Option<Said> {
    let payload = frame.get(54..)?;
    let declines = match frame.get(20)? {
        // RFC 4861 §4.2: an advertisement of lifetime 0.
        58 => *payload.first()? == 134 && short(payload, 6) == Some(0),
        // RFC 8415 §8: an Advertise to a client's port.
        17 => short(payload, 2) == Some(546) && *payload.get(8)? == 2,
        _ => false,
    };
    let mac = Mac(*frame.first_chunk()?);
    declines.then_some(Said::Ipv6Declined { mac })
}

fn udp(datagram: Datagram<'_>) -> Option<Said> {
    let payload = datagram.payload;
    match datagram.to.port() {
        67 | 68 => dhcp(payload),
        69 if short(payload, 0) == Some(1) => {
            let name = payload.get(2..)?.split(|byte| *byte == 0).next()?;
            Some(Said::TftpRead {
                from: *datagram.from.ip(),
                name: String::from_utf8_lossy(name).into_owned(),
            })
        }
        _ => None,
    }
}

/// `op` and `chaddr` (RFC 2131 §2). Not the port: relay agents are answered at a server's.
fn dhcp(message: &[u8]) -> Option<Said> {
    let mac = Mac(*message.get(28..)?.first_chunk()?);
    match message.first()? {
        1 => Some(Said::DhcpRequest { mac }),
        2 => Some(Said::DhcpReply { mac }),
        _ => None,
    }
}

fn http(from: Ipv4Addr, payload: &[u8]) -> Option<Said> {
    let line = payload.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    (matches!(method, "GET" | "HEAD" | "POST") && version.starts_with("HTTP/1.")).then(|| Said::HttpRequest {
        from,
        method: method.to_owned(),
        target: target.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::pcap::tests::{capture, ipv4, udp_to};

    #[test]
    fn requests_are_told_apart() {
        let from = Ipv4Addr::new(10, 0, 0, 7);
        let dhcp = |op| [[op].as_slice(), &[0; 27], &[2, 3, 4, 5, 6, 7], &[0; 202]].concat();
        let mac = Mac([2, 3, 4, 5, 6, 7]);
        assert_eq!(parse(&udp_to(67, &dhcp(1))), Some(Said::DhcpRequest { mac }));
        assert_eq!(parse(&udp_to(68, &dhcp(2))), Some(Said::DhcpReply { mac }));
        assert_eq!(parse(&udp_to(67, &dhcp(2))), Some(Said::DhcpReply { mac }), "to a relay agent");
        let read = parse(&udp_to(69, b"\0\x01snponly.efi\0octet\0"));
        assert_eq!(read, Some(Said::TftpRead { from, name: "snponly.efi".to_owned() }));
        let tcp =
            [&[0; 12][..], &[0x50, 0, 0, 0, 0, 0, 0, 0], b"GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n"].concat();
        let (method, target) = ("GET".to_owned(), "/a/b".to_owned());
        assert_eq!(parse(&ipv4(6, &tcp)), Some(Said::HttpRequest { from, method, target }));
    }

    #[test]
    fn a_refusal_of_ipv6_is_known() {
        let frame = |protocol: u8, payload: &[u8]| {
            let link = [&[2, 3, 4, 5, 6, 7][..], &[0; 6], &[0x86, 0xdd]].concat();
            [&link[..], &[0x60, 0, 0, 0, 0, 0, protocol, 255], &[0; 32], payload].concat()
        };
        let declined = Some(Said::Ipv6Declined { mac: Mac([2, 3, 4, 5, 6, 7]) });
        assert_eq!(parse(&frame(58, &[134, 0, 0, 0, 0, 0, 0, 0])), declined);
        assert_eq!(parse(&frame(58, &[134, 0, 0, 0, 0, 0, 7, 8])), None, "a router");
        assert_eq!(parse(&frame(58, &[133, 0, 0, 0, 0, 0, 0, 0])), None, "a solicitation");
        assert_eq!(parse(&frame(17, &[2, 35, 2, 34, 0, 9, 0, 0, 2])), declined);
        assert_eq!(parse(&frame(17, &[2, 35, 2, 34, 0, 9, 0, 0, 7])), None, "a Reply");
    }

    #[test]
    fn what_is_cut_short_is_passed_over() {
        let whole = udp_to(69, b"\0\x01name\0octet\0");
        for length in 0..24 {
            assert_eq!(parse(&whole[..length]), None);
        }
        assert_eq!(parse(&udp_to(69, b"\0\x04\0\0")), None, "an acknowledgement");
    }

    #[test]
    fn a_file_is_read() {
        let file = capture(&[&udp_to(69, b"\0\x01name\0octet\0")]);
        let path = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(path.path(), file).expect("written");
        let wire = Wire::read(path.path()).expect("readable");
        assert_eq!(wire.tftp_names(), ["name"]);
        assert!(wire.carried("octet") && !wire.carried("elsewhere"));
    }
}

//! What a capture tells: who asked whom for what. Reads classic pcap files of Ethernet (the format of libpcap's
//! `pcap-savefile(5)`), IPv4 without fragments, of HTTP the first line of a request, and of IPv6 that it is declined.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, ensure};
use proto::Mac;

const MAGIC: u32 = 0xa1b2_c3d4;
const LINK_TYPE_ETHERNET: u32 = 1;
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

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
    bytes: Vec<u8>,
}

impl Wire {
    /// Reads a pcap file. Packets of other kinds are passed over.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        ensure!(word(&bytes, 0) == Some(MAGIC), "{} is no pcap file of this machine", path.display());
        ensure!(word(&bytes, 20) == Some(LINK_TYPE_ETHERNET), "{} is not of Ethernet", path.display());
        let mut said = Vec::new();
        let mut at = FILE_HEADER;
        while let Some(length) = word(&bytes, at + 8) {
            let frame = bytes.get(at + PACKET_HEADER..at + PACKET_HEADER + length as usize);
            // The last packet may be cut where tcpdump was stopped.
            let Some(frame) = frame else { break };
            said.extend(parse(frame));
            at += PACKET_HEADER + length as usize;
        }
        Ok(Self { said, bytes })
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

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|short| u16::from_be_bytes(*short))
}

fn parse(frame: &[u8]) -> Option<Said> {
    if short(frame, 12) == Some(0x86dd) {
        return ipv6(frame);
    }
    // Ethernet II: destination, source, type 0x0800 for IPv4.
    let packet = frame.get(14..).filter(|_| short(frame, 12) == Some(0x0800))?;
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let from = Ipv4Addr::from(*packet.get(12..)?.first_chunk::<4>()?);
    // Beyond the total length is padding.
    let total = usize::from(short(packet, 2)?);
    let segment = packet.get(header..total.min(packet.len()))?;
    match packet.get(9)? {
        17 => udp(from, segment),
        6 => http(from, segment.get(usize::from(segment.get(12)? >> 4) * 4..)?),
        _ => None,
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

fn udp(from: Ipv4Addr, segment: &[u8]) -> Option<Said> {
    let payload = segment.get(8..)?;
    match short(segment, 2)? {
        67 => dhcp_client(payload).map(|mac| Said::DhcpRequest { mac }),
        68 => dhcp_client(payload).map(|mac| Said::DhcpReply { mac }),
        69 if short(payload, 0) == Some(1) => {
            let name = payload.get(2..)?.split(|byte| *byte == 0).next()?;
            Some(Said::TftpRead { from, name: String::from_utf8_lossy(name).into_owned() })
        }
        _ => None,
    }
}

/// `chaddr` (RFC 2131 §2).
fn dhcp_client(message: &[u8]) -> Option<Mac> {
    message.get(28..)?.first_chunk().map(|mac| Mac(*mac))
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

    fn ipv4(protocol: u8, segment: &[u8]) -> Vec<u8> {
        let mut frame = [[0; 12].as_slice(), &[8, 0]].concat();
        let total = u16::try_from(20 + segment.len()).expect("small").to_be_bytes();
        frame.extend([0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 7, 10, 0, 0, 1]);
        frame.extend(segment);
        frame
    }

    fn udp_to(port: u16, payload: &[u8]) -> Vec<u8> {
        let [high, low] = port.to_be_bytes();
        ipv4(17, &[&[0, 9, high, low, 0, 0, 0, 0], payload].concat())
    }

    #[test]
    fn requests_are_told_apart() {
        let from = Ipv4Addr::new(10, 0, 0, 7);
        let dhcp = [[0_u8; 28].as_slice(), &[2, 3, 4, 5, 6, 7], &[0; 200]].concat();
        let mac = Mac([2, 3, 4, 5, 6, 7]);
        assert_eq!(parse(&udp_to(67, &dhcp)), Some(Said::DhcpRequest { mac }));
        assert_eq!(parse(&udp_to(68, &dhcp)), Some(Said::DhcpReply { mac }));
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
    fn a_file_is_read_to_its_last_whole_packet() {
        let frame = udp_to(69, b"\0\x01name\0octet\0");
        let mut file = [MAGIC, 0, 0, 0, 2_000, LINK_TYPE_ETHERNET].map(u32::to_ne_bytes).concat();
        let length = u32::try_from(frame.len()).expect("small");
        for _ in 0..2 {
            file.extend([0, 0, length, length].map(u32::to_ne_bytes).concat());
            file.extend(&frame);
        }
        file.truncate(file.len() - 3);
        let path = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(path.path(), file).expect("written");
        let wire = Wire::read(path.path()).expect("readable");
        assert_eq!(wire.tftp_names(), ["name"]);
        assert!(wire.carried("octet") && !wire.carried("elsewhere"));
    }
}

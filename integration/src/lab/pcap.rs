//! Reading captures back: classic pcap files of Ethernet (`pcap-savefile(5)`), and IPv4 without fragments in them.

/// The kernel's own byte order, times in microseconds.
pub const MAGIC: u32 = 0xa1b2_c3d4;
/// `LINKTYPE_ETHERNET`.
pub const ETHERNET: u32 = 1;

const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
const IPV4: u16 = 0x0800;
const UDP: u8 = 17;

use std::net::{Ipv4Addr, SocketAddrV4};

/// Why bytes are no capture of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCapture {
    /// Another format, or another machine's byte order.
    #[error("no pcap file of this machine")]
    Magic,
    /// Another kind of link.
    #[error("no capture of Ethernet")]
    Link,
}

/// The frames of a capture, up to the last whole one: a file that is being written ends anywhere.
///
/// # Errors
/// When it is no capture of Ethernet.
pub fn frames(file: &[u8]) -> Result<impl Iterator<Item = &[u8]>, NoCapture> {
    if word(file, 0) != Some(MAGIC) {
        return Err(NoCapture::Magic);
    }
    if word(file, 20) != Some(ETHERNET) {
        return Err(NoCapture::Link);
    }
    let mut rest = &file[FILE_HEADER.min(file.len())..];
    Ok(std::iter::from_fn(move || {
        let length = word(rest, 8)? as usize;
        let frame = rest.get(PACKET_HEADER..PACKET_HEADER + length)?;
        rest = &rest[PACKET_HEADER + length..];
        Some(frame)
    }))
}

/// An IPv4 packet (RFC 791 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its source.
    pub from: Ipv4Addr,
    /// Its destination.
    pub to: Ipv4Addr,
    /// The number of what it carries.
    pub protocol: u8,
    /// What it carries, without the padding of short frames.
    pub segment: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The packet in an Ethernet II frame: destination, source, type 0x0800.
    #[must_use]
    pub fn of(frame: &'a [u8]) -> Option<Self> {
        let packet = frame.get(14..).filter(|_| short(frame, 12) == Some(IPV4))?;
        let header = usize::from(packet.first()? & 0x0f) * 4;
        let total = usize::from(short(packet, 2)?);
        Some(Self {
            from: address(packet, 12)?,
            to: address(packet, 16)?,
            protocol: *packet.get(9)?,
            segment: packet.get(header..total.min(packet.len()))?,
        })
    }
}

/// A UDP datagram (RFC 768).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Its source.
    pub from: SocketAddrV4,
    /// Its destination.
    pub to: SocketAddrV4,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// The datagram in a packet.
    #[must_use]
    pub fn of(packet: Packet<'a>) -> Option<Self> {
        let Packet { from, to, protocol, segment } = packet;
        let ports = (protocol == UDP).then(|| Some((short(segment, 0)?, short(segment, 2)?)))??;
        let payload = segment.get(8..)?;
        Some(Self { from: SocketAddrV4::new(from, ports.0), to: SocketAddrV4::new(to, ports.1), payload })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

/// Two bytes in the network's order.
pub(crate) fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|short| u16::from_be_bytes(*short))
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes.get(at..)?.first_chunk::<4>().map(|address| Ipv4Addr::from(*address))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A frame from 10.0.0.7 to 10.0.0.1 with this in it.
    pub(crate) fn ipv4(protocol: u8, segment: &[u8]) -> Vec<u8> {
        let mut frame = [[0; 12].as_slice(), &[8, 0]].concat();
        let total = u16::try_from(20 + segment.len()).expect("small").to_be_bytes();
        frame.extend([0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 7, 10, 0, 0, 1]);
        frame.extend(segment);
        frame
    }

    /// A frame with a datagram from port 9.
    pub(crate) fn udp_to(port: u16, payload: &[u8]) -> Vec<u8> {
        let [high, low] = port.to_be_bytes();
        ipv4(17, &[&[0, 9, high, low, 0, 0, 0, 0], payload].concat())
    }

    /// A capture of these frames.
    pub(crate) fn capture(frames: &[&[u8]]) -> Vec<u8> {
        let mut file = [MAGIC, 0, 0, 0, 2_000, ETHERNET].map(u32::to_ne_bytes).concat();
        for frame in frames {
            let length = u32::try_from(frame.len()).expect("small");
            file.extend([0, 0, length, length].map(u32::to_ne_bytes).concat());
            file.extend(*frame);
        }
        file
    }

    #[test]
    fn a_datagram_is_read_without_the_frames_padding() {
        let padded = [udp_to(67, b"what"), vec![0; 20]].concat();
        let datagram = Packet::of(&padded).and_then(Datagram::of).expect("a datagram");
        let end = |last, port| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), port);
        assert_eq!(datagram, Datagram { from: end(7, 9), to: end(1, 67), payload: b"what" });
        assert_eq!(Packet::of(&ipv4(6, b"12345678")).and_then(Datagram::of), None, "TCP");
    }

    #[test]
    fn what_is_cut_short_is_none() {
        let whole = udp_to(69, b"");
        for length in 0..whole.len() {
            assert_eq!(Packet::of(&whole[..length]).and_then(Datagram::of), None, "{length}");
        }
    }

    #[test]
    fn a_file_is_read_to_its_last_whole_packet() {
        let mut file = capture(&[b"one", b"two", b"three"]);
        file.truncate(file.len() - 1);
        assert_eq!(frames(&file).expect("a capture").collect::<Vec<_>>(), [b"one", b"two"]);
        assert_eq!(frames(b"").err(), Some(NoCapture::Magic));
        assert_eq!(frames(&file[..20]).err(), Some(NoCapture::Link));
    }
}

//! Captures as files: pcap as libpcap has written it since 1998 (version 2.4, microseconds, Ethernet), which every tool reads.
//!
//! ```text
//!  0 magic | 4 version 2.4 | 8 zone, accuracy | 16 longest packet | 20 link type 1      once
//!  0 seconds | 4 microseconds | 8 bytes here | 12 bytes of the frame | frame           each packet
//! ```

use std::net::{Ipv4Addr, SocketAddrV4};

use proto::Mac;

use super::{Carrier, Packet, Way, mask_fields, mask_tokens, mask_tokens_of_start, ring::LONGEST as KEPT};
use crate::frame::{self, Cut, Ends};

const MAGIC: u32 = 0xa1b2_c3d4;
/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;
/// No frame of ours is longer.
const LONGEST: u32 = 0x1_0000 + 14;
/// Nobody's, and a link address that nobody here knows.
const UNKNOWN: Mac = Mac([0; 6]);
const BROADCAST: Mac = Mac([0xff; 6]);

/// The agent's end of a link: its address, and its link address there.
pub type Station = (Ipv4Addr, Mac);

/// A capture of a machine's packets, in their order, without the tokens that may stand in them.
#[must_use]
pub fn pcap(packets: &[Packet<'_>], machine: Mac, stations: &[Station]) -> Vec<u8> {
    let mut file =
        Vec::with_capacity(24 + packets.iter().map(|packet| 70 + packet.bytes.len()).sum::<usize>());
    file.extend_from_slice(&MAGIC.to_le_bytes());
    file.extend_from_slice(&[2, 0, 4, 0]);
    file.extend_from_slice(&[0; 8]);
    file.extend_from_slice(&LONGEST.to_le_bytes());
    file.extend_from_slice(&ETHERNET.to_le_bytes());
    for packet in packets {
        if let Some(frame) = framed(packet, machine, stations) {
            record(packet.at, &frame, &mut file);
        }
    }
    file
}

fn record(at: u64, frame: &Cut, file: &mut Vec<u8>) {
    let words = [at / 1_000_000, at % 1_000_000, frame.bytes.len() as u64, frame.original as u64];
    for word in words {
        // Seconds end in 2106, as the format does.
        file.extend_from_slice(&u32::try_from(word).unwrap_or(u32::MAX).to_le_bytes());
    }
    file.extend_from_slice(&frame.bytes);
}

/// None: it says that it was longer than anything can be.
fn framed(packet: &Packet<'_>, machine: Mac, stations: &[Station]) -> Option<Cut> {
    let mut payload = packet.bytes.to_vec();
    let original = (packet.original as usize).max(payload.len());
    // Of a TFTP block only its head is kept, which is no text.
    match payload.len() == KEPT && payload.len() < original {
        true => mask_tokens_of_start(&mut payload),
        false => mask_tokens(&mut payload),
    }
    let ours = |end: SocketAddrV4| stations.iter().find(|(address, _)| address == end.ip());
    let ours = |end| ours(end).map_or(UNKNOWN, |(_, mac)| *mac);
    let theirs = if packet.relayed { UNKNOWN } else { machine };
    let link = |end: SocketAddrV4, mac| if end.ip().is_broadcast() { BROADCAST } else { mac };
    let (from, to) = match packet.way {
        Way::In => (theirs, link(packet.to, ours(packet.to))),
        Way::Out => (ours(packet.from), link(packet.to, theirs)),
    };
    let ends = Ends { from: (from, packet.from), to: (to, packet.to) };
    match packet.carrier {
        Carrier::Udp => frame::udp(ends, &payload, original),
        Carrier::Tcp(segment) => {
            mask_fields(&mut payload);
            frame::tcp(ends, segment, &payload, original)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::capture::Segment;

    use super::*;

    const MACHINE: Mac = Mac([2, 0, 0, 0, 0, 9]);
    const STATION: Station = (Ipv4Addr::new(10, 1, 0, 2), Mac([2, 0, 0, 0, 0, 1]));

    fn at(address: [u8; 4], port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(address.into(), port)
    }

    fn frames(file: &[u8]) -> Vec<(u64, usize, &[u8])> {
        let mut rest = &file[24..];
        let mut frames = Vec::new();
        while !rest.is_empty() {
            let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("four bytes"));
            let here = word(8) as usize;
            frames.push((
                u64::from(word(0)) * 1_000_000 + u64::from(word(4)),
                word(12) as usize,
                &rest[16..16 + here],
            ));
            rest = &rest[16 + here..];
        }
        frames
    }

    /// Byte by byte: what others read must not change by accident.
    #[test]
    fn a_file_of_one_packet() {
        let packet =
            Packet::udp(1_700_000_000_000_007, Way::Out, at([10, 1, 0, 2], 67), at([10, 1, 0, 9], 68), b"hi");
        let mut expected =
            vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 14, 0, 1, 0, 1, 0, 0, 0];
        expected.extend([0x00, 0xf1, 0x53, 0x65, 7, 0, 0, 0, 44, 0, 0, 0, 44, 0, 0, 0]);
        expected.extend([2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0]);
        expected.extend([0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0x66, 0xc3, 10, 1, 0, 2, 10, 1, 0, 9]);
        expected.extend([0, 67, 0, 68, 0, 10, 0x82, 0xdd, b'h', b'i']);
        assert_eq!(pcap(&[packet], MACHINE, &[STATION]), expected);
    }

    #[test]
    fn who_sent_it_is_told_as_far_as_it_is_known() {
        let (client, any) = (at([0, 0, 0, 0], 68), at([255, 255, 255, 255], 67));
        let asks = Packet::udp(1, Way::In, client, any, b"");
        let relayed = Packet {
            relayed: true,
            ..Packet::udp(2, Way::In, at([10, 2, 0, 1], 67), at([10, 1, 0, 2], 67), b"")
        };
        let file = pcap(&[asks, relayed], MACHINE, &[STATION]);
        let frames = frames(&file);
        assert_eq!(frames[0].2[..12], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9]);
        assert_eq!(frames[1].2[..12], [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn tokens_are_masked_and_what_was_cut_says_how_long_it_was() {
        let head = format!("GET /o/{} HTTP/1.1\r\nCookie: a\r\n\r\n", "ab".repeat(16));
        let segment = Segment { sequence: 1, acknowledgement: 1, flags: Segment::ACK };
        let packet = Packet {
            carrier: Carrier::Tcp(segment),
            original: 9_000,
            ..Packet::udp(3, Way::In, at([10, 1, 0, 9], 1_025), at([10, 1, 0, 2], 80), head.as_bytes())
        };
        let file = pcap(&[packet], MACHINE, &[STATION]);
        let [(3, original, frame)] = frames(&file)[..] else { panic!("one packet: {file:?}") };
        let text = String::from_utf8_lossy(&frame[54..]);
        assert_eq!(text, format!("GET /o/{} HTTP/1.1\r\nCookie: *\r\n\r\n", "*".repeat(32)));
        assert_eq!(original, 54 + 9_000);
    }

    #[test]
    fn nothing_of_a_token_is_left_where_a_packet_was_cut() {
        let text = format!("{:>width$}{}", "=", &"ab".repeat(16)[..20], width = KEPT - 20);
        let whole = Packet::udp(3, Way::In, at([10, 1, 0, 9], 1_025), at([10, 1, 0, 2], 80), text.as_bytes());
        let cut = Packet { original: 9_000, ..whole };
        let file = pcap(&[whole, cut], MACHINE, &[STATION]);
        let ends: Vec<_> =
            frames(&file).iter().map(|(.., frame)| frame[frame.len() - 21..].to_vec()).collect();
        assert_eq!(ends, [&b"=abababababababababab"[..], b"=********************"]);
    }

    #[test]
    fn the_head_of_a_block_is_as_it_was() {
        let head = [0, 3, 0, b'7'];
        let block = Packet {
            original: 1_472,
            ..Packet::udp(3, Way::Out, at([10, 1, 0, 2], 69), at([10, 1, 0, 9], 1_025), &head)
        };
        let file = pcap(&[block], MACHINE, &[STATION]);
        assert!(frames(&file)[0].2.ends_with(&head));
    }
}

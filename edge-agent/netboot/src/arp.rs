//! ARP on Ethernet (RFC 826), as far as it takes to ask whether an address is anybody's (RFC 5227 §2.1.1) and to read the
//! answer.
//!
//! ```text
//!  0 destination | source | 0x0806
//! 14 hardware type 1 | protocol type 0x0800 | 6 | 4 | operation
//! 22 sender's MAC | sender's address | target's MAC | target's address
//! ```

use std::net::Ipv4Addr;

use proto::Mac;

const BROADCAST: [u8; 6] = [0xff; 6];
/// Ethertype; hardware type and length, protocol type and length.
const ARP_OF_IPV4_ON_ETHERNET: [u8; 8] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4];
const REQUEST: u8 = 1;
const REPLY: u8 = 2;

/// A whole message with its Ethernet header.
const LENGTH: usize = 42;
/// The shortest Ethernet frame, without its checksum.
const SHORTEST_FRAME: usize = 60;

/// Asks who has an address. The sender's address is 0.0.0.0, so that nobody's cache changes by being asked.
#[must_use]
pub fn probe(from: Mac, address: Ipv4Addr) -> [u8; SHORTEST_FRAME] {
    let mut frame = [0; SHORTEST_FRAME];
    frame[..6].copy_from_slice(&BROADCAST);
    frame[6..12].copy_from_slice(&from.0);
    frame[12..20].copy_from_slice(&ARP_OF_IPV4_ON_ETHERNET);
    frame[21] = REQUEST;
    frame[22..28].copy_from_slice(&from.0);
    frame[38..42].copy_from_slice(&address.octets());
    frame
}

/// A machine says that an address is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Whose address it is.
    pub address: Ipv4Addr,
    /// Who says so.
    pub mac: Mac,
}

impl Claim {
    /// Reads a frame; None: it is no answer of a station that has an address.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let message = frame.first_chunk::<LENGTH>()?;
        let reply = message[12..20] == ARP_OF_IPV4_ON_ETHERNET && message[20..22] == [0, REPLY];
        let mac = Mac(*message[22..].first_chunk()?);
        let address = Ipv4Addr::from(*message[28..].first_chunk::<4>()?);
        let station = mac.0[0] & 1 == 0 && !address.is_unspecified();
        (reply && station).then_some(Self { address, mac })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 9]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);

    /// What a kernel that has the address sends back (RFC 826 "Packet Reception").
    fn answer(probe: &[u8]) -> Vec<u8> {
        let mut frame = probe.to_vec();
        frame[..6].copy_from_slice(&OURS.0);
        frame[6..12].copy_from_slice(&THEIRS.0);
        frame[21] = REPLY;
        frame[22..28].copy_from_slice(&THEIRS.0);
        frame[28..32].copy_from_slice(&ADDRESS.octets());
        frame[32..38].copy_from_slice(&OURS.0);
        frame[38..42].copy_from_slice(&[0; 4]);
        frame
    }

    #[test]
    fn a_probe_has_no_sender_and_its_answer_is_read() {
        let probe = probe(OURS, ADDRESS);
        assert_eq!(probe[28..32], [0; 4], "RFC 5227: nobody is to note an address of ours");
        assert_eq!(Claim::parse(&probe), None);
        assert_eq!(Claim::parse(&answer(&probe)), Some(Claim { address: ADDRESS, mac: THEIRS }));
    }

    #[test]
    fn nothing_else_is_a_claim() {
        let good = answer(&probe(OURS, ADDRESS));
        for length in 0..LENGTH {
            assert_eq!(Claim::parse(&good[..length]), None);
        }
        // The ethertype, the types and lengths, the operation, a group for a sender.
        for (at, byte) in [(13, 0), (15, 6), (18, 8), (19, 16), (21, REQUEST), (22, 3)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(Claim::parse(&bad), None, "byte {at}");
        }
    }
}

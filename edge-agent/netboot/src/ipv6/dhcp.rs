//! DHCPv6 (RFC 8415), as far as it takes to say no: the Solicit of firmware that wants to boot, and an Advertise without
//! an address.
//!
//! No status code says why: EDK2 drops an Advertise with one (`NoAddrsAvail` is what RFC 8415 §18.3.9 would have) and
//! goes on asking for its minute (by its source, `Dhcp6Io.c`); one without any it keeps, finds nothing in it at its first
//! retransmission, and ends.

use std::net::Ipv6Addr;

use proto::Mac;

use super::packet::{Packet, Route, UDP, frame, own_address};

const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
const SOLICIT: u8 = 1;
const ADVERTISE: u8 = 2;
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
/// RFC 5970 §3.3: only who wants to boot names its architecture.
const ARCHITECTURE: u16 = 61;
pub(super) const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// The longest DUID (RFC 8415 §11.1), its type included.
const LONGEST_DUID: usize = 130;
/// DUID-LL of Ethernet (RFC 8415 §11.4).
const DUID_LINK: [u8; 4] = [0, 3, 0, 1];
const HOP_LIMIT: u8 = 64;

/// A Solicit of firmware that wants to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Solicit {
    /// Who sent it.
    pub(super) mac: Mac,
    address: Ipv6Addr,
    transaction: [u8; 3],
    client: Vec<u8>,
}

impl Solicit {
    /// None: another message, or not valid (RFC 8415 §16.2), or of an operating system.
    pub(super) fn read(packet: &Packet<'_>) -> Option<Self> {
        let message = datagram(packet)?;
        let [SOLICIT, a, b, c, options @ ..] = message else { return None };
        let mut client = None;
        let mut boots = false;
        for option in Options(options) {
            match option? {
                (CLIENT_ID, duid) => {
                    client = Some(duid).filter(|duid| (1..=LONGEST_DUID).contains(&duid.len()))
                }
                (SERVER_ID, _) => return None,
                (ARCHITECTURE, _) => boots = true,
                _ => {}
            }
        }
        let client = client.filter(|_| boots)?.to_vec();
        Some(Self { mac: packet.mac, address: packet.source, transaction: [*a, *b, *c], client })
    }

    /// The Advertise that offers nothing.
    pub(super) fn declined(&self, ours: Mac) -> Option<Vec<u8>> {
        let [a, b, c] = self.transaction;
        let mut message = vec![ADVERTISE, a, b, c];
        write(&mut message, CLIENT_ID, &self.client)?;
        write(&mut message, SERVER_ID, &[&DUID_LINK[..], &ours.0].concat())?;
        let length = u16::try_from(8 + message.len()).ok()?;
        let header = [SERVER_PORT, CLIENT_PORT, length, 0].map(u16::to_be_bytes).concat();
        let route = Route {
            from: (ours, own_address(ours)),
            to: (self.mac, self.address),
            hop_limit: HOP_LIMIT,
            protocol: UDP,
        };
        frame(route, [header, message].concat(), 6)
    }
}

/// What was sent from a machine of this link to every server.
fn datagram<'a>(packet: &Packet<'a>) -> Option<&'a [u8]> {
    let (header, message) = packet.payload.split_first_chunk::<8>()?;
    let port = u16::from_be_bytes([header[2], header[3]]);
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let ours = packet.protocol == UDP && port == SERVER_PORT && packet.destination == ALL_SERVERS;
    (ours && packet.source.is_unicast_link_local() && length == packet.payload.len()).then_some(message)
}

/// The options of a message: code and value; `None` for one that is cut off, which is the last.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let option = self.0.split_first_chunk::<4>().and_then(|([a, b, c, d], rest)| {
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
            self.0 = rest;
            Some((u16::from_be_bytes([*a, *b]), value))
        });
        if option.is_none() {
            self.0 = &[];
        }
        Some(option)
    }
}

fn write(out: &mut Vec<u8>, code: u16, value: &[u8]) -> Option<()> {
    out.extend(code.to_be_bytes());
    out.extend(u16::try_from(value.len()).ok()?.to_be_bytes());
    out.extend(value);
    Some(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::packet::tests::{MACHINE, OURS, sent};
    use super::*;

    const DUID: &[u8] = b"\0\x04\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10";

    /// What OVMF asks, but for the options that nobody here looks at.
    fn asked(options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = vec![SOLICIT, 0xab, 0xcd, 0xef];
        for (code, value) in options {
            write(&mut message, *code, value).expect("short");
        }
        let length = u16::try_from(8 + message.len()).expect("short");
        let header = [CLIENT_PORT, SERVER_PORT, length, 0].map(u16::to_be_bytes).concat();
        sent(("fe80::5054:ff:fe7b:6d3d", "ff02::1:2"), (UDP, 64), &[header, message].concat())
    }

    pub(in crate::ipv6) fn of_firmware() -> Vec<u8> {
        asked(&[(CLIENT_ID, DUID), (3, &[0; 12]), (ARCHITECTURE, &[0, 16])])
    }

    fn read(frame: &[u8]) -> Option<Solicit> {
        Solicit::read(&Packet::parse(frame).expect("well-formed"))
    }

    #[test]
    fn only_firmware_that_wants_to_boot_is_understood() {
        assert!(read(&of_firmware()).is_some());
        assert_eq!(read(&asked(&[(CLIENT_ID, DUID), (3, &[0; 12])])), None, "an operating system");
        assert_eq!(read(&asked(&[(ARCHITECTURE, &[0, 16])])), None, "nobody");
        assert_eq!(
            read(&asked(&[(CLIENT_ID, &[1; 131]), (ARCHITECTURE, &[0, 16])])),
            None,
            "too long a DUID"
        );
        let others = asked(&[(CLIENT_ID, DUID), (SERVER_ID, DUID), (ARCHITECTURE, &[0, 16])]);
        assert_eq!(read(&others), None, "meant for another server");
    }

    #[test]
    fn an_option_that_is_cut_off_spoils_the_message() {
        let whole = [(CLIENT_ID, DUID), (ARCHITECTURE, &[0_u8, 16][..])];
        assert!(read(&asked(&whole)).is_some());
        let mut message = vec![SOLICIT, 0, 0, 0];
        whole.iter().for_each(|(code, value)| write(&mut message, *code, value).expect("short"));
        message.extend([0, 3, 0, 9, 0]);
        let length = u16::try_from(8 + message.len()).expect("short");
        let header = [CLIENT_PORT, SERVER_PORT, length, 0].map(u16::to_be_bytes).concat();
        let frame = sent(("fe80::1", "ff02::1:2"), (UDP, 64), &[header, message].concat());
        assert_eq!(read(&frame), None);
    }

    #[test]
    fn the_advertise_names_the_two_and_nothing_else() {
        let frame = read(&of_firmware()).expect("it asks").declined(OURS).expect("it fits");
        let packet = Packet::parse(&frame).expect("well-formed");
        assert_eq!(
            (packet.source, packet.destination.to_string().as_str()),
            (own_address(OURS), "fe80::5054:ff:fe7b:6d3d")
        );
        assert_eq!((&frame[..6], &packet.payload[..4]), (&MACHINE.0[..], &[2, 35, 2, 34][..]));
        let message = &packet.payload[8..];
        assert_eq!(message[..4], [ADVERTISE, 0xab, 0xcd, 0xef]);
        let options: Vec<_> = Options(&message[4..]).flatten().collect();
        assert_eq!(options, [(CLIENT_ID, DUID), (SERVER_ID, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1])]);
    }
}

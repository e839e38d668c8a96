//! The BOOTP/DHCP message as bytes and as fields, in both directions: the server reads requests and writes
//! replies, a machine made of paper writes requests and reads replies.
//!
//! ```text
//!  0 op | htype | hlen | hops        RFC 951 §3, RFC 2131 §2
//!  4 xid
//!  8 secs | flags
//! 12 ciaddr   16 yiaddr   20 siaddr   24 giaddr
//! 28 chaddr (16)   44 sname (64)   108 file (128)
//! 236 magic cookie | options …
//! ```

use std::net::Ipv4Addr;

use proto::Mac;

use super::option::{self, Options};

/// The bytes before the magic cookie: the least that a BOOTP message has.
const FIXED: usize = 236;

/// RFC 2131 §3.
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// The shortest message that goes out: BOOTP relays and clients drop shorter ones (RFC 1542 §2.1, QUIRKS 5).
pub(super) const MIN_MESSAGE: usize = 300;

/// The longest datagram that is looked at; UDP over Ethernet brings 1472.
const MAX_DATAGRAM: usize = 4096;

const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;

/// What a name in the `file` field may have, without its NUL (QUIRKS 23).
pub const MAX_FILE: usize = 127;

/// RFC 2131 §2: the B bit of the flags.
const BROADCAST: u16 = 0x8000;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// From a machine.
    Request,
    /// To a machine.
    Reply,
}

/// A BOOTP or DHCP message on Ethernet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which way it goes.
    pub operation: Operation,
    /// Relay agents that it has passed.
    pub hops: u8,
    /// Tells the exchanges of one machine apart.
    pub xid: u32,
    /// Seconds since the machine began to ask.
    pub secs: u16,
    /// The machine cannot hear unicast yet.
    pub broadcast: bool,
    /// The machine's address, if it has one that it answers ARP for.
    pub ciaddr: Ipv4Addr,
    /// The address that the machine gets.
    pub yiaddr: Ipv4Addr,
    /// The server of the next stage.
    pub siaddr: Ipv4Addr,
    /// The relay agent's address on the machine's link.
    pub giaddr: Ipv4Addr,
    /// The machine's link address.
    pub mac: Mac,
    /// The `file` field up to its NUL; empty when options lay in it. At most [`MAX_FILE`] bytes go out.
    pub file: Vec<u8>,
    /// None: no magic cookie, as RFC 951 alone has it.
    pub options: Option<Options>,
}

/// Bytes that are no message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than the fixed part, or beyond any datagram of a link.
    #[error("{0} bytes are no BOOTP message")]
    Length(usize),
    /// Neither request nor reply, or a reply where a request was due.
    #[error("operation {0} is not the one expected")]
    Operation(u8),
    /// Not an Ethernet station address; a GUID in its place (QUIRKS 16) names no link address to answer to.
    #[error("hardware address of type {kind} and length {length} is no Ethernet station")]
    Hardware {
        /// The field htype.
        kind: u8,
        /// The field hlen.
        length: u8,
    },
    /// Option 53 holds no message type that goes to a server.
    #[error("message type {0} is not for a server")]
    MessageType(u8),
}

impl Message {
    /// A message with nothing in it but who sends it.
    #[must_use]
    pub fn new(operation: Operation, mac: Mac, xid: u32) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            operation,
            hops: 0,
            xid,
            secs: 0,
            broadcast: false,
            ciaddr: none,
            yiaddr: none,
            siaddr: none,
            giaddr: none,
            mac,
            file: Vec::new(),
            options: Some(Options::default()),
        }
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// Says what is wrong with it; nobody is to be answered then.
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        if !(FIXED..=MAX_DATAGRAM).contains(&datagram.len()) {
            return Err(Malformed::Length(datagram.len()));
        }
        let (fixed, rest) = datagram.split_at(FIXED);
        let operation = match fixed[0] {
            1 => Operation::Request,
            2 => Operation::Reply,
            other => return Err(Malformed::Operation(other)),
        };
        let options = rest.strip_prefix(&COOKIE).map(|area| read_options(area, fixed));
        let overload = options.as_ref().map_or(0, overload);
        Ok(Self {
            operation,
            hops: fixed[3],
            xid: u32::from_be_bytes(field(fixed, 4)),
            secs: u16::from_be_bytes(field(fixed, 8)),
            broadcast: u16::from_be_bytes(field(fixed, 10)) & BROADCAST != 0,
            ciaddr: Ipv4Addr::from(field(fixed, 12)),
            yiaddr: Ipv4Addr::from(field(fixed, 16)),
            siaddr: Ipv4Addr::from(field(fixed, 20)),
            giaddr: Ipv4Addr::from(field(fixed, 24)),
            mac: station(fixed)?,
            file: if overload & 1 == 0 { until_nul(&fixed[FILE]) } else { Vec::new() },
            options,
        })
    }

    /// Writes the datagram, padded to 300 bytes.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let options = self.options.as_ref().map_or(0, |options| options.iter().map(wire_size).sum());
        let mut out = Vec::with_capacity(size(options).max(MIN_MESSAGE));
        out.extend([if self.operation == Operation::Request { 1 } else { 2 }, 1, 6, self.hops]);
        out.extend(self.xid.to_be_bytes());
        out.extend(self.secs.to_be_bytes());
        out.extend(if self.broadcast { BROADCAST } else { 0 }.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend(address.octets());
        }
        out.extend(self.mac.0);
        out.resize(FILE.start, 0);
        out.extend(self.file.iter().take(MAX_FILE));
        out.resize(FIXED, 0);
        if let Some(options) = &self.options {
            out.extend(COOKIE);
            options.write(&mut out);
            out.push(option::END);
        }
        out.resize(out.len().max(MIN_MESSAGE), option::PAD);
        out
    }
}

/// How many bytes a message with these options has before it is padded.
pub(super) fn size(options_on_wire: usize) -> usize {
    FIXED + COOKIE.len() + options_on_wire + 1
}

fn wire_size((_, value): (u8, &[u8])) -> usize {
    option::wire_size(value)
}

/// RFC 2131 §4.1: the option field first, then `file`, then `sname` as option 52 says (QUIRKS 5).
fn read_options(area: &[u8], fixed: &[u8]) -> Options {
    let mut options = Options::with_room();
    options.read(area);
    let overload = overload(&options);
    if overload & 1 != 0 {
        options.read(&fixed[FILE]);
    }
    if overload & 2 != 0 {
        options.read(&fixed[SNAME]);
    }
    options
}

/// Option 52: 1 file, 2 sname, 3 both (RFC 2132 §9.3).
fn overload(options: &Options) -> u8 {
    match options.get(option::OVERLOAD) {
        Some(&[which @ 1..=3, ..]) => which,
        Some(_) | None => 0,
    }
}

/// The station address of an Ethernet card: neither a group nor nobody.
fn station(fixed: &[u8]) -> Result<Mac, Malformed> {
    let (kind, length) = (fixed[1], fixed[2]);
    let mac: [u8; 6] = field(fixed, 28);
    if kind != 1 || length != 6 || mac[0] & 1 != 0 || mac == [0; 6] {
        return Err(Malformed::Hardware { kind, length });
    }
    Ok(Mac(mac))
}

fn field<const N: usize>(fixed: &[u8], at: usize) -> [u8; N] {
    fixed[at..at + N].try_into().expect("the fixed part is longer than each of its fields")
}

fn until_nul(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().take_while(|byte| *byte != 0).take(MAX_FILE).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> Message {
        Message::new(Operation::Request, Mac([2, 0, 0, 0, 0, 1]), 7)
    }

    #[test]
    fn options_in_file_and_sname_are_read_in_that_order() {
        let mut bytes = request().emit();
        bytes.splice(240..244, [52, 1, 3, 255]);
        bytes[108..111].copy_from_slice(&[77, 1, b'a']);
        bytes[111] = 255;
        bytes[44..48].copy_from_slice(&[77, 1, b'b', 255]);
        let options = Message::parse(&bytes).expect("legal").options.expect("a cookie");
        assert_eq!(options.get(77), Some(&b"ab"[..]));
    }

    #[test]
    fn only_ethernet_stations_are_answered() {
        let parse_with = |change: fn(&mut Vec<u8>)| {
            let mut bytes = request().emit();
            change(&mut bytes);
            Message::parse(&bytes)
        };
        // QUIRKS 16: a GUID in chaddr.
        assert_eq!(parse_with(|b| b[2] = 16), Err(Malformed::Hardware { kind: 1, length: 16 }));
        assert!(parse_with(|b| b[28] = 0xff).is_err(), "broadcast");
        assert!(parse_with(|b| b[28..34].fill(0)).is_err(), "nobody");
        assert_eq!(parse_with(|b| b[0] = 3), Err(Malformed::Operation(3)));
        assert_eq!(parse_with(|b| b.truncate(235)), Err(Malformed::Length(235)));
    }

    #[test]
    fn a_message_without_a_cookie_has_no_options() {
        let mut bytes = request().emit();
        bytes[236..240].fill(0);
        assert_eq!(Message::parse(&bytes).expect("RFC 951").options, None);
    }

    proptest! {
        #[test]
        fn there_and_back(
            xid: u32, secs: u16, broadcast: bool, addresses: [u32; 4], reply: bool,
            file in proptest::collection::vec(1_u8.., 0..=MAX_FILE),
            options in proptest::collection::btree_map(
                (1_u8..255).prop_filter("ours", |code| *code != option::OVERLOAD),
                proptest::collection::vec(any::<u8>(), 0..600), 0..6),
        ) {
            let mut message = request();
            message.operation = if reply { Operation::Reply } else { Operation::Request };
            (message.xid, message.secs, message.broadcast, message.file) = (xid, secs, broadcast, file);
            [message.ciaddr, message.yiaddr, message.siaddr, message.giaddr] = addresses.map(Ipv4Addr::from);
            let mut set = Options::default();
            for (code, value) in options {
                set.set(code, value);
            }
            message.options = Some(set);
            let bytes = message.emit();
            prop_assert!(bytes.len() >= MIN_MESSAGE);
            prop_assert_eq!(Message::parse(&bytes), Ok(message));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            if let Ok(message) = Message::parse(&bytes) {
                let _ = message.emit();
            }
        }
    }
}

//! The messages of machines as bytes that are filled in, and what of a reply counts.
//!
//! Built once by the engine's own codec, as UEFI's PXE ROM sends them; then a machine is a matter of a few bytes. A load
//! that made each anew would measure itself.

use std::net::Ipv4Addr;

use netboot::dhcp::{Message, Operation, Options};
use proto::Mac;

/// RFC 951: where the fields stand.
const XID: usize = 4;
const YIADDR: usize = 16;
const CHADDR: usize = 28;
/// RFC 2131 §3: behind the magic cookie.
const OPTIONS: usize = 240;

/// RFC 2132 §9.6.
pub const DISCOVER: u8 = 1;
/// The same.
pub const OFFER: u8 = 2;
/// The same.
pub const REQUEST: u8 = 3;
/// The same.
pub const ACK: u8 = 5;

/// The link address of the machine of this number: every one in a block of its own makers', so that all hash apart.
#[must_use]
pub fn mac_of(machine: u32) -> Mac {
    let [a, b, c, d] = machine.to_be_bytes();
    Mac([0x52, 0x54, a, b, c, d])
}

/// How messages reach a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Through a relay agent of this address.
    Relay(Ipv4Addr),
    /// By broadcast, on its own wire.
    Broadcast,
}

/// DISCOVER and REQUEST, to be filled in.
#[derive(Debug, Clone)]
pub struct Templates {
    discover: Vec<u8>,
    request: Vec<u8>,
    machine_id: usize,
    requested: usize,
    server: usize,
}

impl Templates {
    /// For machines that are reached so.
    #[must_use]
    pub fn new(path: Path) -> Self {
        let discover = message(path, DISCOVER, false).emit();
        let request = message(path, REQUEST, true).emit();
        let place = |code| place(&request, code).expect("it was put there");
        let (machine_id, requested, server) = (place(97), place(50), place(54));
        Self { discover, request, machine_id, requested, server }
    }

    /// A machine's DISCOVER, in place of what is in `out`.
    pub fn discover(&self, machine: u32, xid: u32, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.discover);
        self.fill_in(machine, xid, out);
    }

    /// Its REQUEST of what it was offered.
    pub fn request(&self, machine: u32, xid: u32, offer: &Reply, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.request);
        self.fill_in(machine, xid, out);
        put(out, self.requested, &offer.address.octets());
        put(out, self.server, &offer.server.octets());
    }

    fn fill_in(&self, machine: u32, xid: u32, out: &mut [u8]) {
        put(out, XID, &xid.to_be_bytes());
        put(out, CHADDR, &mac_of(machine).0);
        // Type 0, then the UUID, of which the end tells machines apart.
        put(out, self.machine_id + 13, &machine.to_be_bytes());
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

/// What EDK2 asks for and says of itself. The parts that differ stand at the same places in both messages.
fn message(path: Path, kind: u8, takes: bool) -> Message {
    let mut message = Message::new(Operation::Request, mac_of(0), 0);
    match path {
        Path::Relay(relay) => message.giaddr = relay,
        Path::Broadcast => message.broadcast = true,
    }
    if let Path::Relay(_) = path {
        message.hops = 1;
    }
    let mut options = Options::default();
    options.set(53, [kind]);
    options.set(57, 1472_u16.to_be_bytes());
    options.set(97, [0_u8; 17]);
    options.set(94, [1_u8, 3, 16]);
    options.set(93, [0_u8, 7]);
    options.set(60, *b"PXEClient:Arch:00007:UNDI:003016");
    let asked = [
        1_u8, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67,
        97, 128, 129, 130, 131, 132, 133, 134, 135,
    ];
    options.set(55, asked);
    if takes {
        options.set(50, [0_u8; 4]);
        options.set(54, [0_u8; 4]);
    }
    message.options = Some(options);
    message
}

/// Where an option's value begins.
fn place(datagram: &[u8], code: u8) -> Option<usize> {
    let mut at = OPTIONS;
    loop {
        match *datagram.get(at)? {
            0 => at += 1,
            255 => return None,
            found if found == code => return Some(at + 2),
            _ => at += 2 + usize::from(*datagram.get(at + 1)?),
        }
    }
}

/// What counts of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Option 53.
    pub kind: u8,
    /// Whose exchange it belongs to.
    pub xid: u32,
    /// The machine.
    pub mac: Mac,
    /// What it gets.
    pub address: Ipv4Addr,
    /// Option 54; 0.0.0.0 without one.
    pub server: Ipv4Addr,
}

impl Reply {
    /// Reads a datagram; None: it is no server's reply.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let field = |at: usize| Some(u32::from_be_bytes(datagram.get(at..at + 4)?.try_into().ok()?));
        let server = place(datagram, 54).and_then(field).unwrap_or_default();
        (*datagram.first()? == 2).then_some(())?;
        Some(Self {
            kind: *datagram.get(place(datagram, 53)?)?,
            xid: field(XID)?,
            mac: Mac(datagram.get(CHADDR..CHADDR + 6)?.try_into().ok()?),
            address: Ipv4Addr::from_bits(field(YIADDR)?),
            server: Ipv4Addr::from_bits(server),
        })
    }
}

/// Turns a machine's message into what a server without any thought would say: the limit of this bench. Its OFFER names no
/// server, and so does then the REQUEST.
///
/// None: it is no message of these machines.
#[must_use]
pub fn echo(datagram: &mut [u8], address: impl Fn(u32) -> Ipv4Addr) -> Option<()> {
    let machine = u32::from_be_bytes(datagram.get(CHADDR + 2..CHADDR + 6)?.try_into().ok()?);
    let kind = place(datagram, 53)?;
    let answer = match *datagram.get(kind)? {
        DISCOVER => OFFER,
        REQUEST => ACK,
        _ => return None,
    };
    datagram[0] = 2;
    datagram[kind] = answer;
    put(datagram, YIADDR, &address(machine).octets());
    Some(())
}

#[cfg(test)]
mod tests {
    use netboot::dhcp::Request;

    use super::*;

    #[test]
    fn a_filled_in_message_is_what_the_codec_reads() {
        let relay = Ipv4Addr::new(10, 64, 0, 2);
        for path in [Path::Relay(relay), Path::Broadcast] {
            let templates = Templates::new(path);
            let mut out = Vec::new();
            templates.discover(7, 99, &mut out);
            let discover = Request::parse(&out).expect("legal");
            assert_eq!((discover.mac, discover.xid), (mac_of(7), 99));
            assert_eq!(discover.broadcast, path == Path::Broadcast);
            assert!(discover.is_boot_class() && (300..400).contains(&out.len()));
            let (address, server) = (Ipv4Addr::new(10, 72, 0, 9), Ipv4Addr::new(10, 64, 0, 1));
            let offer = Reply { kind: OFFER, xid: 99, mac: mac_of(7), address, server };
            templates.request(7, 99, &offer, &mut out);
            let request = Request::parse(&out).expect("legal");
            assert_eq!((request.requested, request.server_id), (Some(address), Some(server)));
            assert_eq!(request.uuid.map(|uuid| uuid[12..] == [0, 0, 0, 7]), Some(true));

            echo(&mut out, Ipv4Addr::from_bits).expect("a REQUEST");
            let ack = Reply { kind: ACK, address: Ipv4Addr::from_bits(7), ..offer };
            assert_eq!(Reply::parse(&out), Some(ack));
        }
    }

    #[test]
    fn what_is_cut_off_is_no_reply() {
        let mut out = Vec::new();
        Templates::new(Path::Broadcast).discover(7, 99, &mut out);
        assert_eq!(Reply::parse(&out), None, "a machine's own");
        echo(&mut out, |_| Ipv4Addr::LOCALHOST).expect("a DISCOVER");
        assert!(Reply::parse(&out).is_some());
        for length in 0..OPTIONS + 3 {
            assert_eq!(Reply::parse(&out[..length]), None, "{length}");
        }
    }
}

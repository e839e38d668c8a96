//! DHCP: every message, both ways, as it is.

use std::net::{Ipv4Addr, SocketAddrV4};

use netboot::{
    capture::{Packet, Party, Standing, Way},
    dhcp::{Destination, MessageType, Request},
};
use proto::Mac;

use super::{Tap, micros};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const BOOT_PORT: u16 = 4011;

/// A DHCP message as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard<'a> {
    /// When, in microseconds since the Unix epoch: all that is taken from a socket at once came at that moment.
    pub(crate) at: u64,
    pub(crate) from: SocketAddrV4,
    /// Ours.
    pub(crate) port: u16,
    pub(crate) bytes: &'a [u8],
}

/// One end of a link.
#[derive(Debug, Clone)]
pub(crate) struct Tapped {
    tap: Tap,
    /// Our address there.
    address: Ipv4Addr,
}

impl Tapped {
    /// Our end is at `address`.
    pub(crate) fn new(tap: &Tap, address: Ipv4Addr) -> Self {
        Self { tap: tap.clone(), address }
    }

    /// A request has come. `admit` says whether its machine is kept at all, and as what.
    pub(crate) fn heard(
        &self,
        request: &Request,
        heard: Heard<'_>,
        admit: impl FnOnce() -> Option<Standing>,
    ) {
        let Some(mut rings) = self.tap.lock() else { return };
        // Where it was sent to is not told by the socket: who has no address broadcasts.
        let to = if heard.from.ip().is_unspecified() { Ipv4Addr::BROADCAST } else { self.address };
        let to = SocketAddrV4::new(to, heard.port);
        let relayed = request.giaddr.is_some();
        let packet = Packet { relayed, ..Packet::udp(heard.at, Way::In, heard.from, to, heard.bytes) };
        rings.record(Party::Machine(request.mac), &packet, admit);
        let claim = request.requested.or(request.ciaddr).filter(|_| request.kind == MessageType::Request);
        if let Some(address) = claim {
            rings.claimed(request.mac, address);
        }
    }

    /// Replies leave.
    pub(crate) fn send<'a>(&self, replies: impl Iterator<Item = (&'a [u8], &'a Destination)>) {
        let Some(mut rings) = self.tap.lock() else { return };
        let at = micros();
        for (datagram, to) in replies {
            let Some((mac, given)) = addressee(datagram) else { continue };
            let Some((port, to, relayed)) = ends(to) else { continue };
            let from = SocketAddrV4::new(self.address, port);
            let packet = Packet { relayed, ..Packet::udp(at, Way::Out, from, to, datagram) };
            rings.record(Party::Machine(mac), &packet, || None);
            if let Some(address) = given {
                rings.given(mac, address);
            }
        }
    }
}

/// Whom a reply is for, and the address that it gives (RFC 2131 §2: chaddr, yiaddr).
fn addressee(datagram: &[u8]) -> Option<(Mac, Option<Ipv4Addr>)> {
    let yiaddr: [u8; 4] = datagram.get(16..20)?.try_into().ok()?;
    let chaddr: [u8; 6] = datagram.get(28..34)?.try_into().ok()?;
    let given = Ipv4Addr::from(yiaddr);
    Some((Mac(chaddr), (!given.is_unspecified()).then_some(given)))
}

/// From which port of ours, to whom, and whether through a relay agent. None: to no machine.
fn ends(to: &Destination) -> Option<(u16, SocketAddrV4, bool)> {
    Some(match *to {
        Destination::Broadcast => (SERVER_PORT, SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT), false),
        Destination::Unicast { address, .. } => (SERVER_PORT, SocketAddrV4::new(address, CLIENT_PORT), false),
        Destination::Relay(address) => (SERVER_PORT, SocketAddrV4::new(address, SERVER_PORT), true),
        Destination::Address(address, port) => (SERVER_PORT, SocketAddrV4::new(address, port), false),
        Destination::BootService(to) => (BOOT_PORT, to, false),
        Destination::Servers => return None,
    })
}

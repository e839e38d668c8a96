//! The replies, each with its fixed part and its destination; `parameters` chooses the options.

use std::net::Ipv4Addr;

use super::{
    Destination, Effect, Message, MessageType, Operation,
    boot::{Boot, boot},
    exchange::Exchange,
    parameters::Head,
    request::Port,
};

/// The port of DHCP clients.
const CLIENT_PORT: u16 = 68;

/// The message types that a server sends (RFC 2132 §9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Offer = 2,
    Ack = 5,
    Nak = 6,
}

impl Exchange<'_> {
    /// OFFER or ACK of an address, with its lease and what goes with its subnet.
    pub(super) fn lease(&self, kind: Kind, address: Ipv4Addr, boot: &Boot) -> Effect {
        let there = Exchange { subnet: self.subnet_with(address).unwrap_or(self.subnet), ..*self };
        there.send(address, &Head::with_lease(kind, there.lease_time()), boot)
    }

    /// RFC 2131 §4.3.5: neither an address nor a lease.
    pub(super) fn inform(&self) -> Effect {
        self.send(Ipv4Addr::UNSPECIFIED, &Head::of(Kind::Ack), &self.boot())
    }

    /// RFC 951 and 1534: no message type, no lease.
    pub(super) fn bootp(&self, address: Ipv4Addr, boot: &Boot) -> Effect {
        let there = Exchange { subnet: self.subnet_with(address).unwrap_or(self.subnet), ..*self };
        there.send(address, &Head::BOOTP, boot)
    }

    /// What the machine is told to boot.
    pub(super) fn boot(&self) -> Boot {
        boot(self.request, self.context)
    }

    /// OFFER or ACK of a proxy or boot server: what to boot and nothing else, without an address (PXE 2.1 §2.2.3).
    pub(super) fn boot_only(&self, kind: Kind, to: Destination) -> Effect {
        let (request, mut boot) = (self.request, self.boot());
        if let (Some(item), Port::BootService(_)) = (request.boot_item_echo, request.port) {
            boot.choose(item);
        }
        let mut reply = self.booting(Ipv4Addr::UNSPECIFIED, &boot);
        reply.options = Some(self.boot_options(&Head::of(kind), &boot));
        Effect::Send { datagram: reply.emit(), to }
    }

    /// Where a reply goes that gives no address.
    pub(super) fn without_address(&self) -> Destination {
        self.request.giaddr.map_or(Destination::Broadcast, Destination::Relay)
    }

    /// RFC 2131 §4.3.2: broadcast, since the client's address is wrong; through a relay agent with the broadcast
    /// flag, so that the agent does the same.
    pub(super) fn nak(&self, why: &str) -> Effect {
        let mut reply = self.blank(Ipv4Addr::UNSPECIFIED);
        (reply.broadcast, reply.ciaddr) = (true, Ipv4Addr::UNSPECIFIED);
        reply.options = Some(self.refusal_options(why));
        Effect::Send { datagram: reply.emit(), to: self.without_address() }
    }

    fn booting(&self, yiaddr: Ipv4Addr, boot: &Boot) -> Message {
        let mut reply = self.blank(yiaddr);
        reply.siaddr = boot.siaddr.unwrap_or(Ipv4Addr::UNSPECIFIED);
        reply.file.clone_from(&boot.file);
        reply
    }

    fn blank(&self, yiaddr: Ipv4Addr) -> Message {
        let request = self.request;
        let mut reply = Message::new(Operation::Reply, request.mac, request.xid);
        reply.broadcast = request.broadcast;
        reply.yiaddr = yiaddr;
        reply.giaddr = request.giaddr.unwrap_or(Ipv4Addr::UNSPECIFIED);
        // RFC 2131 table 3: an OFFER has none, an ACK has the REQUEST's.
        reply.ciaddr =
            request.ciaddr.filter(|_| request.kind != MessageType::Discover).unwrap_or(Ipv4Addr::UNSPECIFIED);
        reply
    }

    fn send(&self, yiaddr: Ipv4Addr, head: &Head, boot: &Boot) -> Effect {
        let mut reply = self.booting(yiaddr, boot);
        reply.options = self.request.has_cookie.then(|| self.options(head, boot));
        Effect::Send { datagram: reply.emit(), to: self.destination(yiaddr) }
    }

    /// RFC 2131 §4.1 (QUIRKS 1, 3). A `ciaddr` is only answered where it is the address that was granted, or was
    /// found to be on the link: nobody's packets are turned on a third party.
    fn destination(&self, yiaddr: Ipv4Addr) -> Destination {
        let request = self.request;
        let ciaddr = request.ciaddr.filter(|ciaddr| *ciaddr == yiaddr || request.kind == MessageType::Inform);
        if let Some(giaddr) = request.giaddr {
            Destination::Relay(giaddr)
        } else if let Some(ciaddr) = ciaddr {
            Destination::Address(ciaddr, CLIENT_PORT)
        } else if request.broadcast || yiaddr.is_unspecified() {
            Destination::Broadcast
        } else {
            Destination::Unicast { address: yiaddr, mac: request.mac }
        }
    }
}

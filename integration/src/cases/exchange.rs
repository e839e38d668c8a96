//! A DHCP client's packets as the steps of RFC 2131: who took, renewed, rebound and gave back which address.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::ensure;
use netboot::dhcp::{Message, Operation, Options};

use crate::lab::pcap::Datagram;

/// The port of the boot service (PXE 2.1 §2.4).
pub(super) const BOOT_SERVICE: u16 = 4011;

/// A DHCP message on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) message: Message,
}

/// What a message does (RFC 2131 §4.3.2 tells the four REQUESTs apart).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Discover,
    Offer,
    /// REQUEST of what a server has offered.
    Select,
    /// REQUEST of what the client remembers.
    Reboot,
    /// REQUEST to the one server, from the leased address.
    Renew,
    /// REQUEST to any server, from the leased address.
    Rebind,
    Ack,
    Nak,
    Decline,
    Release,
    Inform,
    Bootp,
}

impl Heard {
    /// The message of a datagram to a server's, a client's or a boot service's port.
    pub(super) fn of(datagram: Datagram<'_>) -> Option<Self> {
        let Datagram { from, to, payload } = datagram;
        let message = matches!(to.port(), 67 | 68 | BOOT_SERVICE).then(|| Message::parse(payload).ok())??;
        Some(Self { from, to, message })
    }

    pub(super) fn option(&self, code: u8) -> Option<&[u8]> {
        self.message.options.as_ref()?.get(code)
    }

    fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.message.options.as_ref().and_then(|options: &Options| options.address(code))
    }

    pub(super) fn step(&self) -> Step {
        match (self.option(53), self.message.operation) {
            (Some([1]), _) => Step::Discover,
            (Some([2]), _) => Step::Offer,
            (Some([3]), _) => self.request(),
            (Some([4]), _) => Step::Decline,
            (Some([5]), _) => Step::Ack,
            (Some([6]), _) => Step::Nak,
            (Some([7]), _) => Step::Release,
            (Some([8]), _) => Step::Inform,
            (_, Operation::Request | Operation::Reply) => Step::Bootp,
        }
    }

    fn request(&self) -> Step {
        match (self.address(54), self.message.ciaddr.is_unspecified()) {
            (Some(_), _) => Step::Select,
            (None, true) => Step::Reboot,
            (None, false) if self.to.ip().is_broadcast() => Step::Rebind,
            (None, false) => Step::Renew,
        }
    }
}

/// The steps of an exchange; what was sent again at once stands once.
pub(super) fn steps(exchange: &[Heard]) -> Vec<Step> {
    let mut steps: Vec<Step> = exchange.iter().map(Heard::step).collect();
    steps.dedup();
    steps
}

/// Whether these steps came in this order, others among them.
pub(super) fn contains(exchange: &[Heard], wanted: &[Step]) -> bool {
    let mut steps = exchange.iter().map(Heard::step);
    wanted.iter().all(|wanted| steps.any(|step| step == *wanted))
}

/// The one address that every ACK gave.
pub(super) fn leased_address(exchange: &[Heard]) -> anyhow::Result<Ipv4Addr> {
    let acks = exchange.iter().filter(|heard| heard.step() == Step::Ack);
    let mut addresses: Vec<_> = acks.map(|heard| heard.message.yiaddr).collect();
    addresses.dedup();
    ensure!(addresses.len() == 1, "one lease was expected, and the ACKs gave {addresses:?}");
    Ok(addresses[0])
}

#[cfg(test)]
mod tests {
    use proto::Mac;

    use super::*;

    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn heard(kind: u8, ciaddr: Ipv4Addr, to: Ipv4Addr, server: Option<Ipv4Addr>) -> Heard {
        let mut message = Message::new(Operation::Request, Mac([2, 0, 0, 0, 0, 1]), 1);
        message.ciaddr = ciaddr;
        let options = message.options.get_or_insert_default();
        options.set(53, [kind]);
        if let Some(server) = server {
            options.set(54, server.octets());
        }
        let (from, to) = (SocketAddrV4::new(ciaddr, 68), SocketAddrV4::new(to, 67));
        Heard::of(Datagram { from, to, payload: &message.emit() }).expect("a message")
    }

    #[test]
    fn the_four_requests_are_told_apart() {
        let none = Ipv4Addr::UNSPECIFIED;
        let all = [
            heard(1, none, Ipv4Addr::BROADCAST, None),
            heard(1, none, Ipv4Addr::BROADCAST, None),
            heard(3, none, Ipv4Addr::BROADCAST, Some(SERVER)),
            heard(3, none, Ipv4Addr::BROADCAST, None),
            heard(3, CLIENT, SERVER, None),
            heard(3, CLIENT, Ipv4Addr::BROADCAST, None),
            heard(7, CLIENT, SERVER, Some(SERVER)),
        ];
        let expected = [Step::Discover, Step::Select, Step::Reboot, Step::Renew, Step::Rebind, Step::Release];
        assert_eq!(steps(&all), expected);
        assert!(contains(&all, &[Step::Discover, Step::Renew, Step::Release]));
        assert!(!contains(&all, &[Step::Renew, Step::Select]));
    }

    #[test]
    fn two_addresses_are_noticed() {
        let ack = |last| {
            let mut ack = heard(5, CLIENT, SERVER, None);
            ack.message.yiaddr = Ipv4Addr::new(10, 0, 0, last);
            ack
        };
        assert_eq!(leased_address(&[ack(9), ack(9)]).expect("one"), CLIENT);
        leased_address(&[ack(9), ack(8)]).expect_err("two");
        leased_address(&[]).expect_err("none");
    }
}

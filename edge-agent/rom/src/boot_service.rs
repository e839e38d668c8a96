//! The way of EDK2 before 2017 beside another server: it has a lease, and asks the proxy's boot service what to boot
//! (PXE 2.1 §2.2.3, QUIRKS 19-21).

use std::net::{Ipv4Addr, SocketAddrV4};

use netboot::{
    dhcp::{Message, Operation},
    time::Mono,
};

use super::dora::{PATIENCE, Progress, option, server_id};

/// The boot service's port, and the client's beside it (LAB: OVMF asks from there).
pub(super) const PORT: u16 = 4011;

/// One question.
#[derive(Debug)]
pub(super) struct BootService {
    request: Message,
    server: Ipv4Addr,
    sent: usize,
    due: Mono,
}

impl BootService {
    /// Asks whoever made `offer`, with the address that `ack` gave; the first message is due at once.
    pub(super) fn new(now: Mono, discover: &Message, offer: &Message, ack: &Message) -> Self {
        let mut request = discover.clone();
        (request.ciaddr, request.broadcast) = (ack.yiaddr, false);
        request.options.get_or_insert_default().set(53, [3]);
        Self { request, server: server_id(offer), sent: 0, due: now }
    }

    pub(super) fn due(&self) -> Mono {
        self.due
    }

    /// From where and to where messages go.
    pub(super) fn ends(&self) -> (SocketAddrV4, SocketAddrV4) {
        (SocketAddrV4::new(self.request.ciaddr, PORT), SocketAddrV4::new(self.server, PORT))
    }

    pub(super) fn handle_timeout(&mut self, now: Mono) -> Progress {
        if now < self.due {
            return Progress::Wait;
        }
        let Some(patience) = PATIENCE.get(self.sent) else { return Progress::Failed };
        self.sent += 1;
        self.due = now.plus(*patience);
        Progress::Send(self.request.emit())
    }

    pub(super) fn handle(&self, datagram: &[u8]) -> Progress {
        let Ok(reply) = Message::parse(datagram) else { return Progress::Wait };
        let ours = reply.operation == Operation::Reply
            && (reply.xid, reply.mac) == (self.request.xid, self.request.mac);
        match option(&reply, 53) {
            [5] if ours => Progress::Bound(Box::new(reply)),
            _ => Progress::Wait,
        }
    }
}

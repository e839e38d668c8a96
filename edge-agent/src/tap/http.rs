//! HTTP: the heads of requests and responses, as segments of a connection that is made up around them.

use std::net::SocketAddrV4;

use netboot::capture::{Carrier, Packet, Segment, Way};

use super::{Tap, micros};

/// Exchanges of one connection that are kept: a boot's, and not the thousands of somebody who reads a disk by small ranges.
const EXCHANGES: u32 = 32;

/// What is kept of an HTTP connection: the heads of its messages, as TCP would have carried them. Bodies only count.
#[derive(Debug)]
pub(crate) struct Tape {
    tap: Tap,
    peer: SocketAddrV4,
    ours: SocketAddrV4,
    exchanges: u32,
    /// Bytes that came before what comes next, and a request of the handshake.
    came: u32,
}

impl Tape {
    /// Of a connection between these two; None: nothing is kept.
    pub(crate) fn new(tap: &Tap, peer: SocketAddrV4, ours: SocketAddrV4) -> Option<Self> {
        (!tap.is_off()).then(|| Self { tap: tap.clone(), peer, ours, exchanges: 0, came: 0 })
    }

    /// Is nothing of what comes kept any more?
    pub(crate) fn is_full(&self) -> bool {
        self.exchanges > EXCHANGES
    }

    /// A request, of which `head` is all that may be kept; `sent` bytes have left before it.
    pub(crate) fn heard(&mut self, head: &[u8], sent: u64) {
        self.exchanges = self.exchanges.saturating_add(1);
        if self.is_full() {
            return;
        }
        if self.exchanges == 1 {
            self.shake_hands();
        }
        self.put(Way::In, self.came, sent, Segment::PSH | Segment::ACK, head);
        self.came = self.came.wrapping_add(u32::try_from(head.len()).unwrap_or(u32::MAX));
    }

    /// The head of a response, which `sent` bytes have left before.
    pub(crate) fn said(&mut self, head: &[u8], sent: u64) {
        if !self.is_full() && self.exchanges > 0 {
            self.put(Way::Out, self.came, sent, Segment::PSH | Segment::ACK, head);
        }
    }

    /// The connection is over: by the client's will, or by ours. `sent` bytes were taken by our socket, if not by the client.
    pub(crate) fn ended(&mut self, by: Way, sent: u64) {
        if self.exchanges > 0 && !self.is_full() {
            self.put(by, self.came, sent, Segment::FIN | Segment::ACK, &[]);
        }
    }

    /// As it must have been: a connection that is heard of was accepted.
    fn shake_hands(&self) {
        for (way, sequence, acknowledgement, flags) in [
            (Way::In, 0, 0, Segment::SYN),
            (Way::Out, 0, 1, Segment::SYN | Segment::ACK),
            (Way::In, 1, 1, Segment::ACK),
        ] {
            self.record(way, Segment { sequence, acknowledgement, flags }, &[]);
        }
    }

    /// Numbers begin at 0 on both sides, and wrap around as TCP's do.
    fn put(&self, way: Way, came: u32, sent: u64, flags: u8, head: &[u8]) {
        let sent = u32::try_from(sent & u64::from(u32::MAX)).unwrap_or_default();
        let (came, sent) = (came.wrapping_add(1), sent.wrapping_add(1));
        let (sequence, acknowledgement) = match way {
            Way::In => (came, sent),
            Way::Out => (sent, came),
        };
        self.record(way, Segment { sequence, acknowledgement, flags }, head);
    }

    fn record(&self, way: Way, segment: Segment, head: &[u8]) {
        let (from, to) = match way {
            Way::In => (self.peer, self.ours),
            Way::Out => (self.ours, self.peer),
        };
        let packet = Packet { carrier: Carrier::Tcp(segment), ..Packet::udp(micros(), way, from, to, head) };
        self.tap.of_address(*self.peer.ip(), &packet);
    }
}

/// The head of the HTTP message that `bytes` begin with, its empty line included; nothing where that is not there: what
/// follows it is never kept.
pub(crate) fn head_of(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    &bytes[..end]
}

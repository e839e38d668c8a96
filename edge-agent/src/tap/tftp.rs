//! TFTP: what explains a transfer. Requests, OACKs and errors as they are; of blocks, headers alone: of the first and the last,
//! and of those that are sent again; of acknowledgements those of the first blocks, and the last one before anything is sent
//! again or ends. A transfer of thousands of blocks leaves a dozen packets.

use std::net::{SocketAddr, SocketAddrV4};

use netboot::{
    capture::{Packet, Way},
    tftp::{Blocks, DATA_HEADER, Local, data_header},
};

use super::{Tap, micros};

/// RFC 1350 §5.
const ACK: [u8; 2] = [0, 4];
/// The first blocks and acknowledgements of a transfer that are kept; 0 acknowledges the options.
const FIRST: u16 = 2;
/// Latest acknowledgements that are remembered, by the machine's port: one that another takes the place of is not told.
const LATEST: usize = 256;
/// An acknowledgement, in bytes.
const LENGTH: usize = 4;

/// The view of one thread of the server.
#[derive(Debug)]
pub(crate) struct Transfers {
    tap: Tap,
    /// Our own ends, the listener first.
    ours: Vec<SocketAddrV4>,
    /// The last acknowledgement of a machine that was not kept.
    latest: Vec<Option<Acknowledged>>,
}

#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    at: u64,
    local: Local,
    peer: SocketAddrV4,
    bytes: [u8; LENGTH],
}

impl Transfers {
    /// At these ends of ours, the listener first; None: nothing is kept.
    pub(crate) fn new(tap: &Tap, ours: Vec<SocketAddrV4>) -> Option<Self> {
        (!tap.is_off()).then(|| Self { tap: tap.clone(), ours, latest: vec![None; LATEST] })
    }

    /// A packet has come, at `at`.
    pub(crate) fn heard(&mut self, at: u64, local: Local, peer: SocketAddr, bytes: &[u8]) {
        let SocketAddr::V4(peer) = peer else { return };
        match bytes {
            [0, 4, high, low] if u16::from_be_bytes([*high, *low]) > FIRST => {
                let bytes = [ACK[0], ACK[1], *high, *low];
                self.latest[place(peer)] = Some(Acknowledged { at, local, peer, bytes });
            }
            _ => self.put(at, Way::In, (local, peer), bytes, bytes.len()),
        }
    }

    /// A packet leaves that is no block.
    pub(crate) fn said(&mut self, local: Local, peer: SocketAddr, bytes: &[u8]) {
        let SocketAddr::V4(peer) = peer else { return };
        self.tell_latest(peer);
        self.put(micros(), Way::Out, (local, peer), bytes, bytes.len());
    }

    /// Blocks leave of a file of `size` bytes, of which `sent` were sent before.
    pub(crate) fn blocks(&mut self, blocks: &Blocks, size: u64, sent: u64) {
        let range = blocks.range;
        let (again, last) = (range.offset < sent, range.offset + range.len >= size);
        let early = range.offset < u64::from(FIRST) * u64::from(blocks.block_size);
        if !again && !last && !early {
            return;
        }
        let SocketAddr::V4(peer) = blocks.peer else { return };
        if again {
            self.tell_latest(peer);
        }
        let first = if early { FIRST - u16::from(range.offset > 0) } else { u16::from(again) };
        for number in (0..range.count).filter(|number| *number < first || (last && number + 1 == range.count))
        {
            self.block(blocks, peer, number);
        }
    }

    /// The transfer of this machine is over.
    pub(crate) fn ended(&mut self, peer: SocketAddr) {
        if let SocketAddr::V4(peer) = peer {
            self.tell_latest(peer);
        }
    }

    /// The header of block `number` of these.
    fn block(&self, blocks: &Blocks, peer: SocketAddrV4, number: u16) {
        let (range, size) = (blocks.range, u64::from(blocks.block_size));
        let length = range.len.saturating_sub(u64::from(number) * size).min(size);
        let header = data_header(range.first.wrapping_add(number));
        let length = DATA_HEADER + usize::try_from(length).unwrap_or_default();
        self.put(micros(), Way::Out, (blocks.local, peer), &header, length);
    }

    fn tell_latest(&mut self, peer: SocketAddrV4) {
        let latest = self.latest[place(peer)].take_if(|latest| latest.peer == peer);
        if let Some(Acknowledged { at, local, peer, bytes }) = latest {
            self.put(at, Way::In, (local, peer), &bytes, LENGTH);
        }
    }

    fn put(&self, at: u64, way: Way, (local, peer): (Local, SocketAddrV4), bytes: &[u8], length: usize) {
        let ours = match local {
            Local::Listener => self.ours.first(),
            Local::Ephemeral(slot) => self.ours.get(1 + usize::from(slot)),
        };
        let Some(ours) = ours else { return };
        let (from, to) = match way {
            Way::In => (peer, *ours),
            Way::Out => (*ours, peer),
        };
        let original = u32::try_from(length).unwrap_or(u32::MAX);
        self.tap.of_address(*peer.ip(), &Packet { original, ..Packet::udp(at, way, from, to, bytes) });
    }
}

fn place(peer: SocketAddrV4) -> usize {
    let [.., low] = peer.ip().octets();
    usize::from(peer.port() ^ u16::from(low) << 3) % LATEST
}

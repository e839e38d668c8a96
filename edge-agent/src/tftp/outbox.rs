//! Packets that wait to leave, one behind the other in a buffer that is used again.
//!
//! ```text
//!  | header | block 1 | header | block 2 | ... | header | last | ERROR | header | block |
//!  |<--- segment ---->|<--- segment ---->|     |<-- shorter -->|
//!  |<------------------ one window ------------------------- ->|
//! ```
//!
//! A window is read into place with one call, and lies as the kernel's segmentation offload takes it. Blocks that go one by
//! one are read ahead, into lanes behind all this. All that waits leaves with one call. Where the kernel, a device or a path
//! refuses a cut, its packets leave one by one, and none of the transfer notices.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::time::Duration;

use netboot::tftp::{Blocks, DATA_HEADER, Local, data_header};
use rustix::io::Errno;

use super::ahead::{Ahead, LANE, Lanes};
use super::library::Source;
use super::sockets::WatchedSockets;
use crate::sys::datagrams::{self, Outgoing, Sender};

/// When so many bytes wait, they leave: they are still in the core's own cache then.
const FULL: usize = 64 << 10;

/// The most that the kernel cuts from one send: fewer segments than any of its versions takes, in less than the longest
/// datagram of IPv4.
const MOST_SEGMENTS: usize = 64;
const LONGEST_SEND: usize = 65_507;

/// How long to wait for a socket that has no room: as long as a slow link needs for what it holds.
const ROOM: Duration = Duration::from_millis(100);

/// So many cuts in a row that were refused: there is more to it than one path.
const REFUSALS: u32 = 16;

/// Parts of a scattered read.
const PARTS: usize = 64;

/// How packets leave, from the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// Windows as one message each, cut by the kernel (UDP_SEGMENT); many messages with one call.
    Segments,
    /// Many packets with one call.
    Many,
    /// A call for each packet.
    Single,
}

/// What waits to leave.
pub(super) struct Outbox {
    store: Store,
    used: usize,
    lanes: Lanes,
    /// How often all has left.
    flushes: u64,
    queue: Vec<Queued>,
    /// The queue, as it is sent.
    pieces: Vec<Queued>,
    sender: Sender,
    means: Means,
    refusals: u32,
}

/// Where packets lie.
#[derive(Default)]
struct Store {
    bytes: Vec<u8>,
    /// Those of transfers that go block by block.
    lanes: Vec<Vec<u8>>,
}

impl Store {
    fn payload(&self, queued: &Queued) -> &[u8] {
        let bytes = queued.lane.map_or(&self.bytes, |lane| &self.lanes[lane]);
        &bytes[queued.range.clone()]
    }

    /// The lane of this number, which may be the next one that there never was.
    fn lane(&mut self, number: usize) -> &mut [u8] {
        if number >= self.lanes.len() {
            self.lanes.resize_with(number + 1, || vec![0; LANE]);
        }
        &mut self.lanes[number]
    }
}

/// Packets of one length, but for the last, to one machine.
#[derive(Debug, Clone)]
struct Queued {
    local: Local,
    to: SocketAddr,
    /// None: in the store's bytes.
    lane: Option<usize>,
    range: Range<usize>,
    /// None: one packet.
    segment: Option<u16>,
}

impl Outbox {
    /// Sends by `at_best`, or worse means where the sockets know no better.
    pub(super) fn new(at_best: Means, sockets: &WatchedSockets) -> Self {
        let cuts = sockets.get(Local::Ephemeral(0)).is_some_and(datagrams::cuts_segments);
        let means = if cuts { at_best } else { at_best.max(Means::Many) };
        tracing::debug!(?means, "sends TFTP");
        Self {
            store: Store { bytes: vec![0; 2 * FULL], lanes: vec![] },
            used: 0,
            lanes: Lanes::default(),
            flushes: 0,
            queue: Vec::new(),
            pieces: Vec::new(),
            sender: Sender::default(),
            means,
            refusals: 0,
        }
    }

    /// Whether it should be flushed before more is put in.
    pub(super) fn is_full(&self) -> bool {
        self.used >= FULL || self.queue.len() >= datagrams::BATCH
    }

    /// Puts in one packet.
    pub(super) fn packet(&mut self, local: Local, to: SocketAddr, packet: &[u8]) {
        let range = self.room(packet.len());
        self.store.bytes[range.clone()].copy_from_slice(packet);
        self.queue.push(Queued { local, to, lane: None, range, segment: None });
    }

    /// Puts in blocks of `source`: one that was read ahead, or a window.
    ///
    /// # Errors
    /// What reading says; then nothing was put in.
    pub(super) fn blocks(
        &mut self,
        blocks: &Blocks,
        source: &Source,
        ahead: &mut Ahead,
        sockets: &WatchedSockets,
    ) -> io::Result<()> {
        let len = usize::try_from(blocks.range.len).map_err(io::Error::other)?;
        if blocks.range.count != 1 || source.is_in_memory() {
            return self.window(blocks, source);
        }
        let mut found = ahead.find(blocks.range.offset, len, DATA_HEADER);
        if found.is_none() {
            self.read_ahead(blocks, source, ahead, sockets)?;
            found = ahead.find(blocks.range.offset, len, DATA_HEADER);
        }
        let Some((lane, range)) = found else { return self.window(blocks, source) };
        ahead.is_put_in(self.flushes);
        let lane = Some(lane);
        self.queue.push(Queued { local: blocks.local, to: blocks.peer, lane, range, segment: None });
        Ok(())
    }

    /// A transfer is over.
    pub(super) fn let_go(&mut self, ahead: &Ahead) {
        self.lanes.take_back(ahead);
    }

    /// Fills a lane from this block on, if there is one.
    fn read_ahead(
        &mut self,
        blocks: &Blocks,
        source: &Source,
        ahead: &mut Ahead,
        sockets: &WatchedSockets,
    ) -> io::Result<()> {
        let (block, offset) = (usize::from(blocks.block_size), blocks.range.offset);
        let segment = DATA_HEADER + block;
        if 2 * segment > LANE || blocks.range.len == 0 {
            return Ok(());
        }
        let Some((lane, put_in)) = ahead.begin(&mut self.lanes) else { return Ok(()) };
        if put_in == self.flushes {
            // What lies there has not left yet.
            self.flush(sockets);
        }
        let len = readable(source, offset, block as u64).min((LANE / segment * block) as u64);
        let in_lane = usize::try_from(len).map_err(io::Error::other)?;
        let packets = &mut self.store.lane(lane)[..in_lane + in_lane.div_ceil(block) * DATA_HEADER];
        write_headers(packets, segment, blocks.range.first);
        read_bodies(source, offset, packets, segment)?;
        ahead.is_filled(offset..offset + len, block);
        Ok(())
    }

    /// Reads a window from `source` and puts it in.
    fn window(&mut self, blocks: &Blocks, source: &Source) -> io::Result<()> {
        let (count, block) = (usize::from(blocks.range.count), usize::from(blocks.block_size));
        let len = usize::try_from(blocks.range.len).map_err(io::Error::other)?;
        let segment = DATA_HEADER + block;
        let range = self.room(count * DATA_HEADER + len);
        let packets = &mut self.store.bytes[range.clone()];
        write_headers(packets, segment, blocks.range.first);
        if let Err(error) = read_bodies(source, blocks.range.offset, packets, segment) {
            self.used = range.start;
            return Err(error);
        }
        let segment = u16::try_from(segment).ok().filter(|_| count > 1);
        self.queue.push(Queued { local: blocks.local, to: blocks.peer, lane: None, range, segment });
        Ok(())
    }

    /// Sends all that waits. A packet that the network refuses is lost, as any other may be.
    pub(super) fn flush(&mut self, sockets: &WatchedSockets) {
        self.cut();
        let mut done = 0;
        while let Some(first) = self.pieces.get(done) {
            let local = first.local;
            let run = self.pieces[done..].iter().take_while(|piece| piece.local == local).count();
            done += match sockets.get(local) {
                Some(socket) => self.send(socket, done..done + run),
                None => run,
            };
        }
        self.pieces.clear();
        self.queue.clear();
        self.used = 0;
        self.flushes += 1;
    }

    /// Room behind what is there already.
    fn room(&mut self, len: usize) -> Range<usize> {
        let range = self.used..self.used + len;
        if range.end > self.store.bytes.len() {
            self.store.bytes.resize(range.end, 0);
        }
        self.used = range.end;
        range
    }

    /// Into what one message of the kernel's takes. A window that is alone is for a machine that waits idle: its first
    /// block goes ahead, so that the machine has something to do while the rest is made.
    fn cut(&mut self) {
        let alone = self.queue.len() == 1;
        for queued in &self.queue {
            let Some(segment) = queued.segment.map(usize::from) else {
                self.pieces.push(queued.clone());
                continue;
            };
            let most = match self.means {
                Means::Segments => MOST_SEGMENTS.min(LONGEST_SEND / segment) * segment,
                Means::Many | Means::Single => segment,
            };
            let Range { mut start, end } = queued.range;
            let mut until = if alone { start + segment } else { start + most };
            while start < end {
                let range = start..until.min(end);
                let is_cut = range.len() > segment;
                self.pieces.push(Queued { range, segment: queued.segment.filter(|_| is_cut), ..*queued });
                (start, until) = (until, until + most);
            }
        }
    }

    /// Sends some of these pieces, all through one socket; gives how many are done with.
    fn send(&mut self, socket: &UdpSocket, pieces: Range<usize>) -> usize {
        let (all, run) = (pieces.len(), &self.pieces[pieces]);
        let sent = match self.means {
            Means::Single => send_single(socket, &run[0], self.store.payload(&run[0])).map(|()| 1),
            Means::Segments | Means::Many => {
                let datagrams = run.iter().map(|piece| Outgoing {
                    to: piece.to,
                    payload: self.store.payload(piece),
                    segment: piece.segment,
                });
                self.sender.send(socket, datagrams)
            }
        };
        match sent {
            Ok(count) => {
                let cut = run[..count.min(all)].iter().any(|piece| piece.segment.is_some());
                self.refusals = if cut { 0 } else { self.refusals };
                count
            }
            Err(error) => {
                let first = run[0].clone();
                self.refused(socket, &first, &error, all)
            }
        }
    }

    /// What becomes of a refused piece, the first of `all`; gives how many are done with.
    fn refused(&mut self, socket: &UdpSocket, piece: &Queued, error: &io::Error, all: usize) -> usize {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN) if WatchedSockets::wait_for_room(socket, ROOM) => 0,
            // The link stands still: what waits for it is lost.
            Some(Errno::AGAIN) => all,
            Some(Errno::INTR) => 0,
            Some(Errno::NOSYS) if self.means != Means::Single => {
                self.make_do_with(Means::Single, error);
                0
            }
            Some(errno @ (Errno::IO | Errno::INVAL | Errno::MSGSIZE)) if piece.segment.is_some() => {
                // EMSGSIZE: blocks that do not fit the path's MTU are cut by nobody; alone each leaves in fragments. That is the
                // path's fault alone. Older kernels say EINVAL of it, and of much else.
                self.refusals += u32::from(errno != Errno::MSGSIZE);
                // EIO: the device cannot make checksums of what it cuts, and never will.
                if errno == Errno::IO || self.refusals >= REFUSALS {
                    self.make_do_with(Means::Many, error);
                }
                if let Err(error) = send_single(socket, piece, self.store.payload(piece)) {
                    tracing::trace!(peer = %piece.to, %error, "failed to send a TFTP window");
                }
                1
            }
            Some(_) | None => {
                tracing::trace!(peer = %piece.to, %error, "failed to send a TFTP packet");
                1
            }
        }
    }

    fn make_do_with(&mut self, means: Means, error: &io::Error) {
        if self.means < means {
            tracing::info!(?means, %error, "TFTP makes do with slower means to send");
            self.means = means;
        }
    }
}

/// A call for each packet.
fn send_single(socket: &UdpSocket, piece: &Queued, payload: &[u8]) -> io::Result<()> {
    let segment = piece.segment.map_or(payload.len(), usize::from).max(1);
    if payload.is_empty() {
        return socket.send_to(payload, piece.to).map(drop);
    }
    for packet in payload.chunks(segment) {
        while let Err(error) = socket.send_to(packet, piece.to) {
            let full = error.kind() == io::ErrorKind::WouldBlock;
            if !full || !WatchedSockets::wait_for_room(socket, ROOM) {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// How many bytes of whole blocks, or of the last, are there from `offset` on.
fn readable(source: &Source, offset: u64, block: u64) -> u64 {
    let (available, size) = (source.available(), source.size());
    let there = available.saturating_sub(offset);
    if available == size { there } else { there / block * block }
}

fn write_headers(packets: &mut [u8], segment: usize, first: u16) {
    let mut number = first;
    for packet in packets.chunks_mut(segment) {
        packet[..DATA_HEADER].copy_from_slice(&data_header(number));
        number = number.wrapping_add(1);
    }
}

/// Fills what lies behind each packet's header with the bytes from `offset` on.
fn read_bodies(source: &Source, mut offset: u64, packets: &mut [u8], segment: usize) -> io::Result<()> {
    for run in packets.chunks_mut(PARTS * segment) {
        let mut parts: [IoSliceMut<'_>; PARTS] = std::array::from_fn(|_| IoSliceMut::new(&mut []));
        let mut len = 0;
        let count = run.len().div_ceil(segment);
        for (part, packet) in parts.iter_mut().zip(run.chunks_mut(segment)) {
            let body = &mut packet[DATA_HEADER..];
            len += body.len();
            *part = IoSliceMut::new(body);
        }
        source.read_parts(offset, &mut parts[..count])?;
        offset += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod fallbacks;
#[cfg(test)]
mod tests;

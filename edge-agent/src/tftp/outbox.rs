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
mod tests {
    use std::fs::File;
    use std::net::Ipv4Addr;
    use std::num::NonZeroU8;
    use std::sync::Arc;

    use bytes::Bytes;
    use tokio::sync::watch;

    use super::super::sockets::Sockets;
    use super::*;

    /// The sockets of a shard, and a machine's.
    fn wire() -> (WatchedSockets, UdpSocket) {
        let one = NonZeroU8::MIN;
        let sockets = Sockets::bind(Ipv4Addr::LOCALHOST, 0, one, one).expect("loopback has free ports");
        wire_of(sockets)
    }

    fn wire_of(sockets: Sockets) -> (WatchedSockets, UdpSocket) {
        let mut parts = sockets.share_out().expect("watched");
        let machine = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        machine.set_read_timeout(Some(Duration::from_secs(10))).expect("a legal time-out");
        (parts.remove(0), machine)
    }

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|n| u8::try_from(n % 251).expect("a byte")).collect()
    }

    /// What the engine describes for a whole file of `size` bytes with blocks of `block`. A transfer's id can only come
    /// from an engine: one runs to its first window.
    fn blocks(to: &UdpSocket, size: usize, block: u16, first: u16) -> Blocks {
        use netboot::tftp::{Action, Config, Input, Range, Server};
        let mut server = Server::new(Config::default());
        let peer = to.local_addr().expect("bound");
        let bytes = b"\0\x01f\0octet\0";
        server.handle(netboot::time::Now::default(), Input::Datagram { local: Local::Listener, peer, bytes });
        let Some(Action::Open { transfer, .. }) = server.poll_action() else { panic!("it opens the file") };
        let count = u16::try_from(size / usize::from(block) + 1).expect("few blocks");
        let range = Range { first, count, offset: 0, len: size as u64 };
        Blocks { transfer, local: Local::Ephemeral(0), peer, block_size: block, range }
    }

    fn received(machine: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
        let mut buffer = [0; 2000];
        (0..count)
            .map(|_| {
                let len = machine.recv(&mut buffer).expect("it arrives");
                buffer[..len].to_vec()
            })
            .collect()
    }

    /// DATA packets as RFC 1350 describes them.
    fn expected(file: &[u8], block: usize, first: u16) -> Vec<Vec<u8>> {
        let bodies = file.chunks_exact(block).chain([file.chunks_exact(block).remainder()]);
        let numbers = (0..).map(|n| first.wrapping_add(n));
        bodies.zip(numbers).map(|(body, number)| [&data_header(number)[..], body].concat()).collect()
    }

    #[test]
    fn each_packet_has_its_number_and_its_bytes_by_all_means() {
        let folder = tempfile::tempdir().expect("a folder");
        for means in [Means::Segments, Means::Many, Means::Single] {
            let (sockets, machine) = wire();
            let mut outbox = Outbox::new(means, &sockets);
            for size in [0, 1, 7, 8, 9, 16, 17, 8 * 63, 8 * 64, 8 * 65 + 3, 1000] {
                let file = content(size);
                let path = folder.path().join("file");
                std::fs::write(&path, &file).expect("written");
                let on_disk = std::fs::File::open(&path).expect("just written").into();
                let on_disk = Source::File { file: on_disk, size: size as u64, arrived: None };
                for source in [Source::Bytes(Bytes::from(file.clone())), on_disk] {
                    let blocks = blocks(&machine, size, 8, 65_530);
                    outbox
                        .blocks(&blocks, &source, &mut Ahead::default(), &sockets)
                        .expect("all bytes are there");
                    outbox.flush(&sockets);
                    let expected = expected(&file, 8, 65_530);
                    assert_eq!(received(&machine, expected.len()), expected, "{size} bytes, {means:?}");
                }
            }
        }
    }

    #[test]
    fn windows_blocks_and_packets_leave_in_order_with_one_flush() {
        let (sockets, machine) = wire();
        let to = machine.local_addr().expect("bound");
        let mut outbox = Outbox::new(Means::Segments, &sockets);
        let file = content(100_000);
        let source = Source::Bytes(Bytes::from(file.clone()));
        outbox.packet(Local::Ephemeral(0), to, b"first");
        outbox.window(&blocks(&machine, file.len(), 1468, 1), &source).expect("all bytes are there");
        outbox.window(&blocks(&machine, 3, 8, 7), &Source::Bytes(Bytes::from_static(b"abc"))).expect("read");
        assert!(outbox.is_full(), "more than one message of the kernel's");
        outbox.flush(&sockets);
        let mut all = vec![b"first".to_vec()];
        all.extend(expected(&file, 1468, 1));
        all.push([&data_header(7)[..], b"abc"].concat());
        assert_eq!(received(&machine, all.len()), all);
    }

    #[test]
    fn what_cannot_be_read_leaves_no_trace() {
        let (sockets, machine) = wire();
        let mut outbox = Outbox::new(Means::Segments, &sockets);
        let short = Source::Bytes(Bytes::from_static(b"short"));
        assert!(outbox.window(&blocks(&machine, 30, 8, 1), &short).is_err());
        outbox.packet(Local::Ephemeral(0), machine.local_addr().expect("bound"), b"after");
        outbox.flush(&sockets);
        assert_eq!(received(&machine, 1), [b"after"]);
    }

    fn on_disk(content: &[u8], size: u64, arrived: Option<watch::Receiver<u64>>) -> (Arc<File>, Source) {
        let path = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(path.path(), content).expect("written");
        let file = Arc::new(path.reopen().expect("it is there"));
        (Arc::clone(&file), Source::File { file, size, arrived })
    }

    /// One block of a file of `size` bytes in blocks of 1000, as it is put in.
    fn put(to: &UdpSocket, number: u16, size: u64) -> Blocks {
        let offset = 1000 * (u64::from(number) - 1);
        let range = netboot::tftp::Range { first: number, count: 1, offset, len: (size - offset).min(1000) };
        Blocks { block_size: 1000, range, ..blocks(to, 0, 1000, 1) }
    }

    fn packet(file: &[u8], number: u16) -> Vec<u8> {
        let start = 1000 * (usize::from(number) - 1);
        [&data_header(number)[..], &file[start..(start + 1000).min(file.len())]].concat()
    }

    #[test]
    fn blocks_that_go_one_by_one_are_the_files_in_any_order() {
        let (sockets, machine) = wire();
        let mut outbox = Outbox::new(Means::Segments, &sockets);
        for size in [49_000, 49_001] {
            let file = content(size);
            let (_, source) = on_disk(&file, size as u64, None);
            let mut ahead = Ahead::default();
            for number in (1..=50).chain([50, 49, 16, 17, 1, 2, 2, 50]) {
                let blocks = put(&machine, number, size as u64);
                outbox.blocks(&blocks, &source, &mut ahead, &sockets).expect("it is there");
                outbox.flush(&sockets);
                assert_eq!(received(&machine, 1), [packet(&file, number)], "block {number} of {size} bytes");
            }
        }
    }

    #[test]
    fn a_lane_is_not_written_to_before_its_packets_have_left() {
        let (sockets, machine) = wire();
        let mut outbox = Outbox::new(Means::Segments, &sockets);
        let (file, other) = (content(40_000), vec![b'x'; 40_000]);
        let ((_, source), (_, others)) = (on_disk(&file, 40_000, None), on_disk(&other, 40_000, None));
        let (mut ahead, mut next) = (Ahead::default(), Ahead::default());
        outbox.blocks(&put(&machine, 1, 40_000), &source, &mut ahead, &sockets).expect("it is there");
        // Of the same transfer, from elsewhere; then the transfer ends, and another gets the lane.
        outbox.blocks(&put(&machine, 30, 40_000), &source, &mut ahead, &sockets).expect("it is there");
        outbox.let_go(&ahead);
        outbox.blocks(&put(&machine, 1, 40_000), &others, &mut next, &sockets).expect("it is there");
        outbox.flush(&sockets);
        assert_eq!(received(&machine, 3), [packet(&file, 1), packet(&file, 30), packet(&other, 1)]);
        assert_eq!(outbox.store.lanes.len(), 1);
    }

    #[test]
    fn of_a_file_that_is_still_arriving_nothing_is_read_before_it_is_there() {
        let (sockets, machine) = wire();
        let mut outbox = Outbox::new(Means::Segments, &sockets);
        let (arriving, arrived) = watch::channel(1500);
        let (file, source) = on_disk(&[b'x'; 4000], 4000, Some(arrived));
        let mut ahead = Ahead::default();
        outbox.blocks(&put(&machine, 1, 4000), &source, &mut ahead, &sockets).expect("it is there");
        std::os::unix::fs::FileExt::write_all_at(&*file, &[b'y'; 3000], 1000).expect("written");
        arriving.send_replace(4000);
        outbox.blocks(&put(&machine, 2, 4000), &source, &mut ahead, &sockets).expect("it is there");
        outbox.flush(&sockets);
        let all = [[b'x'; 1000], [b'y'; 1000]].concat();
        assert_eq!(received(&machine, 2), [packet(&all, 1), packet(&all, 2)]);
    }

    #[test]
    fn a_file_that_shrinks_is_an_error_and_what_is_there_is_served() {
        let (sockets, machine) = wire();
        let mut outbox = Outbox::new(Means::Segments, &sockets);
        let file = content(40_000);
        let (_, source) = on_disk(&file, 80_000, None);
        let mut ahead = Ahead::default();
        assert!(outbox.blocks(&put(&machine, 40, 80_000), &source, &mut ahead, &sockets).is_err());
        outbox.blocks(&put(&machine, 2, 80_000), &source, &mut ahead, &sockets).expect("it is there");
        outbox.flush(&sockets);
        assert_eq!(received(&machine, 1), [packet(&file, 2)]);
    }

    #[test]
    fn a_cut_that_the_kernel_refuses_leaves_in_packets() {
        let one = NonZeroU8::MIN;
        let sockets = Sockets::bind(Ipv4Addr::LOCALHOST, 0, one, one).expect("loopback has free ports");
        // Without checksums the kernel knows UDP_SEGMENT, and refuses each use of it.
        sockets.leave_out_checksums();
        let (sockets, machine) = wire_of(sockets);
        let mut outbox = Outbox::new(Means::Segments, &sockets);
        assert_eq!(outbox.means, Means::Segments, "at the start nothing shows it");
        let file = content(50);
        for _ in 0..REFUSALS + 1 {
            outbox
                .window(&blocks(&machine, 50, 8, 1), &Source::Bytes(Bytes::from(file.clone())))
                .expect("read");
            outbox.flush(&sockets);
            assert_eq!(received(&machine, 7), expected(&file, 8, 1));
        }
        assert_eq!(outbox.means, Means::Many, "it is not tried for ever");
    }

    #[test]
    fn a_window_too_large_for_its_path_leaves_in_packets_and_others_are_cut_on() {
        let (sockets, machine) = wire();
        let mut outbox = Outbox::new(Means::Segments, &sockets);
        let socket = sockets.get(Local::Ephemeral(0)).expect("there is one");
        for _ in 0..REFUSALS + 1 {
            let source = Source::Bytes(Bytes::from(content(50)));
            outbox.window(&blocks(&machine, 50, 8, 1), &source).expect("read");
            let window = outbox.queue.remove(0);
            assert_eq!(outbox.refused(socket, &window, &Errno::MSGSIZE.into(), 1), 1);
            outbox.used = 0;
            assert_eq!(received(&machine, 7), expected(&content(50), 8, 1));
        }
        assert_eq!(outbox.means, Means::Segments);
    }
}

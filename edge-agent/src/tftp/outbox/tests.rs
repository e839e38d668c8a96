//! What leaves are the packets that RFC 1350 describes, however they were put in.

use std::fs::File;
use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::super::sockets::Sockets;
use super::*;

/// The sockets of a shard, and a machine's.
pub(super) fn wire() -> (WatchedSockets, UdpSocket) {
    let one = NonZeroU8::MIN;
    let sockets = Sockets::bind(Ipv4Addr::LOCALHOST, 0, one, one).expect("loopback has free ports");
    wire_of(sockets)
}

pub(super) fn wire_of(sockets: Sockets) -> (WatchedSockets, UdpSocket) {
    let mut parts = sockets.share_out().expect("watched");
    let machine = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
    machine.set_read_timeout(Some(Duration::from_secs(10))).expect("a legal time-out");
    (parts.remove(0), machine)
}

pub(super) fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| u8::try_from(n % 251).expect("a byte")).collect()
}

/// What the engine describes for a whole file of `size` bytes with blocks of `block`. A transfer's id can only come
/// from an engine: one runs to its first window.
pub(super) fn blocks(to: &UdpSocket, size: usize, block: u16, first: u16) -> Blocks {
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

pub(super) fn received(machine: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let mut buffer = [0; 2000];
    (0..count)
        .map(|_| {
            let len = machine.recv(&mut buffer).expect("it arrives");
            buffer[..len].to_vec()
        })
        .collect()
}

/// DATA packets as RFC 1350 describes them.
pub(super) fn expected(file: &[u8], block: usize, first: u16) -> Vec<Vec<u8>> {
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

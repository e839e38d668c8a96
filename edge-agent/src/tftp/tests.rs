//! The server on loopback: a small client of our own, and the real ones curl and busybox. A client that is not
//! installed fails its test: packages `curl` and `busybox-static`.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU8;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use netboot::tftp::{Options, Packet};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::*;

/// A machine that takes answers from the listening port alone.
const SINGLE_PORT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 43));

/// A table of names.
#[derive(Default)]
struct Table(BTreeMap<String, Source>);

impl Library for Table {
    async fn open(&self, peer: SocketAddr, name: &Name) -> Answer {
        let found = self.0.get(name.as_str()).cloned();
        let message = format!("no file {name}");
        let outcome = found.ok_or(Refusal::Answer { code: ErrorCode::FILE_NOT_FOUND, message });
        Answer { outcome, single_port: peer.ip() == SINGLE_PORT }
    }
}

struct Site {
    serving: Serving,
    events: mpsc::Receiver<TftpEvent>,
    shutdown: CancellationToken,
}

fn site(files: impl IntoIterator<Item = (&'static str, Source)>) -> Site {
    let table = Table(files.into_iter().map(|(name, source)| (name.to_owned(), source)).collect());
    let sockets = Sockets::bind(Ipv4Addr::LOCALHOST, 0, slots(4), slots(2)).expect("loopback has free ports");
    let (events_in, events) = mpsc::channel(1000);
    let shutdown = CancellationToken::new();
    let config = Config::default();
    let serving = serve(sockets, config, Arc::new(table), events_in, shutdown.clone()).expect("it starts");
    Site { serving, events, shutdown }
}

fn slots(count: u8) -> NonZeroU8 {
    NonZeroU8::new(count).expect("not zero")
}

impl Site {
    async fn event(&mut self) -> EventKind {
        let event = tokio::time::timeout(Duration::from_secs(60), self.events.recv()).await;
        event.expect("an event comes soon").expect("the server runs").kind
    }

    /// Runs something that blocks beside the server.
    async fn beside<T: Send + 'static>(&self, work: impl FnOnce(SocketAddr) -> T + Send + 'static) -> T {
        let address = self.serving.address();
        tokio::task::spawn_blocking(move || work(address)).await.expect("the client does not panic")
    }
}

fn content(len: usize) -> Bytes {
    (0..len).map(|n| u8::try_from((n * 31 + n / 256) % 256).expect("a byte")).collect()
}

fn in_memory(len: usize) -> Source {
    Source::Bytes(content(len))
}

fn on_disk(folder: &Path, len: usize) -> Source {
    let path = folder.join(format!("file-{len}"));
    std::fs::write(&path, content(len)).expect("the folder is writable");
    let file = Arc::new(File::open(path).expect("just written"));
    Source::File { file, size: len as u64, arrived: None }
}

/// A client without loss: block size and window as asked.
struct Client {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Client {
    fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a legal time-out");
        Self { socket, server }
    }

    fn ask(&self, name: &str, options: &[(&str, usize)]) {
        let mut bytes = [b"\0\x01", name.as_bytes(), b"\0octet\0"].concat();
        for (name, value) in options {
            bytes.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        self.socket.send_to(&bytes, self.server).expect("loopback takes packets");
    }

    fn receive(&self) -> (SocketAddr, Vec<u8>) {
        let mut buffer = vec![0; 65_536];
        let (len, from) = self.socket.recv_from(&mut buffer).expect("the server answers in time");
        buffer.truncate(len);
        (from, buffer)
    }

    fn ack(&self, to: SocketAddr, block: u16) {
        self.socket.send_to(&Packet::Ack { block }.to_vec(), to).expect("loopback takes packets");
    }

    /// The whole file, or the code of the error.
    fn fetch(&self, name: &str, options: &[(&str, usize)]) -> Result<Vec<u8>, ErrorCode> {
        self.ask(name, options);
        let (mut block_size, mut window) = (512, 1);
        let (mut file, mut expected, mut in_window) = (Vec::new(), 1_u16, 0);
        loop {
            let (from, bytes) = self.receive();
            match Packet::parse(&bytes).expect("the server sends TFTP") {
                Packet::Error { code, .. } => return Err(code),
                Packet::OptionAck(Options { block_size: size, window_size, .. }) => {
                    block_size = size.map_or(block_size, |size| usize::from(size.get()));
                    window = window_size.map_or(window, |window| window.get());
                    self.ack(from, 0);
                }
                Packet::Data { block, bytes } if block == expected => {
                    file.extend_from_slice(bytes);
                    (expected, in_window) = (expected.wrapping_add(1), in_window + 1);
                    if bytes.len() < block_size || in_window == window {
                        in_window = 0;
                        self.ack(from, block);
                    }
                    if bytes.len() < block_size {
                        return Ok(file);
                    }
                }
                Packet::Data { .. } => {
                    in_window = 0;
                    self.ack(from, expected.wrapping_sub(1));
                }
                Packet::ReadRequest(_) | Packet::WriteRequest(_) | Packet::Ack { .. } => {
                    panic!("not for a client: {bytes:?}")
                }
            }
        }
    }
}

#[tokio::test]
async fn files_from_memory_and_disk_arrive_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    for len in [0, 1, 511, 512, 513, 1467, 1468, 1469, 100_000, 1468 * 64, 3_000_000] {
        let site = site([("memory", in_memory(len)), ("disk/file", on_disk(folder.path(), len))]);
        let all: [&[(&str, usize)]; 4] = [
            &[],
            &[("blksize", 1468), ("tsize", 0)],
            &[("blksize", 1468), ("windowsize", 4)],
            &[("windowsize", 64), ("blksize", 1024), ("timeout", 2)],
        ];
        for options in all {
            let fetched = site.beside(move |address| {
                let memory = Client::new(address).fetch("/memory", options);
                let disk = Client::new(address).fetch(r"\disk\file", options);
                (memory, disk)
            });
            let (memory, disk) = fetched.await;
            assert!(memory.as_deref() == Ok(&content(len)), "{len} bytes from memory, {options:?}");
            assert!(disk.as_deref() == Ok(&content(len)), "{len} bytes from disk, {options:?}");
        }
    }
}

#[tokio::test]
async fn events_tell_the_story() {
    let mut site = site([("file", in_memory(1000))]);
    site.beside(|address| Client::new(address).fetch("file", &[])).await.expect("it exists");
    assert_eq!(site.event().await, EventKind::Began { size: 1000, block_size: 512, window: 1 });
    assert!(matches!(site.event().await, EventKind::Completed { bytes: 1000, blocks: 2, .. }));
    let missing = site.beside(|address| Client::new(address).fetch("none", &[])).await;
    assert_eq!(missing, Err(ErrorCode::FILE_NOT_FOUND));
    let message = "no file none".to_owned();
    assert_eq!(site.event().await, EventKind::Refused { code: ErrorCode::FILE_NOT_FOUND, message });
}

#[tokio::test]
async fn transfers_come_from_ephemeral_ports_and_writes_are_refused() {
    let site = site([("file", in_memory(10))]);
    let (server, from, wrote) = site
        .beside(|address| {
            let client = Client::new(address);
            client.ask("file", &[]);
            let (from, _) = client.receive();
            let writer = Client::new(address);
            writer.socket.send_to(b"\0\x02file\0octet\0", address).expect("loopback takes packets");
            (address, from, writer.receive().1)
        })
        .await;
    assert_eq!(server.ip(), from.ip());
    assert_ne!(server.port(), from.port());
    assert_eq!(wrote[..4], [0, 5, 0, 2]);
}

#[tokio::test]
async fn quirk_43_a_machine_behind_a_strict_firewall_is_served_from_the_listening_port() {
    let site = site([("file", in_memory(3000))]);
    let (address, fetched, missing) = site
        .beside(|address| {
            let behind = || {
                let socket = UdpSocket::bind((SINGLE_PORT, 0)).expect("all of 127/8 is ours");
                socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a legal time-out");
                // The kernel drops what comes from any other port.
                socket.connect(address).expect("loopback");
                socket
            };
            let fetched = connected_fetch(&behind(), b"\0\x01file\0octet\0blksize\x001000\0");
            let missing = behind();
            missing.send(b"\0\x01none\0octet\0").expect("loopback takes packets");
            let mut buffer = [0; 100];
            let len = missing.recv(&mut buffer).expect("an answer");
            (address, fetched, buffer[..len.min(4)].to_vec())
        })
        .await;
    assert_eq!(fetched, content(3000), "{address}");
    assert_eq!(missing, [0, 5, 0, 1]);
}

/// Fetches with blocks of 1000 bytes through a socket that hears one port alone.
fn connected_fetch(socket: &UdpSocket, request: &[u8]) -> Vec<u8> {
    socket.send(request).expect("loopback takes packets");
    let (mut file, mut buffer) = (Vec::new(), [0; 2000]);
    loop {
        let len = socket.recv(&mut buffer).expect("the server answers from the listening port");
        let number = match Packet::parse(&buffer[..len]).expect("the server sends TFTP") {
            Packet::OptionAck(_) => 0,
            Packet::Data { block, bytes } => {
                file.extend_from_slice(bytes);
                block
            }
            other @ (Packet::ReadRequest(_)
            | Packet::WriteRequest(_)
            | Packet::Ack { .. }
            | Packet::Error { .. }) => {
                panic!("not for this client: {other:?}")
            }
        };
        socket.send(&Packet::Ack { block: number }.to_vec()).expect("loopback takes packets");
        if number > 0 && len < 1004 {
            return file;
        }
    }
}

#[tokio::test]
async fn a_file_is_served_while_it_arrives() {
    let folder = tempfile::tempdir().expect("a folder");
    let Source::File { file, size, .. } = on_disk(folder.path(), 500_000) else { unreachable!() };
    let (arriving, arrived) = watch::channel(0);
    let site = site([("file", Source::File { file, size, arrived: Some(arrived) })]);
    let fetch =
        site.beside(|address| Client::new(address).fetch("file", &[("blksize", 1468), ("windowsize", 8)]));
    let feed = async {
        for available in (0..=size).step_by(50_000) {
            arriving.send_replace(available);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let (fetched, ()) = tokio::join!(fetch, feed);
    assert!(fetched.as_deref() == Ok(&content(500_000)));
}

#[tokio::test]
async fn a_file_that_stops_arriving_ends_with_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let Source::File { file, size, .. } = on_disk(folder.path(), 5000) else { unreachable!() };
    let (arriving, arrived) = watch::channel(600);
    let mut site = site([("file", Source::File { file, size, arrived: Some(arrived) })]);
    let fetch = site.beside(|address| Client::new(address).fetch("file", &[]));
    let feed = async {
        tokio::task::yield_now().await;
        drop(arriving);
    };
    let (fetched, ()) = tokio::join!(fetch, feed);
    assert_eq!(fetched, Err(ErrorCode::NOT_DEFINED));
    assert!(matches!(site.event().await, EventKind::Began { .. }));
    assert!(matches!(site.event().await, EventKind::Failed { why: Why::SourceFailed(_), .. }));
}

#[tokio::test]
async fn a_file_shorter_than_it_was_said_to_be_ends_with_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let Source::File { file, .. } = on_disk(folder.path(), 700) else { unreachable!() };
    let site = site([("file", Source::File { file, size: 5000, arrived: None })]);
    let fetched = site.beside(|address| Client::new(address).fetch("file", &[])).await;
    assert_eq!(fetched, Err(ErrorCode::NOT_DEFINED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_machines_at_once() {
    let mut site = site([("file", in_memory(200_000))]);
    let address = site.serving.address();
    // Each from an address of its own: the limits are for one source.
    let clients = (1..=40_u8).map(|host| {
        tokio::task::spawn_blocking(move || {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 1, host), 0)).expect("all of 127/8 is ours");
            socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a legal time-out");
            Client { socket, server: address }.fetch("file", &[("blksize", 1468), ("windowsize", 4)])
        })
    });
    for client in clients.collect::<Vec<_>>() {
        let fetched = client.await.expect("no panic");
        assert!(fetched.as_deref() == Ok(&content(200_000)));
    }
    let mut completed = 0;
    while completed < 40 {
        completed += u32::from(matches!(site.event().await, EventKind::Completed { .. }));
    }
    assert_eq!(site.serving.dropped(), Dropped::default());
}

#[tokio::test]
async fn junk_is_counted_and_harms_nothing() {
    let site = site([("file", in_memory(10))]);
    let fetched = site.beside(|address| {
        let client = Client::new(address);
        for junk in [&b""[..], b"\0", b"\xff\xff\xff\xff", &[b'x'; 1400]] {
            client.socket.send_to(junk, address).expect("loopback takes packets");
        }
        client.fetch("file", &[])
    });
    assert!(fetched.await.as_deref() == Ok(&content(10)));
    // A shard publishes its counts behind what it sends.
    let counted = async {
        while site.serving.dropped().packets.malformed < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counted).await.expect("all four are counted");
    assert_eq!(site.serving.dropped().packets.malformed, 4);
}

#[tokio::test]
async fn an_inherited_listener_is_served_and_shutdown_ends_it() {
    let listener = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("bound");
    let sockets = Sockets::beside(listener, slots(1)).expect("loopback has free ports");
    let (events, _kept) = mpsc::channel(10);
    let shutdown = CancellationToken::new();
    let library = Arc::new(Table([("f".to_owned(), in_memory(3))].into()));
    let mut serving =
        serve(sockets, Config::default(), library, events, shutdown.clone()).expect("it starts");
    assert_eq!(serving.address(), address);
    let fetched = tokio::task::spawn_blocking(move || Client::new(address).fetch("f", &[])).await;
    assert!(fetched.expect("no panic").as_deref() == Ok(&content(3)));
    shutdown.cancel();
    serving.stopped().await.expect("no panic");
    let freed = async {
        // A client that another test is just starting shares the socket until it executes.
        while UdpSocket::bind(address).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), freed).await.expect("the port is free again");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = site([]);
    let port = taken.serving.address().port();
    let error = Sockets::bind(Ipv4Addr::LOCALHOST, port, slots(1), slots(2)).expect_err("taken");
    assert_eq!(error.to_string(), format!("bind UDP 127.0.0.1:{port}"));
    taken.shutdown.cancel();
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the client is installed (packages curl, busybox-static)")
}

fn url(address: SocketAddr, name: &str) -> String {
    format!("tftp://{address}/{name}")
}

#[tokio::test]
async fn curl_fetches_with_and_without_options() {
    for len in [0, 1, 511, 512, 513, 1468, 100_000] {
        let site = site([("boot/file.efi", in_memory(len))]);
        let ways: [&[&str]; 4] =
            [&[], &["--tftp-blksize", "1468"], &["--tftp-blksize", "65464"], &["--tftp-no-options"]];
        for options in ways {
            if len == 0 && options != ["--tftp-no-options"] {
                // Curl itself refuses an option acknowledgement that says tsize 0.
                continue;
            }
            let output = site.beside(move |address| {
                let url = url(address, "boot/file.efi");
                run(Command::new("curl").args(["-sS", "--max-time", "20"]).args(options).arg(url))
            });
            let output = output.await;
            assert!(
                output.status.success(),
                "{len}, {options:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(output.stdout == content(len), "{len} bytes, {options:?}");
        }
    }
}

#[tokio::test]
async fn curl_is_told_that_there_is_no_file_and_no_writing() {
    let site = site([]);
    let (missing, write) = site
        .beside(|address| {
            let missing =
                run(Command::new("curl").args(["-sS", "--max-time", "20"]).arg(url(address, "none")));
            let upload = ["-sS", "--max-time", "20", "--upload-file", "Cargo.toml"];
            (missing, run(Command::new("curl").args(upload).arg(url(address, "new"))))
        })
        .await;
    assert_eq!(missing.status.code(), Some(68), "curl's code for TFTP: file not found");
    assert_eq!(write.status.code(), Some(69), "curl's code for TFTP: permission problem");
}

#[tokio::test]
async fn busybox_fetches() {
    for len in [0, 512, 1469, 100_000] {
        let site = site([("file", in_memory(len))]);
        for block in ["512", "1468", "128", "65464"] {
            let output = site.beside(move |address| {
                let (host, port) = (address.ip().to_string(), address.port().to_string());
                let fetch = ["tftp", "-g", "-b", block, "-r", "file", "-l", "/dev/stdout", &host, &port];
                run(Command::new("busybox").args(fetch))
            });
            let output = output.await;
            assert!(output.status.success(), "{len}, {block}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout == content(len), "{len} bytes in blocks of {block}");
        }
    }
}

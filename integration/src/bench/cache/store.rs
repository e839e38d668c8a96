//! What stands at the far end of the link: an object store with one blob, behind a shaped link, that counts what it sends.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ipnet::Ipv4Net;
use proto::plan::BlobRef;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::bench::Ground;
use crate::lab::Namespace;
use crate::lab::netns::NAMESPACES;

/// The store's end of the link and the agent's.
const ENDS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 60, 0, 1), Ipv4Addr::new(10, 60, 0, 2)];
/// Its interfaces: the agent's and the store's.
const NEAR: &str = "wan";
const FAR: &str = "far";
const PORT: u16 = 8_000;
/// What tbf lets go at once, and how long a packet waits at most.
const SHAPE: &str = "burst 64kb latency 100ms";
const CHUNK: usize = 256 << 10;

/// The base URL at which blobs are.
pub(in crate::bench) fn url() -> String {
    format!("http://{}:{PORT}", ENDS[0])
}

/// The store. Dropping it ends it, and takes the link away.
pub(in crate::bench) struct Store {
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    listener: TcpListener,
    _namespace: Namespace,
}

impl Store {
    /// Puts `file` behind a link of this rate.
    pub(in crate::bench) fn open(
        ground: &Ground,
        file: PathBuf,
        blob: &BlobRef,
        rate: &str,
    ) -> anyhow::Result<Self> {
        let namespace = Namespace::create(ground.run(), "store")?;
        ground.server().connect(NEAR, &namespace, FAR)?;
        for (end, interface, address) in [(&namespace, FAR, ENDS[0]), (ground.server(), NEAR, ENDS[1])] {
            end.add_address(interface, Ipv4Net::new(address, 24)?)?;
        }
        namespace.shell(&format!("tc qdisc add dev {FAR} root tbf rate {rate} {SHAPE}"))?;
        let listener = inside(&namespace, || TcpListener::bind((ENDS[0], PORT)))??;
        let (sent, over): (Arc<AtomicU64>, Arc<AtomicBool>) = Default::default();
        let (accepting, path) = (listener.try_clone()?, format!("/sha256/{}", blob.digest));
        let (counter, ended, file) = (sent.clone(), over.clone(), Arc::new(File::open(file)?));
        std::thread::spawn(move || {
            for stream in accepting.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (file, path, counter) = (file.clone(), path.clone(), counter.clone());
                // A client that goes away is the client's affair.
                std::thread::spawn(move || drop(serve(stream, &file, &path, &counter)));
            }
        });
        Ok(Self { sent, over, listener, _namespace: namespace })
    }

    /// Bytes that were sent since the beginning, heads among them, to all but plain transfers.
    pub(in crate::bench) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // The thread that accepts wakes once more; where it cannot be woken it ends with the process.
        if let Ok(address) = self.listener.local_addr() {
            drop(TcpStream::connect_timeout(&address, Duration::from_millis(100)));
        }
    }
}

/// Does `work` in a thread of this namespace; sockets that it makes stay there.
fn inside<T: Send>(namespace: &Namespace, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let handle = File::open(Path::new(NAMESPACES).join(namespace.name()))?;
    let there = || {
        move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(work())
    };
    std::thread::scope(|scope| match scope.spawn(there).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn serve(mut stream: TcpStream, file: &File, path: &str, sent: &AtomicU64) -> io::Result<()> {
    let size = file.metadata()?.len();
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte)? == 0 {
                return Ok(());
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let counts = !head.contains("x-plain");
        if !head.contains(path) {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        }
        let first =
            head.lines().find_map(|line| line.strip_prefix("range: bytes=")?.split('-').next()?.parse().ok());
        let start: u64 = first.unwrap_or(0);
        let status = match first {
            None => "200 OK\r\n".to_owned(),
            Some(_) => format!("206 Partial Content\r\ncontent-range: bytes {start}-{}/{size}\r\n", size - 1),
        };
        let answer = format!("HTTP/1.1 {status}content-length: {}\r\n\r\n", size - start);
        stream.write_all(answer.as_bytes())?;
        let (mut at, mut chunk) = (start, vec![0; CHUNK]);
        let mut counted = answer.len() as u64;
        while at < size {
            let length = file.read_at(&mut chunk, at)?;
            stream.write_all(&chunk[..length])?;
            at += length as u64;
            counted += length as u64;
            if counts {
                sent.fetch_add(std::mem::take(&mut counted), Ordering::Relaxed);
            }
        }
    }
}

/// How long one plain transfer of the blob takes over the link; to be called at its near end.
pub(super) fn plain_transfer(blob: &BlobRef) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut stream =
        TcpStream::connect(SocketAddr::from((ENDS[0], PORT))).context("the store is out of reach")?;
    let request = format!("GET /sha256/{} HTTP/1.1\r\nhost: store\r\nx-plain: yes\r\n\r\n", blob.digest);
    stream.write_all(request.as_bytes())?;
    let (mut received, mut chunk) = (0, vec![0; CHUNK]);
    // The head is shorter than one chunk, and no byte of it counts in so many.
    while received < blob.size {
        let length = stream.read(&mut chunk)?;
        ensure!(length > 0, "the plain transfer broke off");
        received += length as u64;
    }
    Ok(began.elapsed())
}

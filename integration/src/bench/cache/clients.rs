//! The machines that ask: by HTTP, each over a connection of its own whose bytes the kernel throws away, or by TFTP with
//! windows, as a boot loader does.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use crate::bench::Latencies;
use crate::bench::ground::SERVER;

/// Nothing comes for so long: it has failed.
const STILL: Duration = Duration::from_secs(20);
/// What is taken from a socket at one time.
const CHUNK: usize = 1 << 20;
const BLOCK: usize = 1_468;
const WINDOW: u16 = 32;
/// How long a TFTP client waits before it says again how far it is.
const AGAIN: Duration = Duration::from_millis(200);

/// Who asks, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    Http(u64),
    Tftp(u64),
}

impl Readers {
    pub(super) fn count(self) -> u64 {
        match self {
            Self::Http(count) | Self::Tftp(count) => count,
        }
    }
}

/// What they saw.
pub(super) struct Seen {
    /// From the question to the first byte, of whoever had it first.
    pub(super) first_byte: Duration,
    /// To the last byte of the last one.
    pub(super) took: Duration,
    /// How many got all of it.
    pub(super) whole: u64,
    /// Of each, to its last byte.
    pub(super) latencies: Latencies,
}

/// One machine's.
struct Got {
    first_byte: Duration,
    all: Duration,
}

/// Lets all of them ask at once, and waits for the last.
pub(super) fn read_all(readers: Readers, name: &'static str, size: u64) -> io::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let began = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for number in 0..readers.count() {
            let from = Ipv4Addr::from_bits(Ipv4Addr::new(10, 68, 1, 0).to_bits() + number as u32);
            all.spawn(async move {
                match readers {
                    Readers::Http(_) => http(from, name, size, began).await,
                    Readers::Tftp(_) => tftp(from, name, size, began).await,
                }
            });
        }
        let got: Vec<io::Result<Got>> = all.join_all().await;
        let failure = got.iter().find_map(|got| got.as_ref().err());
        if let Some(error) = failure {
            tracing::warn!(%error, "a machine did not get the file");
        }
        let good: Vec<Got> = got.into_iter().flatten().collect();
        let mut latencies = Latencies::default();
        latencies.extend(good.iter().map(|got| got.all));
        Ok(Seen {
            first_byte: good.iter().map(|got| got.first_byte).min().unwrap_or_default(),
            took: good.iter().map(|got| got.all).max().unwrap_or_default(),
            whole: good.len() as u64,
            latencies,
        })
    })
}

async fn http(from: Ipv4Addr, name: &str, size: u64, began: Instant) -> io::Result<Got> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut stream = socket.connect(SocketAddr::from((SERVER, 80))).await?;
    stream.write_all(format!("GET /{name} HTTP/1.1\r\nhost: {SERVER}\r\n\r\n").as_bytes()).await?;
    let mut head = Vec::with_capacity(16 << 10);
    let end = loop {
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if still(stream.read_buf(&mut head)).await? == 0 {
            return Err(wrong("no head"));
        }
    };
    if !head.starts_with(b"HTTP/1.1 200") {
        return Err(wrong("no 200"));
    }
    let mut received = (head.len() - end) as u64;
    let mut first_byte = (received > 0).then(|| began.elapsed());
    let mut chunk = vec![0; CHUNK];
    while received < size {
        match still(discard(&stream, &mut chunk)).await? {
            0 => return Err(wrong("it broke off")),
            length => received += length as u64,
        }
        first_byte = first_byte.or_else(|| Some(began.elapsed()));
    }
    Ok(Got { first_byte: first_byte.unwrap_or_default(), all: began.elapsed() })
}

/// Takes what has come, and lets the kernel throw it away (tcp(7), MSG_TRUNC).
async fn discard(stream: &TcpStream, chunk: &mut [u8]) -> io::Result<usize> {
    stream
        .async_io(Interest::READABLE, || {
            let (_, length) = recv(stream, &mut *chunk, RecvFlags::TRUNC | RecvFlags::DONTWAIT)?;
            Ok(length)
        })
        .await
}

/// RFC 1350, 2348, 7440. Blocks are counted beyond 65,535; their bytes are only counted.
async fn tftp(from: Ipv4Addr, name: &str, size: u64, began: Instant) -> io::Result<Got> {
    let socket = UdpSocket::bind((from, 0)).await?;
    let options = format!("blksize\0{BLOCK}\0windowsize\0{WINDOW}\0");
    let mut say = [&[0, 1], name.as_bytes(), b"\0octet\0", options.as_bytes()].concat();
    let mut to = SocketAddr::from((SERVER, 69));
    socket.send_to(&say, to).await?;
    let (mut due, mut received, mut in_window, mut first_byte) = (1_u16, 0_u64, 0, None);
    let (mut packet, mut heard) = (vec![0; 2_048], Instant::now());
    loop {
        let Ok(come) = tokio::time::timeout(AGAIN, socket.recv_from(&mut packet)).await else {
            if heard.elapsed() > STILL {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket.send_to(&say, to).await?;
            continue;
        };
        let (length, peer) = come?;
        (to, heard) = (peer, Instant::now());
        match &packet[..length] {
            [0, 6, ..] => say = acknowledge(0),
            [0, 3, high, low, data @ ..] if u16::from_be_bytes([*high, *low]) == due => {
                first_byte = first_byte.or_else(|| Some(began.elapsed()));
                received += data.len() as u64;
                in_window += 1;
                say = acknowledge(due);
                due = due.wrapping_add(1);
                let is_last = data.len() < BLOCK;
                if is_last {
                    socket.send_to(&say, to).await?;
                    let got = Got { first_byte: first_byte.unwrap_or_default(), all: began.elapsed() };
                    return if received == size { Ok(got) } else { Err(wrong("another length")) };
                }
                if in_window < WINDOW {
                    continue;
                }
            }
            [0, 3, ..] => say = acknowledge(due.wrapping_sub(1)),
            _ => return Err(wrong("an ERROR")),
        }
        in_window = 0;
        socket.send_to(&say, to).await?;
    }
}

fn acknowledge(block: u16) -> Vec<u8> {
    [[0, 4], block.to_be_bytes()].concat()
}

async fn still<T>(reading: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(STILL, reading).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn wrong(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

//! The load: one thread that keeps many connections busy, and sleeps never.
//!
//! A reader that sleeps costs its server a wake-up for each answer, which on virtual machines is most of what is measured.
//! So it asks the kernel without end which connections have something. Bytes of large files are discarded in the kernel
//! (`MSG_TRUNC`, tcp(7)), which leaves the core to the protocol, or really read, as clients do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::event::epoll;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{Domain, Socket, Type};

use super::super::load::{Latencies, Load};

/// What is discarded at one go, at most.
const DISCARDED: usize = 4 << 20;
/// What is read at one go, at most.
const READ: usize = 256 << 10;
/// The largest head of an answer.
const HEAD: usize = 16 << 10;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// What becomes of the bytes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// They are let go in the kernel.
    Discard,
    /// They are copied out of it.
    Copy,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) server: SocketAddr,
    /// One connection from each.
    pub(super) from: &'a [Ipv4Addr],
    /// The file's name, and its bytes.
    pub(super) name: &'a str,
    pub(super) bytes: u64,
    pub(super) reading: Reading,
    /// Transfers that are under way then are broken off.
    pub(super) time: Duration,
}

/// Keeps the server busy as planned. The amount is in bytes, transfers that were broken off included; each whole answer
/// has a latency.
pub(super) fn run(plan: &Plan<'_>) -> anyhow::Result<Load> {
    let request = format!("GET /{} HTTP/1.1\r\nHost: {}\r\n\r\n", plan.name, plan.server.ip());
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections = Vec::new();
    for (number, from) in plan.from.iter().enumerate() {
        let socket = connect(*from, plan.server)?;
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&poll, &socket, data, epoll::EventFlags::IN)?;
        connections.push(Connection::new(socket));
    }
    let mut client = Client { plan, request, buffer: vec![0; DISCARDED], load: Load::new(0, plan.time) };
    client.drive(&poll, &mut connections)?;
    Ok(client.load)
}

fn connect(from: Ipv4Addr, to: SocketAddr) -> anyhow::Result<OwnedFd> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into()).context("failed to take a machine's address")?;
    socket.connect_timeout(&to.into(), CONNECT).context("failed to connect")?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

struct Connection {
    socket: OwnedFd,
    asked: Instant,
    state: State,
}

enum State {
    /// Of an answer's head that is still coming.
    Head(Vec<u8>),
    /// So many bytes are still to come.
    Body(u64),
}

impl Connection {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, asked: Instant::now(), state: State::Head(Vec::new()) }
    }
}

struct Client<'a> {
    plan: &'a Plan<'a>,
    request: String,
    buffer: Vec<u8>,
    load: Load,
}

impl Client<'_> {
    fn drive(&mut self, poll: &OwnedFd, connections: &mut [Connection]) -> anyhow::Result<()> {
        let began = Instant::now();
        for connection in &mut *connections {
            self.ask(connection)?;
        }
        let mut events: [epoll::Event; 256] = std::array::from_fn(|_| epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        });
        let never = rustix::event::Timespec::default();
        while began.elapsed() < self.plan.time {
            let count = match epoll::wait(poll, &mut events[..], Some(&never)) {
                Ok(count) => count,
                Err(rustix::io::Errno::INTR) => 0,
                Err(error) => bail!("failed to wait: {error}"),
            };
            for event in &events[..count] {
                let data = event.data;
                let number = usize::try_from(data.u64()).context("a number of ours")?;
                self.take(&mut connections[number])?;
            }
        }
        self.load.elapsed = began.elapsed();
        Ok(())
    }

    fn ask(&self, connection: &mut Connection) -> anyhow::Result<()> {
        connection.asked = Instant::now();
        let sent = send(&connection.socket, self.request.as_bytes(), SendFlags::NOSIGNAL)?;
        ensure!(sent == self.request.len(), "a request did not fit into an empty socket");
        Ok(())
    }

    /// What has come on a connection, or a part of it.
    fn take(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        let (most, flags) = match (&connection.state, self.plan.reading) {
            (State::Head(_), _) => (HEAD, RecvFlags::DONTWAIT),
            (State::Body(_), Reading::Copy) => (READ, RecvFlags::DONTWAIT),
            (State::Body(_), Reading::Discard) => (DISCARDED, RecvFlags::DONTWAIT | RecvFlags::TRUNC),
        };
        let most = match connection.state {
            State::Head(_) => most,
            State::Body(left) => most.min(usize::try_from(left).unwrap_or(usize::MAX)),
        };
        let came = match recv(connection.socket.as_fd(), &mut self.buffer[..most], flags) {
            Ok((_, 0)) => bail!("the server closed a connection"),
            Ok((_, came)) => came,
            Err(error) if error == rustix::io::Errno::AGAIN => return Ok(()),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let left = match &mut connection.state {
            State::Body(left) => {
                self.load.amount += came as u64;
                *left - came as u64
            }
            State::Head(head) => {
                head.extend_from_slice(&self.buffer[..came]);
                let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(()) };
                let bytes = understand(&head[..end])?;
                ensure!(bytes == self.plan.bytes, "the file has {bytes} bytes there");
                let body = (head.len() - end - 4) as u64;
                self.load.amount += body;
                bytes - body
            }
        };
        if left > 0 {
            connection.state = State::Body(left);
            return Ok(());
        }
        self.load.latencies.record(connection.asked.elapsed());
        connection.state = State::Head(Vec::new());
        self.ask(connection)
    }
}

/// The content's length, of a head that says that all of it comes.
fn understand(head: &[u8]) -> anyhow::Result<u64> {
    let text = String::from_utf8_lossy(head);
    ensure!(text.starts_with("HTTP/1.1 200 "), "the answer is {:?}", text.lines().next());
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    length.context("the answer has no length")
}

/// Answers instead of bytes, for cells that count requests.
pub(super) fn in_requests(load: Load) -> Load {
    Load { amount: Latencies::count(&load.latencies), ..load }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_understood() {
        let head = |text: &str| understand(text.as_bytes()).ok();
        assert_eq!(head("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 7"), Some(7));
        assert_eq!(head("HTTP/1.1 200 OK\r\ncontent-length:7"), Some(7));
        assert_eq!(head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"), None);
        assert_eq!(head("HTTP/1.1 404 Not Found\r\nContent-Length: 7"), None);
    }
}

//! The kernel's limit: what `sendfile` and `writev` do for the same requests with nothing else around them.
//!
//! One thread: it answers whatever ends in an empty line with the one file that it was started with.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IoSlice, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::Context as _;
use rustix::event::epoll;
use rustix::fs::sendfile;
use rustix::io::{Errno, writev};
use rustix::net::{RecvFlags, recv};
use socket2::SockRef;

/// Files up to this leave from memory.
const SMALL: u64 = 1 << 20;
/// As the agent's: see `edge-agent/src/http/body.rs`.
const UNSENT: u32 = 2 << 20;
const CHUNK: u64 = 1 << 20;
/// The number of the listener among events.
const LISTENER: u64 = u64::MAX;

/// Serves the file `path` at `address`, until it is ended.
///
/// # Errors
/// When its sockets or the file fail.
pub(super) fn serve(address: SocketAddr, path: &str) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("failed to open {path}"))?;
    let size = file.metadata()?.len();
    let mut small = Vec::new();
    if size <= SMALL {
        (&file).read_to_end(&mut small)?;
    }
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    SockRef::from(&listener).set_tcp_nodelay(true)?;
    SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT)?;
    // Root may; the bench's servers are root's.
    SockRef::from(&listener).set_tcp_congestion(b"cubic")?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes();
    let offer = Offer { head, small, file, size };
    Loop { poll, listener, offer, clients: Vec::new(), busy: VecDeque::new() }.run()
}

struct Offer {
    head: Vec<u8>,
    small: Vec<u8>,
    file: File,
    size: u64,
}

struct Client {
    socket: OwnedFd,
    /// What of an answer has left, its head included; None: nothing is asked for.
    left: Option<u64>,
}

struct Loop {
    poll: OwnedFd,
    listener: TcpListener,
    offer: Offer,
    clients: Vec<Option<Client>>,
    /// Who may be sent to.
    busy: VecDeque<usize>,
}

impl Loop {
    fn run(mut self) -> anyhow::Result<()> {
        let none = || epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
        let mut events: [epoll::Event; 256] = std::array::from_fn(|_| none());
        let now = rustix::event::Timespec::default();
        loop {
            let patience = (!self.busy.is_empty()).then_some(&now);
            let count = match epoll::wait(&self.poll, &mut events[..], patience) {
                Ok(count) => count,
                Err(Errno::INTR) => 0,
                Err(error) => return Err(error.into()),
            };
            for event in &events[..count] {
                let data = event.data;
                match data.u64() {
                    LISTENER => self.accept()?,
                    number => self.heard(usize::try_from(number)?),
                }
            }
            for _ in 0..self.busy.len() {
                if let Some(number) = self.busy.pop_front() {
                    self.send(number);
                }
            }
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        while let Ok((socket, _)) = self.listener.accept() {
            socket.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(self.clients.len() as u64);
            epoll::add(
                &self.poll,
                &socket,
                data,
                epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET,
            )?;
            self.clients.push(Some(Client { socket: socket.into(), left: None }));
        }
        Ok(())
    }

    /// It has asked, or may be sent to again.
    fn heard(&mut self, number: usize) {
        let Some(client) = &mut self.clients[number] else { return };
        if client.left.is_none() {
            let mut request = [0; 4096];
            match recv(client.socket.as_fd(), &mut request, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return self.clients[number] = None,
                Ok((_, came)) if request[..came].ends_with(b"\r\n\r\n") => client.left = Some(0),
                Ok(_) => return,
                Err(Errno::AGAIN) => return,
                Err(_) => return self.clients[number] = None,
            }
        }
        self.busy.push_back(number);
    }

    fn send(&mut self, number: usize) {
        let Some(client) = &mut self.clients[number] else { return };
        let Some(left) = client.left else { return };
        match self.offer.send(&client.socket, left) {
            Ok(sent) if left + sent == self.offer.bytes() => {
                client.left = None;
                // The next request may be there already.
                self.heard(number);
            }
            Ok(sent) => {
                client.left = Some(left + sent);
                self.busy.push_back(number);
            }
            Err(Errno::AGAIN) => {}
            Err(_) => self.clients[number] = None,
        }
    }
}

impl Offer {
    fn bytes(&self) -> u64 {
        self.head.len() as u64 + self.size
    }

    /// Sends what is behind the first `left` bytes of an answer, or some of it.
    fn send(&self, socket: &OwnedFd, left: u64) -> Result<u64, Errno> {
        let head = self.head.get(usize::try_from(left).unwrap_or(usize::MAX)..).unwrap_or_default();
        let mut place = left.saturating_sub(self.head.len() as u64);
        if !self.small.is_empty() {
            let body = &self.small[usize::try_from(place).unwrap_or(usize::MAX)..];
            return Ok(writev(socket, &[IoSlice::new(head), IoSlice::new(body)])? as u64);
        }
        if !head.is_empty() {
            cork(socket, true)?;
            return Ok(writev(socket, &[IoSlice::new(head)])? as u64);
        }
        let chunk = usize::try_from(CHUNK.min(self.size - place)).unwrap_or(usize::MAX);
        let sent = sendfile(socket, &self.file, Some(&mut place), chunk)? as u64;
        if place == self.size {
            cork(socket, false)?;
        }
        Ok(sent)
    }
}

/// While it is corked, nothing leaves but whole segments.
fn cork(socket: &OwnedFd, corked: bool) -> Result<(), Errno> {
    rustix::net::sockopt::set_tcp_cork(socket, corked)
}

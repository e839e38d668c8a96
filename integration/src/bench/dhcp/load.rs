//! Machines before a real server: one socket for all of them, many datagrams a call.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use edge_agent::datagrams::{BATCH, Inbox, Outgoing, Sender};
use socket2::{Domain, Protocol, Socket, Type};

use super::super::load::{Latencies, Load};
use super::machines::{Fleet, Flight, Step};
use super::message::{Path, Templates};

/// The ports of RFC 2131 §4.1.
pub const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Longer than any reply.
const LONGEST: usize = 1_500;
/// How often is looked for answers that do not come.
const LOOK: Duration = Duration::from_millis(20);
/// Replies that wait while the machines are busy.
const RECEIVE_BUFFER: usize = 4 << 20;

/// How much is asked, and how.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The server's address.
    pub server: Ipv4Addr,
    /// The interface of all machines.
    pub interface: &'a str,
    /// How they reach it.
    pub path: Path,
    /// Exchanges at a time.
    pub in_flight: usize,
    /// No more than these are begun.
    pub exchanges: u64,
    /// And none after so long.
    pub time: Duration,
}

/// Asks a server, and says what came of it.
///
/// # Errors
/// When the socket fails.
pub fn run(task: &Task<'_>, fleet: &mut Fleet) -> io::Result<Load> {
    let flight = Flight::new(fleet, Templates::new(task.path), task.in_flight);
    let to = match task.path {
        Path::Relay(_) => SocketAddrV4::new(task.server, SERVER_PORT),
        Path::Broadcast => SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT),
    };
    let mut loading = Loading {
        socket: open(task)?,
        to: to.into(),
        flight,
        left: task.exchanges,
        began: Instant::now(),
        until: task.time,
        out: Outbox::default(),
        done: Done::default(),
    };
    loading.run(task)?;
    let Done { amount, failed, latencies, last } = loading.done;
    Ok(Load { failed, latencies, ..Load::new(amount, last) })
}

/// At the machines' end of the cable: a relay agent's port, or every machine's.
fn open(task: &Task<'_>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec().nonblocking(), Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(task.interface.as_bytes()))?;
    socket.set_broadcast(true)?;
    // Less room than asked for loses replies, which are then counted.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    let here = match task.path {
        Path::Relay(relay) => SocketAddr::from((relay, SERVER_PORT)),
        Path::Broadcast => SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)),
    };
    socket.bind(&here.into())?;
    Ok(socket)
}

struct Loading<'a> {
    socket: Socket,
    to: SocketAddr,
    flight: Flight<'a>,
    left: u64,
    began: Instant,
    until: Duration,
    out: Outbox,
    done: Done,
}

#[derive(Default)]
struct Done {
    amount: u64,
    failed: u64,
    latencies: Latencies,
    last: Duration,
}

/// Messages to be sent, in buffers that are used again.
#[derive(Default)]
struct Outbox {
    messages: Vec<Vec<u8>>,
    used: usize,
    sender: Sender,
}

impl Outbox {
    fn next(&mut self) -> &mut Vec<u8> {
        if self.used == self.messages.len() {
            self.messages.push(Vec::new());
        }
        self.used += 1;
        &mut self.messages[self.used - 1]
    }

    fn take_back(&mut self) {
        self.used -= 1;
    }

    fn send(&mut self, socket: &Socket, to: SocketAddr) -> io::Result<()> {
        let mut from = 0;
        while from < self.used {
            let all = self.messages[from..self.used].iter();
            let all = all.map(|payload| Outgoing { to, payload, segment: None });
            match self.sender.send(socket, all) {
                Ok(sent) => from += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
        self.used = 0;
        Ok(())
    }
}

impl Loading<'_> {
    /// Until all that was begun is over. Looks for answers without sleeping: the core is this load's.
    fn run(&mut self, task: &Task<'_>) -> io::Result<()> {
        let mut inbox = Inbox::new(BATCH, LONGEST);
        (0..task.in_flight).for_each(|place| self.begin(place));
        let mut look = LOOK;
        while self.flight.under_way() > 0 || self.out.used > 0 {
            self.out.send(&self.socket, self.to)?;
            match inbox.receive(&self.socket) {
                Ok(_) => inbox.datagrams().for_each(|(_, datagram)| self.take(datagram)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
            if self.now() >= look {
                look = self.now() + LOOK;
                self.give_up();
            }
        }
        Ok(())
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn begin(&mut self, place: usize) {
        let now = self.now();
        if self.left > 0 && now < self.until {
            self.left -= 1;
            self.flight.begin(now, place, self.out.next());
        }
    }

    fn take(&mut self, datagram: &[u8]) {
        let now = self.now();
        let step = self.flight.handle(now, datagram, self.out.next());
        if step != Step::Sends {
            self.out.take_back();
        }
        match step {
            Step::Stray | Step::Sends => {}
            Step::Done(place, took) => {
                self.done.amount += 1;
                self.done.last = now;
                self.done.latencies.record(took);
                self.begin(place);
            }
            Step::Failed(place) => {
                self.done.failed += 1;
                self.begin(place);
            }
        }
    }

    fn give_up(&mut self) {
        for place in self.flight.give_up(self.now()) {
            self.done.failed += 1;
            self.begin(place);
        }
    }
}

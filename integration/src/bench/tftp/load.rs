//! Many machines in one thread that fetch a file again and again, each from an address of its own.
//!
//! Round trips and losses are made here, where the kernel has no netem: what a machine says leaves a round trip later, and
//! of what it hears and says one packet in so many is lost. Between two packets of a machine nothing else delays it; while
//! something is to leave soon the thread does not sleep.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use edge_agent::datagrams::Inbox;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use rustix::event::{Timespec, epoll};

use super::machine::{Ask, Step, Tally, Transfer, acknowledgement};

/// How long a machine waits before it says its last word again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it does before it gives up.
const TRIES: u32 = 10;
/// How often the machines' patience is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Room for the windows that come at once, for each machine.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Packets taken from one machine's socket before the others' turn.
const BATCH: usize = 64;
/// Longer than any packet of the benches.
const LONGEST: usize = 9_000;

/// ERROR 0: how firmware stops a transfer.
const STOPPED: &[u8] = b"\0\x05\0\0stopped\0";

/// What the machines do.
#[derive(Debug, Clone)]
pub struct Load {
    /// Whom they ask.
    pub server: SocketAddr,
    /// For what.
    pub ask: Ask,
    /// The file's size in bytes.
    pub size: u64,
    /// Whether a block has the file's bytes: where it begins, and what came.
    pub is_right: fn(u64, &[u8]) -> bool,
    /// How many they are.
    pub machines: u32,
    /// The first one's address; the others' follow.
    pub first: Ipv4Addr,
    /// From a machine's word to its leaving.
    pub round_trip: Duration,
    /// One packet in so many is lost, each way; 0: none.
    pub lost_of: u32,
    /// They begin anew for so long.
    pub time: Duration,
}

/// How it went.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What has arrived at all machines together.
    pub tally: Tally,
    /// In so long.
    pub elapsed: Duration,
    /// How long each transfer took that ended.
    pub transfers: Vec<Duration>,
    /// Transfers that ended badly.
    pub failed: u64,
    /// How often a machine had to say its last word again.
    pub silences: u64,
}

impl Outcome {
    /// Duplicates in a hundred packets.
    #[must_use]
    pub fn duplicates_percent(&self) -> f64 {
        100.0 * self.tally.duplicates as f64 / self.tally.data.max(1) as f64
    }
}

/// Fetches until the time is up. Machines that are in the middle of a transfer then say so, as firmware does that is stopped.
///
/// # Errors
/// When sockets cannot be had.
pub fn run(load: &Load) -> io::Result<Outcome> {
    let began = Instant::now();
    let mut crowd = Crowd::new(load)?;
    crowd.run_until(began + load.time)?;
    Ok(crowd.end(began.elapsed()))
}

/// One machine, and its transfer under way.
struct Machine {
    address: Ipv4Addr,
    socket: UdpSocket,
    /// None: the server's port is not known yet.
    server: Option<SocketAddr>,
    transfer: Transfer,
    began: Instant,
    heard: Instant,
    tries: u32,
    /// Numbers its transfers: what was said in a former one does not leave in this.
    number: u64,
}

/// Something said that has not left yet.
struct Word {
    leaves: Instant,
    machine: usize,
    number: u64,
    /// None: the request.
    block: Option<u16>,
}

struct Crowd<'a> {
    load: &'a Load,
    request: Vec<u8>,
    machines: Vec<Machine>,
    watch: std::os::fd::OwnedFd,
    words: VecDeque<Word>,
    random: SmallRng,
    done: Outcome,
}

impl<'a> Crowd<'a> {
    fn new(load: &'a Load) -> io::Result<Self> {
        let watch = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut machines = Vec::new();
        for number in 0..load.machines {
            let address = Ipv4Addr::from_bits(load.first.to_bits() + number);
            machines.push(Machine::new(address, &watch, number.into())?);
        }
        let mut crowd = Self {
            load,
            request: load.ask.request(),
            machines,
            watch,
            words: VecDeque::new(),
            random: SmallRng::seed_from_u64(1),
            done: Outcome::default(),
        };
        for machine in 0..crowd.machines.len() {
            crowd.say(machine, None, Instant::now());
        }
        Ok(crowd)
    }

    fn run_until(&mut self, until: Instant) -> io::Result<()> {
        let mut inbox = Inbox::new(BATCH, LONGEST);
        let mut events = [const { std::mem::MaybeUninit::uninit() }; 256];
        let mut look = Instant::now() + LOOK;
        loop {
            let now = Instant::now();
            if now >= until {
                return Ok(());
            }
            if now >= look {
                self.look_at_patience(now);
                look = now + LOOK;
            }
            self.let_leave(now);
            let sleep = if self.words.is_empty() { look.min(until) - now } else { Duration::ZERO };
            let sleep = Timespec::try_from(sleep).map_err(io::Error::other)?;
            let (ready, _) = match epoll::wait(&self.watch, &mut events, Some(&sleep)) {
                Err(rustix::io::Errno::INTR) => continue,
                waited => waited?,
            };
            let now = Instant::now();
            for event in ready {
                let machine = usize::try_from(event.data.u64()).map_err(io::Error::other)?;
                self.receive(machine, &mut inbox, now)?;
            }
        }
    }

    fn receive(&mut self, number: usize, inbox: &mut Inbox, now: Instant) -> io::Result<()> {
        // What the kernel says instead of a packet (port unreachable) is silence to a machine.
        let Ok(_) = inbox.receive(&self.machines[number].socket) else { return Ok(()) };
        let mut ended = false;
        for (from, packet) in inbox.datagrams() {
            if ended || self.is_lost() {
                continue;
            }
            let machine = &mut self.machines[number];
            if machine.server.is_none() && from.ip() == self.load.server.ip() {
                machine.server = Some(from);
                machine.socket.connect(from)?;
            }
            if machine.server != Some(from) {
                continue;
            }
            (machine.heard, machine.tries) = (now, 0);
            let step = machine.transfer.take(packet, self.load.is_right);
            ended = self.go_on(number, step, now)?;
        }
        Ok(())
    }

    /// True: the transfer has ended.
    fn go_on(&mut self, number: usize, step: Step, now: Instant) -> io::Result<bool> {
        match step {
            Step::Silence => Ok(false),
            Step::Acknowledge(block) => {
                self.say(number, Some(block), now);
                Ok(false)
            }
            Step::Finish(block) => {
                let machine = &self.machines[number];
                if machine.transfer.tally().bytes == self.load.size {
                    self.done.transfers.push(now - machine.began);
                } else {
                    self.done.failed += 1;
                }
                // Who has all of it leaves: should this be lost, the server finds nobody.
                let is_lost = self.is_lost();
                if !is_lost {
                    self.machines[number].socket.send(&acknowledgement(block)).ok();
                }
                self.begin_anew(number, now).map(|()| true)
            }
            Step::Broken => {
                self.done.failed += 1;
                self.begin_anew(number, now).map(|()| true)
            }
        }
    }

    /// From another port, as a program that begins a transfer does.
    fn begin_anew(&mut self, number: usize, now: Instant) -> io::Result<()> {
        let former = &self.machines[number];
        let next = Machine::new(former.address, &self.watch, number as u64)?;
        let next = Machine { number: former.number + 1, ..next };
        let former = std::mem::replace(&mut self.machines[number], next);
        self.done.tally = sum(&self.done.tally, former.transfer.tally());
        self.say(number, None, now);
        Ok(())
    }

    /// Says something, a round trip later.
    fn say(&mut self, machine: usize, block: Option<u16>, now: Instant) {
        if self.is_lost() {
            return;
        }
        let word = Word {
            leaves: now + self.load.round_trip,
            machine,
            number: self.machines[machine].number,
            block,
        };
        if self.load.round_trip.is_zero() { self.send(&word) } else { self.words.push_back(word) }
    }

    fn let_leave(&mut self, now: Instant) {
        while let Some(word) = self.words.pop_front_if(|word| word.leaves <= now) {
            self.send(&word);
        }
    }

    fn send(&self, word: &Word) {
        let machine = &self.machines[word.machine];
        if machine.number != word.number {
            return;
        }
        // A packet that cannot be sent is lost.
        match (word.block, machine.server) {
            (Some(block), Some(_)) => drop(machine.socket.send(&acknowledgement(block))),
            (Some(_), None) => {}
            (None, _) => drop(machine.socket.send_to(&self.request, self.load.server)),
        }
    }

    fn is_lost(&mut self) -> bool {
        self.load.lost_of > 0 && self.random.random_ratio(1, self.load.lost_of)
    }

    fn look_at_patience(&mut self, now: Instant) {
        for number in 0..self.machines.len() {
            let machine = &mut self.machines[number];
            if now - machine.heard < PATIENCE {
                continue;
            }
            (machine.heard, machine.tries) = (now, machine.tries + 1);
            self.done.silences += 1;
            if machine.tries > TRIES {
                self.done.failed += 1;
                drop(self.begin_anew(number, now));
                continue;
            }
            let word = machine.server.map(|_| machine.transfer.last_word().unwrap_or(0));
            self.say(number, word, now);
        }
    }

    fn end(mut self, elapsed: Duration) -> Outcome {
        for machine in &self.machines {
            self.done.tally = sum(&self.done.tally, machine.transfer.tally());
            if machine.server.is_some() {
                machine.socket.send(STOPPED).ok();
            }
        }
        Outcome { elapsed, ..self.done }
    }
}

impl Machine {
    fn new(address: Ipv4Addr, watch: &std::os::fd::OwnedFd, number: u64) -> io::Result<Self> {
        let socket = UdpSocket::bind((address, 0))?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_nonblocking(true)?;
        epoll::add(watch, &socket, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        let now = Instant::now();
        Ok(Self {
            address,
            socket,
            server: None,
            transfer: Transfer::new(),
            began: now,
            heard: now,
            tries: 0,
            number: 0,
        })
    }
}

fn sum(one: &Tally, other: &Tally) -> Tally {
    Tally {
        data: one.data + other.data,
        duplicates: one.duplicates + other.duplicates,
        beyond_a_gap: one.beyond_a_gap + other.beyond_a_gap,
        bytes: one.bytes + other.bytes,
    }
}

//! Leases, beside Kea and dnsmasq: whole exchanges of PXE ROMs, DISCOVER to ACK, each checked.
//!
//! Machines stand behind a relay agent or on the server's own wire. New ones come without end, or the same 2,000 again and
//! again. Ours has each lease on disk before the ACK leaves; Kea writes its file and does not sync it; dnsmasq syncs and writes
//! all of its file anew for each. ISC dhcpd, some sixty times slower than Kea with such a pool, is left out.

mod limit;
pub mod load;
pub mod machines;
pub mod message;
mod perfdhcp;

use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use proto::Range;

use super::contender::Ready;
use super::ground::{LOAD, LOADING, SERVER};
use super::limit::Arguments;
use super::peers::{self, Partly};
use super::{
    Cell, Contenders, Goal, Ground, Limit, Load, Measure, Offer, Ours, Place, Report, Server, Setting, Unit,
    Work, rounds, telemetry,
};
use load::{SERVER_PORT, Task};
use machines::Fleet;
use message::Path;

/// What Ethernet takes.
const MTU: u16 = 1_500;
/// Machines that come again and again.
const KNOWN: u32 = 2_000;
/// No load begins more: all that a server has seen since its start must fit its pool.
const EXCHANGES: u64 = 100_000;
/// No warm-up does.
const WARM_UP: u64 = 10_000;
/// For so long at most.
const WARM_UP_TIME: Duration = Duration::from_millis(300);
/// Exchanges a second that `perfdhcp` begins: fewer than Kea bears on such a machine, so that all do the same work.
const PERFDHCP_RATE: u32 = 5_000;
/// Slower than this nobody is worth the time that all cells take.
const DNSMASQ_IN_FLIGHT: usize = 16;

/// What is leased: 131,072 addresses, of which none is the ground's.
fn pool() -> Range {
    let last = Ipv4Addr::new(10, 73, 255, 255);
    Range::new(Ipv4Addr::new(10, 72, 0, 0), last).expect("it begins before it ends")
}

/// Runs the bench.
///
/// # Errors
/// When it cannot be set up.
pub fn run(setting: &Setting<'_>) -> anyhow::Result<Report> {
    peers::install(setting.say).context("failed to install the peers")?;
    let (ground, offer) = prepared(setting)?;
    let ours = Ours::lay_down(&ground, setting.binaries.agent.clone(), offer)?;
    let slow = |piece: &Piece| {
        let in_flight = match piece.by {
            By::Ours { in_flight, .. } => in_flight,
            By::Perfdhcp => return Some("bears no such rate"),
        };
        (in_flight != DNSMASQ_IN_FLIGHT).then_some("measured with 16 in flight")
    };
    let limit = |piece: &Piece| match piece.by {
        By::Ours { .. } => Some(Arguments { words: vec![], ready: Ready::Udp(SERVER_PORT) }),
        // Which takes no OFFER that names no server.
        By::Perfdhcp => None,
    };
    let mut contenders: Contenders<Piece> = vec![
        Box::new(ours),
        Box::new(peers::kea(pool(), None)),
        Box::new(peers::kea(pool(), Some(2))),
        Box::new(Partly::new(peers::dnsmasq_dhcp(pool()), slow)),
        Box::new(Limit::new("dhcp", limit)),
    ];
    rounds::run(&Dhcp::new(setting), &mut contenders, &ground, setting.options, setting.say)
}

/// Runs it beside an agent without telemetry in place of peers.
///
/// # Errors
/// When it cannot be set up.
pub fn telemetry(setting: &Setting<'_>) -> anyhow::Result<Report> {
    let (ground, offer) = prepared(setting)?;
    telemetry::run(("telemetry-dhcp", &Dhcp::new(setting)), &ground, setting, &offer)
}

fn prepared(setting: &Setting<'_>) -> anyhow::Result<(Ground, Offer)> {
    let ground = Ground::create(setting.lab, setting.cores, MTU)?;
    Ok((ground, Offer { pool: Some(pool()), ..Offer::default() }))
}

/// Is the kernel's limit of this bench; see [`super::limit`].
///
/// # Errors
/// When its sockets fail.
pub fn limit(_words: &[String]) -> anyhow::Result<()> {
    limit::run()
}

/// What machines do.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// The same 2,000, or new ones.
    known: bool,
    by: By,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
enum By {
    /// This program, so many exchanges at a time.
    Ours { path: Path, in_flight: usize },
    /// A public one, at a rate of its own.
    Perfdhcp,
}

struct Dhcp {
    /// Of one load.
    time: Duration,
    /// What the server that runs now has seen and given away.
    fleet: Mutex<Fleet>,
}

impl Dhcp {
    fn new(setting: &Setting<'_>) -> Self {
        let time = Duration::from_millis(if setting.options.quick { 500 } else { 2_000 });
        Self { time, fleet: Mutex::new(Fleet::new(pool(), None)) }
    }

    fn ask(&self, piece: &Piece, exchanges: u64, time: Duration) -> anyhow::Result<Load> {
        let (path, in_flight) = match piece.by {
            By::Ours { path, in_flight } => (path, in_flight),
            By::Perfdhcp => return perfdhcp::run(SERVER, PERFDHCP_RATE, KNOWN, time),
        };
        let task = Task { server: SERVER, interface: LOADING, path, in_flight, exchanges, time };
        let mut fleet = self.fleet.lock().unwrap_or_else(PoisonError::into_inner);
        load::run(&task, &mut fleet).context("failed to open the machines' socket")
    }
}

impl Work for Dhcp {
    type Piece = Piece;

    fn name(&self) -> &'static str {
        "dhcp"
    }

    fn title(&self) -> String {
        "DHCP, four-way exchanges of PXE ROMs".into()
    }

    fn cells(&self) -> Vec<Cell<Piece>> {
        let many = || vec![Goal::rate(8.0), Goal::cost(0.1), Goal::at_most(Measure::P99, 2.0)];
        let one = vec![Goal::rate(0.6).beside("kea"), Goal::at_most(Measure::P99, 1.0)];
        vec![
            relayed(1, one),
            relayed(16, vec![Goal::lower_p99()]),
            relayed(64, many()),
            relayed(256, vec![Goal::lower_p99()]),
            ours("known-64", Path::Relay(LOAD), true, 64, many()),
            ours("broadcast-64", Path::Broadcast, false, 64, many()),
            cell("perfdhcp", Piece { known: true, by: By::Perfdhcp }, vec![]),
        ]
    }

    fn place(&self, _piece: &Piece) -> Place {
        Place::Cable
    }

    /// The server was just started: nobody has an address yet.
    fn warm_up(&self, _ground: &Ground, _server: &Server, piece: &Piece) -> anyhow::Result<()> {
        let fleet = Fleet::new(pool(), piece.known.then_some(KNOWN));
        *self.fleet.lock().unwrap_or_else(PoisonError::into_inner) = fleet;
        self.ask(piece, WARM_UP, WARM_UP_TIME).map(drop)
    }

    fn load(&self, _ground: &Ground, _server: &Server, piece: &Piece) -> anyhow::Result<Load> {
        self.ask(piece, EXCHANGES, self.time)
    }
}

fn relayed(in_flight: usize, goals: Vec<Goal>) -> Cell<Piece> {
    ours(&format!("relay-{in_flight}"), Path::Relay(LOAD), false, in_flight, goals)
}

fn ours(name: &str, path: Path, known: bool, in_flight: usize, goals: Vec<Goal>) -> Cell<Piece> {
    cell(name, Piece { known, by: By::Ours { path, in_flight } }, goals)
}

fn cell(name: &str, piece: Piece, mut goals: Vec<Goal>) -> Cell<Piece> {
    goals.extend([Goal::none_failed(), Goal::memory()]);
    Cell { name: name.to_owned(), unit: Unit::Exchanges, goals, piece }
}

#[cfg(test)]
mod tests {
    use super::super::ground::{MACHINES, NETWORK};
    use super::*;

    #[test]
    fn all_machines_of_a_load_fit_the_pool_which_is_nobody_elses() {
        assert_eq!(pool().count(), 131_072);
        assert!(WARM_UP + EXCHANGES < pool().count());
        for address in [pool().first(), pool().last()] {
            assert!(NETWORK.contains(&address) && !MACHINES.contains(&address));
        }
        assert!(!pool().contains(SERVER) && !pool().contains(LOAD));
    }
}

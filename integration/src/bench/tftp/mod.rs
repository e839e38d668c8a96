//! Files over TFTP, beside dnsmasq, tftpd-hpa, atftpd and rs-tftpd.
//!
//! Machines fetch from addresses and ports of their own, over the kernel's loopback: they ask again as soon as they have all
//! of a file, until the time is up. tftpd-hpa has a process for each transfer that nobody waits for, so part of its CPU time is
//! lost to the count; dnsmasq, which is quicker, is whom costs without windows are compared with. pin/tftp, another of the servers in use, is a library and left out.
//!
//! Round trips and losses are made by the load (see [`load`]); the kernel's limit (see [`mod@limit`]) has none.

pub mod limit;
pub mod load;
pub mod machine;

use std::time::Duration;

use anyhow::Context as _;

use super::contender::Ready;
use super::ground::{self, MACHINES, machine_address};
use super::limit::Arguments;
use super::peers::{self, Partly};
use super::{
    Bound, Cell, Contenders, Goal, Ground, Latencies, Limit, Load, Measure, Offer, Ours, Place, Report,
    Server, Setting, Unit, Work, rounds, telemetry,
};
use load::Outcome;
use machine::Ask;

/// The most machines of any cell.
const MOST_MACHINES: u32 = 200;
/// What Ethernet takes without fragments, in bytes.
const BLOCK: u16 = 1468;
/// The files, and their sizes in bytes.
const LARGE: (&str, u64) = ("large", 50 << 20);
const SMALL: (&str, u64) = ("small", 1 << 20);
/// A machine that boots over a network with a router and a loss now and then.
const ROUND_TRIP: Duration = Duration::from_millis(1);
const LOST_OF: u32 = 200;
/// DATA packets, in a hundred, that brought what the machine had.
const DUPLICATES: &str = "duplicates %";
/// DATA packets, in a hundred, that were of no use because one before them was missing.
const BEYOND_A_GAP: &str = "beyond a gap %";
/// How often a machine said its last word again, after a second in which it heard nothing.
const SILENCES: &str = "silences";

/// Runs the bench.
///
/// # Errors
/// When it cannot be set up.
pub fn run(setting: &Setting<'_>) -> anyhow::Result<Report> {
    peers::install(setting.say).context("failed to install the peers")?;
    let (ground, offer) = prepared(setting)?;
    let ours = Ours::lay_down(&ground, setting.binaries.agent.clone(), offer)?;
    let windows = |piece: &Piece| (piece.window > 1).then_some("no windows");
    let mut contenders: Contenders<Piece> = vec![
        Box::new(ours),
        Box::new(Partly::new(peers::dnsmasq_tftp(), windows)),
        Box::new(Partly::new(peers::hpa(setting.lab, setting.say), windows)),
        Box::new(peers::atftpd(setting.lab, setting.say)),
        Box::new(peers::rs_tftpd(setting.lab, setting.say)),
        Box::new(kernel(&ground)),
    ];
    rounds::run(&Tftp::new(setting), &mut contenders, &ground, setting.options, setting.say)
}

/// Runs it beside an agent without telemetry in place of peers.
///
/// # Errors
/// When it cannot be set up.
pub fn telemetry(setting: &Setting<'_>) -> anyhow::Result<Report> {
    let (ground, offer) = prepared(setting)?;
    telemetry::run(("telemetry-tftp", &Tftp::new(setting)), &ground, setting, &offer)
}

/// The ground with its files, and what of it ours offers.
fn prepared(setting: &Setting<'_>) -> anyhow::Result<(Ground, Offer)> {
    let ground = Ground::create(setting.lab, setting.cores, 1500)?;
    // Beside the server, machines are this namespace's own addresses.
    ground.server().ip(["route", "add", "local", &MACHINES.to_string(), "dev", "lo"])?;
    for (name, size) in [LARGE, SMALL] {
        ground.make_file(name, size).context("failed to make the files")?;
    }
    let files = vec![LARGE.0.into(), SMALL.0.into()];
    let offer =
        Offer { files, clients: (1..=MOST_MACHINES).map(machine_address).collect(), ..Offer::default() };
    Ok((ground, offer))
}

/// Is the kernel's limit of this bench; see [`super::limit`].
///
/// # Errors
/// When its sockets fail.
pub fn limit(words: &[String]) -> anyhow::Result<()> {
    limit::run(words)
}

fn kernel(ground: &Ground) -> Limit<Piece> {
    let files = ground.files();
    Limit::new("tftp", move |piece: &Piece| {
        let path = files.join(piece.file.0).display().to_string();
        let words = vec![path, BLOCK.to_string(), piece.window.to_string()];
        (!piece.is_lossy).then_some(Arguments { words, ready: Ready::Udp(69) })
    })
}

/// What machines fetch, and how.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    file: (&'static str, u64),
    window: u16,
    machines: u32,
    /// With a round trip and losses.
    is_lossy: bool,
}

struct Tftp {
    /// Of one load.
    time: Duration,
}

impl Tftp {
    fn new(setting: &Setting<'_>) -> Self {
        Self { time: Duration::from_millis(if setting.options.quick { 500 } else { 2_000 }) }
    }
}

impl Work for Tftp {
    type Piece = Piece;

    fn name(&self) -> &'static str {
        "tftp"
    }

    fn title(&self) -> String {
        format!("Files over TFTP, blocks of {BLOCK} bytes")
    }

    fn cells(&self) -> Vec<Cell<Piece>> {
        let mut cells = vec![
            cell(1, 1, vec![Goal::rate(1.0)]),
            cell(8, 1, vec![Goal::rate(1.0)]),
            cell(32, 1, vec![Goal::rate(1.2), Goal::cost(0.45)]),
            cell(64, 1, vec![Goal::rate(1.6), Goal::cost(0.45)]),
        ];
        for machines in [64, 200] {
            cells.push(cell(1, machines, vec![Goal::rate(1.08), Goal::cost(0.83).beside("dnsmasq")]));
            cells.push(small(1, machines, vec![Goal::lower_p99()]));
        }
        for machines in [16, 64, 200] {
            cells.push(cell(8, machines, vec![Goal::rate(2.8)]));
        }
        for window in [32, 64] {
            for machines in [16, 200] {
                cells.push(cell(window, machines, vec![Goal::rate(3.5), Goal::cost(0.3)]));
            }
        }
        cells.push(small(32, 64, vec![Goal::lower_p99()]));
        cells.extend([(1, 3.0), (8, 3.0), (32, 4.0)].map(|(window, times)| lossy(window, times)));
        cells
    }

    fn place(&self, _piece: &Piece) -> Place {
        Place::Beside
    }

    fn load(&self, ground: &Ground, _server: &Server, piece: &Piece) -> anyhow::Result<Load> {
        let (name, size) = piece.file;
        let outcome = load::run(&load::Load {
            server: ground.address(69),
            ask: Ask { name: name.to_owned(), block_size: BLOCK, window: piece.window },
            size,
            is_right: if name == LARGE.0 { is_large } else { is_small },
            machines: piece.machines,
            first: machine_address(1),
            round_trip: if piece.is_lossy { ROUND_TRIP } else { Duration::ZERO },
            lost_of: if piece.is_lossy { LOST_OF } else { 0 },
            time: self.time,
        });
        Ok(figures(outcome.context("failed to open the machines' sockets")?))
    }
}

fn figures(outcome: Outcome) -> Load {
    let Outcome { tally, elapsed, transfers, failed, silences } = outcome;
    let percent = |packets: u64| 100.0 * packets as f64 / tally.data.max(1) as f64;
    let mut latencies = Latencies::default();
    latencies.extend(transfers);
    let extras = [
        (DUPLICATES, percent(tally.duplicates)),
        (BEYOND_A_GAP, percent(tally.beyond_a_gap)),
        (SILENCES, silences as f64),
    ];
    Load { latencies, failed, extras: extras.into(), ..Load::new(tally.bytes, elapsed) }
}

fn cell(window: u16, machines: u32, goals: Vec<Goal>) -> Cell<Piece> {
    let piece = Piece { file: LARGE, window, machines, is_lossy: false };
    with_common_goals(format!("w{window}-c{machines}"), piece, goals)
}

/// Files that are over soon, so that there are times to tell of.
fn small(window: u16, machines: u32, goals: Vec<Goal>) -> Cell<Piece> {
    let piece = Piece { file: SMALL, window, machines, is_lossy: false };
    with_common_goals(format!("w{window}-c{machines}-small"), piece, goals)
}

fn lossy(window: u16, times: f64) -> Cell<Piece> {
    let piece = Piece { file: LARGE, window, machines: 16, is_lossy: true };
    let few = Goal { bound: Bound::Below(2.0), ..Goal::at_most(Measure::Extra(DUPLICATES), 2.0) };
    with_common_goals(format!("w{window}-c16-lossy"), piece, vec![Goal::rate(times), few])
}

fn with_common_goals(name: String, piece: Piece, mut goals: Vec<Goal>) -> Cell<Piece> {
    goals.extend([Goal::none_failed(), Goal::memory()]);
    Cell { name, unit: Unit::Bytes, goals, piece }
}

fn is_large(from: u64, body: &[u8]) -> bool {
    is_right(from, body, LARGE.1)
}

fn is_small(from: u64, body: &[u8]) -> bool {
    is_right(from, body, SMALL.1)
}

/// By its first and last bytes: looking at each would cost the load more than receiving them.
fn is_right(from: u64, body: &[u8], size: u64) -> bool {
    let is_there = |start: u64, bytes: &[u8]| {
        let mut expected = [0; 4];
        let expected = &mut expected[..bytes.len()];
        ground::expected(start, expected, size);
        bytes == expected
    };
    let first = body.first_chunk::<4>().map_or(body, |first| first);
    let last = body.last_chunk::<4>().map_or(body, |last| last);
    is_there(from, first) && is_there(from + (body.len() - last.len()) as u64, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_shows_where_it_stands() {
        let mut file = vec![0; 10_007];
        ground::expected(0, &mut file, 10_007);
        for (from, block) in (0..).step_by(1468).zip(file.chunks(1468)) {
            assert!(is_right(from, block, 10_007));
            assert!(!is_right(from + 1468, block, 10_007) && !is_right(from + 1, block, 10_007));
        }
        assert!(is_right(0, b"", 10_007));
    }

    #[test]
    fn cells_have_names_of_their_own() {
        let cells = Tftp { time: Duration::ZERO }.cells();
        let names: std::collections::BTreeSet<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();
        assert_eq!(names.len(), cells.len());
    }
}

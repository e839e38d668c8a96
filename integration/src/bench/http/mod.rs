//! Images over HTTP, beside nginx, lighttpd and apache.
//!
//! Each connection comes from an address of its own, as machines do; the agent's plan has a host for each. Files are in the
//! page cache: what is measured is the way from there to a socket, over the loopback interface, where the kernel adds
//! least of its own. One cell goes over a cable (a veth pair), which costs all contenders the same more for each segment.
//! A load lasts a fixed time, in which the 1 GiB file is fetched in part, once or over and over, as fast as a server is.

mod client;
mod limit;
mod wrk;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use ipnet::Ipv4Net;

use super::contender::Ready;
use super::ground::{Ground, LOAD, MACHINES, Place, SERVER};
use super::limit::{Arguments, Limit};
use super::ours::{Offer, Ours};
use super::{Cell, Contenders, Goal, Load, Report, Server, Setting, Unit, Work, peers, rounds, telemetry};
use client::{Plan, Reading};

/// The addresses of machines that stand beside the server: of the segment, and nobody else's.
const NEIGHBOURS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 72, 0, 0), 16);
/// Where everybody listens.
const PORT: u16 = 80;
const MTU: u16 = 1_500;
/// How long a load lasts, and how long one is that is tried out.
const TIME: Duration = Duration::from_secs(3);
const QUICK: Duration = Duration::from_millis(300);
/// Until a server has reached its stride.
const WARM_UP: Duration = Duration::from_millis(700);
/// The most connections of any cell.
const CONNECTIONS: u32 = 128;

/// What a cell asks for.
#[derive(Debug, Clone, Copy)]
struct Piece {
    file: File,
    connections: u32,
    reading: Reading,
    place: Place,
    by: By,
}

/// Who loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Us,
    Wrk,
}

/// A file of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    /// A disk image: 1 GiB.
    Image,
    /// A small kernel: 1 MiB.
    Kernel,
    /// A configuration: 4 KiB.
    Text,
}

impl File {
    const ALL: [Self; 3] = [Self::Image, Self::Kernel, Self::Text];

    fn name(self) -> &'static str {
        match self {
            Self::Image => "1g",
            Self::Kernel => "1m",
            Self::Text => "4k",
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Self::Image => 1 << 30,
            Self::Kernel => 1 << 20,
            Self::Text => 4 << 10,
        }
    }
}

struct Http {
    quick: bool,
}

impl Work for Http {
    type Piece = Piece;

    fn name(&self) -> &'static str {
        "http"
    }

    fn title(&self) -> String {
        "HTTP: files from the page cache, connections that are kept".into()
    }

    fn cells(&self) -> Vec<Cell<Piece>> {
        let mut cells = Vec::new();
        for (reading, suffix, times) in [(Reading::Discard, "", 2.5), (Reading::Copy, "-read", 1.7)] {
            for connections in [1, 8, 64] {
                let piece =
                    Piece { file: File::Image, connections, reading, place: Place::Beside, by: By::Us };
                let goals = vec![Goal::rate(times).beside("nginx"), Goal::cost(1.0).beside("nginx")];
                cells.push(cell(piece, suffix, Unit::Bytes, goals));
            }
        }
        let (connections, reading, place) = (8, Reading::Discard, Place::Cable);
        let cable = Piece { file: File::Image, connections, reading, place, by: By::Us };
        cells.push(cell(cable, "-cable", Unit::Bytes, vec![]));
        let (connections, place) = (64, Place::Beside);
        let kernel = Piece { file: File::Kernel, connections, reading, place, by: By::Us };
        cells.push(cell(kernel, "", Unit::Bytes, vec![Goal::rate(1.0)]));
        let (file, reading) = (File::Text, Reading::Copy);
        for connections in [16, CONNECTIONS] {
            let piece = Piece { file, connections, reading, place, by: By::Us };
            let goals = vec![Goal::rate(1.3).beside("nginx"), Goal::rate(1.0).beside("lighttpd")];
            cells.push(cell(piece, "", Unit::Requests, goals));
        }
        let by_wrk = Piece { file, connections: 16, reading, place: Place::Cable, by: By::Wrk };
        cells.push(cell(by_wrk, "-wrk", Unit::Requests, vec![]));
        cells
    }

    fn place(&self, piece: &Piece) -> Place {
        piece.place
    }

    fn warm_up(&self, ground: &Ground, _server: &Server, piece: &Piece) -> anyhow::Result<()> {
        fetch(ground, piece, WARM_UP.min(self.time())).map(drop)
    }

    fn load(&self, ground: &Ground, _server: &Server, piece: &Piece) -> anyhow::Result<Load> {
        fetch(ground, piece, self.time())
    }
}

impl Http {
    fn time(&self) -> Duration {
        if self.quick { QUICK } else { TIME }
    }
}

fn cell(piece: Piece, suffix: &str, unit: Unit, asked: Vec<Goal>) -> Cell<Piece> {
    let name = format!("{}-c{}{suffix}", piece.file.name(), piece.connections);
    let goals = asked.into_iter().chain([Goal::memory(), Goal::none_failed()]).collect();
    Cell { name, unit, goals, piece }
}

fn fetch(ground: &Ground, piece: &Piece, time: Duration) -> anyhow::Result<Load> {
    if piece.by == By::Wrk {
        return wrk::run(ground.address(PORT), piece.file.name(), piece.connections, time);
    }
    let from: Vec<_> = (0..piece.connections).map(|number| machine(piece.place, number)).collect();
    let load = client::run(&Plan {
        server: ground.address(PORT),
        from: &from,
        name: piece.file.name(),
        bytes: piece.file.bytes(),
        reading: piece.reading,
        time,
    })?;
    Ok(if piece.file == File::Text { client::in_requests(load) } else { load })
}

/// The address of a machine.
fn machine(place: Place, number: u32) -> Ipv4Addr {
    let network = match place {
        Place::Cable => MACHINES,
        Place::Beside => NEIGHBOURS,
    };
    Ipv4Addr::from_bits(network.network().to_bits() + 1 + number)
}

/// Runs the bench.
///
/// # Errors
/// When it cannot be set up.
pub fn run(setting: &Setting<'_>) -> anyhow::Result<Report> {
    peers::install(setting.say).context("failed to install the peers")?;
    let (ground, offer) = prepared(setting)?;
    let ours = Ours::lay_down(&ground, setting.binaries.agent.clone(), offer)?;
    let files = ground.files();
    let limit = Limit::new("http", move |piece: &Piece| {
        let path = files.join(piece.file.name());
        let words = vec![format!("{SERVER}:{PORT}"), path.display().to_string()];
        Some(Arguments { words, ready: Ready::Tcp(PORT) })
    });
    let mut contenders: Contenders<Piece> = vec![
        Box::new(ours),
        Box::new(peers::nginx()),
        Box::new(peers::lighttpd()),
        Box::new(peers::apache()),
        Box::new(limit),
    ];
    let work = Http { quick: setting.options.quick };
    rounds::run(&work, &mut contenders, &ground, setting.options, setting.say)
}

/// Runs it beside an agent without telemetry in place of peers.
///
/// # Errors
/// When it cannot be set up.
pub fn telemetry(setting: &Setting<'_>) -> anyhow::Result<Report> {
    let (ground, offer) = prepared(setting)?;
    let work = Http { quick: setting.options.quick };
    telemetry::run(("telemetry-http", &work), &ground, setting, &offer)
}

/// The ground with its files, and what of it ours offers.
fn prepared(setting: &Setting<'_>) -> anyhow::Result<(Ground, Offer)> {
    let ground = Ground::create(setting.lab, setting.cores, MTU)?;
    for file in File::ALL {
        ground.make_file(file.name(), file.bytes())?;
    }
    ground.server().ip(["route", "add", "local", &NEIGHBOURS.to_string(), "dev", "lo"])?;
    let machines = |place| (0..CONNECTIONS).map(move |number| machine(place, number));
    let all = machines(Place::Cable).chain(machines(Place::Beside)).chain([LOAD]);
    let files = File::ALL.map(|file| file.name().to_owned()).into();
    let offer = Offer { files, clients: all.collect(), ..Offer::default() };
    Ok((ground, offer))
}

/// Is the kernel's limit of this bench; see [`super::limit`].
///
/// # Errors
/// When its sockets fail.
pub fn limit(words: &[String]) -> anyhow::Result<()> {
    let [address, path] = words else { anyhow::bail!("the limit of bench http wants an address and a file") };
    let address: SocketAddr = address.parse().context("not an address")?;
    limit::serve(address, path)
}

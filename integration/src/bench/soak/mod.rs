//! The agent's memory under everything at once, for minutes: TFTP in lockstep and in windows, HTTP with large and small files,
//! leases, and a file that its cache loses and has to fetch again. Nobody stands beside it; memory is asked to stay below its bound, and flat.

mod clients;
mod series;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use proto::Range;

use super::cache::place_of;
use super::cache::store::{self, Store};
use super::ground::{Ground, LOAD, MACHINES, Place};
use super::ours::blob_of;
use super::{
    Cell, Contenders, Goal, Load, Measure, Offer, Options, Ours, Report, Server, Setting, Unit, Work, rounds,
};
use series::Series;

const MTU: u16 = 1_500;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// The same with less than a minute to look.
const QUICK_LOOK: Duration = Duration::from_secs(1);
/// How long everything runs before memory is looked at.
const WARM: Duration = Duration::from_secs(5);
/// What the second half of the time may add to the memory, in MiB: less than the allocator moves by itself.
const FLAT: f64 = 4.0;
/// The name of that figure.
const GROWTH: &str = "growth of the last half MiB";

/// What clients ask for, by name and bytes.
const FILES: [(&str, u64); 4] = [
    (clients::LOADER, 4 << 20),
    (clients::IMAGE, 64 << 20),
    (clients::SCRIPT, 4 << 10),
    (clients::COLD, 16 << 20),
];
/// The link by which the cold one comes, as `tc` takes it.
const LINK: &str = "200mbit";

struct Soak {
    time: Duration,
    /// Where the agent has the cold file.
    cold: PathBuf,
}

impl Work for Soak {
    type Piece = ();

    fn name(&self) -> &'static str {
        "soak"
    }

    fn title(&self) -> String {
        format!("The agent's memory under everything at once for {} s", self.time.as_secs())
    }

    fn cells(&self) -> Vec<Cell<()>> {
        let flat = Goal::at_most(Measure::Extra(GROWTH), FLAT);
        let goals = vec![Goal::memory(), flat, Goal::none_failed()];
        vec![Cell { name: "everything".into(), unit: Unit::Bytes, goals, piece: () }]
    }

    fn place(&self, (): &()) -> Place {
        Place::Cable
    }

    fn warm_up(&self, _: &Ground, _: &Server, (): &()) -> anyhow::Result<()> {
        clients::run(WARM, &self.cold, &mut |_| ()).map(drop)
    }

    fn load(&self, _: &Ground, server: &Server, (): &()) -> anyhow::Result<Load> {
        let mut series = Series::default();
        let look = if self.time < 6 * LOOK { QUICK_LOOK } else { LOOK };
        let mut next = Duration::ZERO;
        let done = clients::run(self.time, &self.cold, &mut |at| {
            if at >= next {
                series.add(at, server.usage().resident);
                next += look;
            }
        })?;
        let mut load = Load::new(done.bytes, self.time);
        load.latencies = done.latencies;
        load.failed = done.failed;
        load.extras = extras(&series).context("memory was not looked at often enough")?;
        load.extras.insert("leases", done.leases as f64);
        load.extras.insert("fills", done.fills as f64);
        Ok(load)
    }
}

fn extras(series: &Series) -> Option<BTreeMap<&'static str, f64>> {
    Some(BTreeMap::from([
        ("RSS at first MiB", series.first()?),
        ("RSS at last MiB", series.last()?),
        (GROWTH, series.growth_of_last_half()?),
    ]))
}

/// Runs for `minutes`; with `--quick`, for some seconds.
///
/// # Errors
/// When it cannot be set up.
pub fn run(setting: &Setting<'_>, minutes: u32) -> anyhow::Result<Report> {
    let ground = Ground::create(setting.lab, setting.cores, MTU)?;
    for (name, bytes) in FILES {
        ground.make_file(name, bytes)?;
    }
    let time = Duration::from_secs(if setting.options.quick { 20 } else { 60 * u64::from(minutes) });
    let base = MACHINES.network().to_bits();
    let pool = Range::new((base + 0x1_0000).into(), (base + 0x1_ffff).into());
    let files = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let path = ground.files().join(clients::COLD);
    let blob = blob_of(&path)?;
    let _store = Store::open(&ground, path, &blob, LINK)?;
    let blob_sources = vec![store::url().parse().context("the store has no URL")?];
    let clients = std::iter::once(LOAD).chain(clients::by_tftp_from()).collect();
    let offer = Offer { files, pool, clients, blob_sources, ..Offer::default() };
    let ours = Ours::lay_down(&ground, setting.binaries.agent.clone(), offer)?;
    let cold = place_of(ours.state(), &blob);
    let mut contenders: Contenders<()> = vec![Box::new(ours)];
    // Its length is its repetition.
    let once = Options { rounds: 1, ..setting.options.clone() };
    rounds::run(&Soak { time, cold }, &mut contenders, &ground, &once, setting.say)
}

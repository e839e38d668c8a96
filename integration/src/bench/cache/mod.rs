//! Many machines that ask at once for a file which is not in the cache, beside the link that it arrives by.
//!
//! ```text
//!  store ns                       server ns                         load ns
//!  10.60.0.1 ── veth, tbf ──── 10.60.0.2  agent  10.64.0.1 ── veth ── 200 machines, an address each
//! ```
//!
//! The link's time is that of one plain transfer of the same file over it, taken just before in the same round. The
//! agent has the file from its start, so that it fetches nothing by itself; it is taken away under it, and the first
//! machine that asks begins a fetch.

mod clients;
pub(in crate::bench) mod store;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use proto::plan::BlobRef;

use super::ours::blob_of;
use super::rounds::{self, Cell, Contenders, Work};
use super::{Goal, Ground, Load, Measure, Offer, Ours, Place, Report, Server, Setting, Unit};
use clients::{Readers, Seen};
use store::Store;

const MTU: u16 = 1_500;
/// The link, as `tc` takes it. Two hundred times this, 1.25 GB/s, is what the agent's core sends meanwhile: over a veth pair it
/// can send some 2 GB/s to so many sleeping readers, whose receiving is done on the same core, so a faster link would
/// measure the kernel and not the cache.
const RATE: &str = "50mbit";
/// The file that is asked for, and the same in a hurry.
const FILE: (&str, u64) = ("image", 256 << 20);
const SHORT: u64 = 32 << 20;

/// WAN bytes as a part of the file's, as tables name it.
const WAN: &str = "WAN / file";
/// The time to the last machine's last byte as a part of the link's.
const LAST: &str = "last / link";
/// From the first question to the first byte at that machine.
const FIRST: &str = "first byte ms";
/// The plain transfer.
const LINK: &str = "link s";

struct Cold {
    store: Store,
    blob: BlobRef,
    /// Where the agent has it.
    lies: PathBuf,
}

impl Work for Cold {
    type Piece = Readers;

    fn name(&self) -> &'static str {
        "cache"
    }

    fn title(&self) -> String {
        format!("A file of {} MiB that arrives over {RATE} while it is asked for", self.blob.size >> 20)
    }

    fn cells(&self) -> Vec<Cell<Readers>> {
        let goals = || {
            vec![
                Goal::none_failed(),
                Goal::at_most(Measure::Extra(WAN), 1.001),
                Goal::at_most(Measure::Extra(LAST), 1.05),
                // There is no round trip to speak of on this link.
                Goal::at_most(Measure::Extra(FIRST), 100.0),
                Goal::memory(),
            ]
        };
        let cell = |name: &str, piece| Cell { name: name.into(), unit: Unit::Bytes, goals: goals(), piece };
        vec![cell("http-200", Readers::Http(200)), cell("tftp-20", Readers::Tftp(20))]
    }

    fn place(&self, _: &Readers) -> Place {
        Place::Cable
    }

    /// What is measured is cold.
    fn warm_up(&self, _: &Ground, _: &Server, _: &Readers) -> anyhow::Result<()> {
        Ok(())
    }

    fn load(&self, ground: &Ground, _: &Server, readers: &Readers) -> anyhow::Result<Load> {
        let link = ground.at(Place::Beside, || store::plain_transfer(&self.blob))??;
        fs::remove_file(&self.lies).context("the agent does not have the file")?;
        let before = self.store.sent();
        let Seen { first_byte, took, whole, latencies } =
            clients::read_all(*readers, FILE.0, self.blob.size)?;
        ensure!(whole > 0, "no machine got the file");
        let wan = self.store.sent() - before;
        let mut load = Load::new(whole * self.blob.size, took);
        load.failed = readers.count() - whole;
        load.latencies = latencies;
        load.extras.insert(WAN, wan as f64 / self.blob.size as f64);
        load.extras.insert(LAST, took.as_secs_f64() / link.as_secs_f64());
        load.extras.insert(FIRST, millis(first_byte));
        load.extras.insert(LINK, link.as_secs_f64());
        self.wait_until_it_is_there(Duration::from_secs(20))?;
        Ok(load)
    }
}

impl Cold {
    /// The next round takes it away again.
    fn wait_until_it_is_there(&self, bound: Duration) -> anyhow::Result<()> {
        let until = std::time::Instant::now() + bound;
        while !self.lies.exists() {
            ensure!(std::time::Instant::now() < until, "the agent did not keep what it fetched");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

/// Where an agent with this state folder has a blob.
pub(in crate::bench) fn place_of(state: &Path, blob: &BlobRef) -> PathBuf {
    let name = blob.digest.to_string();
    state.join("cache/blobs/sha256").join(&name[..2]).join(name)
}

/// Runs the bench.
///
/// # Errors
/// When it cannot be set up.
pub fn run(setting: &Setting<'_>) -> anyhow::Result<Report> {
    let Setting { lab, say, options, .. } = setting;
    let ground = Ground::create(lab, setting.cores, MTU)?;
    let path = ground.make_file(FILE.0, if options.quick { SHORT } else { FILE.1 })?;
    let blob = blob_of(&path)?;
    let store = Store::open(&ground, path, &blob, RATE)?;
    let offer = Offer {
        files: vec![FILE.0.into()],
        blob_sources: vec![store::url().parse().context("the store has no URL")?],
        ..Offer::default()
    };
    let ours = Ours::lay_down(&ground, setting.binaries.agent.clone(), offer)?;
    let work = Cold { lies: place_of(ours.state(), &blob), store, blob };
    let mut contenders: Contenders<Readers> = vec![Box::new(ours)];
    rounds::run(&work, &mut contenders, &ground, options, say)
}

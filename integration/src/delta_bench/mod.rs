//! What a new version of an image costs the WAN: `cargo lab bench delta`.
//!
//! A controller and an agent, as they are shipped, on either side of a router. The old version is imported and planned, and
//! the agent fetches it; then the new one. What the agent's link to the router has received meanwhile is what it cost, with
//! everything that TCP and TLS add, as the kernel counts it.

pub mod files;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::bench::ours::blob_of;
use crate::binaries::Binaries;
use crate::fleet::{Fleet, Interrupt};
use crate::lab::Run;
use crate::lab::site::{SitePlan, WAN};

/// Two versions of a file.
#[derive(Debug, Clone)]
pub struct Pair {
    /// What it is, for the table.
    pub name: String,
    /// What the agent has.
    pub old: PathBuf,
    /// What it is to have.
    pub new: PathBuf,
}

/// What a pair came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// As in the pair.
    pub name: String,
    /// The old version, which came when nothing was held.
    pub first: Transfer,
    /// The new one.
    pub second: Transfer,
}

/// A file's way to the agent.
#[derive(Debug, Clone, Copy)]
pub struct Transfer {
    /// Of the file.
    pub bytes: u64,
    /// Received by the agent's link to the router, from the plan to the whole file.
    pub wan: u64,
    /// From the plan to the whole file.
    pub took: Duration,
    /// What the import took: hashing, cutting and sending it to the controller.
    pub import: Duration,
}

const SITE: &str = "lyon";
const AGENT: &str = "lyon-1";
/// The name of the one file of each image.
const FILE: &str = "image";
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures one pair with a fleet of its own.
///
/// # Errors
/// Without root, or when the fleet does not do it.
pub fn measure(
    run: &Run,
    binaries: &Binaries,
    pair: &Pair,
    interrupt: &Interrupt,
) -> anyhow::Result<Outcome> {
    let address = "192.168.77.1/24".parse().context("no address")?;
    let plans = [SitePlan { label: SITE.to_owned(), address }];
    let mut fleet = Fleet::start(run, binaries, &plans, interrupt)?;
    apply(&fleet, run, None)?;
    let agent = fleet.enrol(0, AGENT)?;
    fleet.wait_applied(agent)?;
    let first = transfer(&fleet, run, agent, "old", &pair.old)?;
    let second = transfer(&fleet, run, agent, "new", &pair.new)?;
    Ok(Outcome { name: pair.name.clone(), first, second })
}

fn transfer(fleet: &Fleet, run: &Run, agent: usize, image: &str, file: &Path) -> anyhow::Result<Transfer> {
    let began = Instant::now();
    import(fleet, run, image, file)?;
    let import = began.elapsed();
    let blob = blob_of(file)?;
    let digest = blob.digest.to_string();
    let path = fleet.agent(agent).state().join("cache/blobs/sha256").join(&digest[..2]).join(&digest);
    let (before, began) = (received(fleet)?, Instant::now());
    apply(fleet, run, Some(image))?;
    fleet
        .interrupt()
        .wait(format!("{} at the edge", file.display()), PATIENCE)
        .until(|| Ok(if path.exists() { Ok(()) } else { Err("it is not there".to_owned()) }))?;
    let took = began.elapsed();
    Ok(Transfer { bytes: blob.size, wan: received(fleet)? - before, took, import })
}

/// As a set of loaders, which a site needs without any host.
fn import(fleet: &Fleet, run: &Run, image: &str, file: &Path) -> anyhow::Result<()> {
    let folder = run.folder().join(format!("image-{image}"));
    fs::create_dir_all(&folder)?;
    let place = folder.join(FILE);
    let _ = fs::remove_file(&place);
    fs::hard_link(file, &place).or_else(|_| fs::copy(file, &place).map(drop))?;
    let (folder, loader) = (folder.to_string_lossy(), format!("uefi-x64={FILE}"));
    let words = ["image", "import", &folder, "--family", "loaders", "--name", image, "--loader", &loader];
    fleet.cli().run(&[&words[..], &["--program", "ipxe", "--force"]].concat())?;
    Ok(())
}

/// Declares the site, with these loaders.
fn apply(fleet: &Fleet, run: &Run, loaders: Option<&str>) -> anyhow::Result<()> {
    let loaders = loaders.map(|image| format!("  loaders: {image}\n")).unwrap_or_default();
    let site =
        format!("kind: Site\nname: {SITE}\nspec:\n  subnets:\n    - network: 192.168.77.0/24\n{loaders}");
    let path = run.folder().join("site.yaml");
    fs::write(&path, site)?;
    fleet.cli().run(&["apply", "-f", &path.to_string_lossy()])?;
    Ok(())
}

fn received(fleet: &Fleet) -> anyhow::Result<u64> {
    let counted =
        fleet.site(0).namespace().shell(&format!("cat /sys/class/net/{WAN}/statistics/rx_bytes"))?;
    counted.trim().parse().context("the kernel counts no bytes")
}

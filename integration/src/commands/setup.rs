//! What must be there before the lab can do anything: root, Debian packages, no leftovers.

use anyhow::{Context as _, ensure};
use integration::fleet::LabMedia;
use integration::lab::{LabFolder, collector, packages, sweep};
use integration::monitoring::prometheus;
use integration::monitoring::schema::Packages;

use super::Verdict;
use super::console::Console;

/// Does once what all boots need, so that those that begin at the same time find it.
pub(crate) fn run(console: &Console) -> anyhow::Result<Verdict> {
    let lab = prepare(console)?;
    fetch_collector(&lab, console)?;
    LabMedia::build(&lab, &mut |line| console.line(line)).context("failed to build what machines boot")?;
    prometheus::unpack(&lab, &mut |line| console.line(line)).context("failed to get Prometheus")?;
    Packages::install(&lab, &mut |line| console.line(line)).context("failed to get Grafana's schema")?;
    Ok(Verdict::Passed)
}

/// For the test of traces.
fn fetch_collector(lab: &LabFolder, console: &Console) -> anyhow::Result<()> {
    let say = &mut |line: &str| console.line(line);
    if !collector::has_pip() {
        packages::ensure_installed(packages::FETCHERS, say).context("failed to get pip")?;
    }
    collector::fetch(lab, say).map(drop).context("failed to get the OpenTelemetry collector")
}

/// The lab's folder, once everything that machines need is installed and crashed runs are tidied away.
///
/// # Errors
/// Without root, with the line to run where packages are missing; or when installing or tidying up fails.
pub(crate) fn prepare(console: &Console) -> anyhow::Result<LabFolder> {
    packages::ensure_installed(packages::NEEDED, &mut |line| console.line(line))
        .context("failed to set up the lab")?;
    ensure!(is_root(), "failed to set up the lab: network namespaces and virtual machines need root");
    let lab = LabFolder::from_environment();
    let swept = sweep(&lab).context("failed to tidy up after crashed runs")?;
    for name in swept.namespaces.iter().chain(&swept.processes) {
        console.line(format!("tidied up after a crashed run: {name}"));
    }
    Ok(lab)
}

/// Whether this process may make network namespaces.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

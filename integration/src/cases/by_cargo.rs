//! Cases that `cargo test` runs: they need neither root nor a fleet, so they are tests like others, and cases by their name.

use anyhow::Context as _;

use super::Bench;
use crate::binaries;

/// integration/tests/tftp_clients.rs.
pub(super) fn tftp_clients(bench: &Bench<'_>) -> anyhow::Result<()> {
    tests(bench, "tftp_clients")
}

/// integration/tests/page.rs.
pub(super) fn page(bench: &Bench<'_>) -> anyhow::Result<()> {
    tests(bench, "page")
}

fn tests(bench: &Bench<'_>, name: &str) -> anyhow::Result<()> {
    let log = bench.run.folder().join(format!("{name}.log"));
    let file = std::fs::File::create(&log).context("failed to make a log")?;
    binaries::test(name, file).with_context(|| format!("see {}", log.display()))
}

//! `cargo lab demo`: one machine, all the way.

use anyhow::bail;

use super::Verdict;
use super::console::Console;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Shows a machine's way from an empty controller to its own disk.
pub(crate) fn run(_arguments: &Arguments, _console: &Console) -> anyhow::Result<Verdict> {
    // Here: setup::prepare, cargo::build_binaries(Profile::Debug), then the run itself from the library.
    bail!("not there yet: demo")
}

//! `cargo lab bench boot`.

use std::fs;

use anyhow::Context as _;
use integration::binaries::Profile;
use integration::cases::Bench;
use integration::cases::comparison::{Figures, compare};
use integration::lab::Run;

use crate::commands::Verdict;
use crate::commands::boot;
use crate::commands::console::Console;
use crate::commands::setup;

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Arguments {
    /// How often each case is booted on each side. One round takes about six minutes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// Boots, prints a table, and fails when a goal is missed. The debug build will do: machines wait, programs hardly work.
pub(super) fn run(arguments: Arguments, console: &Console) -> anyhow::Result<Verdict> {
    let lab = setup::prepare(console)?;
    let binaries = boot::build(Profile::Debug, console)?;
    let run = Run::begin(&lab).context("failed to begin a run")?;
    let say = |line: &str| console.line(format!("  {line}"));
    let before = load();
    let figures =
        compare(&Bench { lab: &lab, run: run.clone(), binaries: &binaries, say: &say }, arguments.rounds)
            .with_context(|| format!("logs: {}", run.folder().display()))?;
    console.line(format!("\nload average before: {before}; after: {}\n", load()));
    console.line(Figures::HEAD);
    figures.iter().flat_map(Figures::rows).for_each(|row| console.line(row));
    let missed: Vec<_> = figures.iter().filter(|figure| !figure.good()).collect();
    for figure in &missed {
        console.line(format!("missed: {} ({:?})", figure.scenario.name, figure.scenario.goal));
    }
    fs::remove_dir_all(run.folder()).context("failed to remove the run's folder")?;
    Ok(Verdict::of(missed.is_empty()))
}

/// Of the last minute: whether the machine was quiet.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().next().unwrap_or("unknown").to_owned()
}

//! `cargo lab bench fleet`.

use std::time::Duration;

use integration::binaries::Profile;
use integration::fleet_bench::{Options, Spread, measure, weigh};

use crate::commands::Verdict;
use crate::commands::boot;
use crate::commands::console::Console;
use crate::commands::setup;

/// The goals.
const GOAL: Duration = Duration::from_millis(100);
const GOAL_BYTES: u64 = 64 << 20;
/// How long the agent is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(60);
const AGENTS: usize = 100;
const ROUNDS: usize = 5;
const CHANGES: usize = 50;
const CLI_CHANGES: usize = 20;

/// The figures, and whether they miss the goal.
fn judged(spread: &Spread) -> String {
    format!("{spread}{}", if spread.p99 <= GOAL { "" } else { "  MISSED" })
}

/// Measures, prints, and fails when a goal is missed.
pub(super) fn run(console: &Console) -> anyhow::Result<Verdict> {
    super::release::go_on(console)?;
    setup::prepare(console)?;
    let binaries = boot::build(Profile::Release, console)?;
    let mut good = true;
    for sites in [1, 10] {
        let agents = AGENTS;
        console.line(format!(
            "\n{agents} agents at {sites} sites; a change of one host of each site, in one write"
        ));
        let rounds = measure(Options {
            controller: binaries.controller.clone(),
            cli: binaries.cli.clone(),
            agents,
            sites,
            rounds: ROUNDS,
            changes: CHANGES,
            cli_changes: CLI_CHANGES,
        })?;
        for (number, round) in (1..).zip(&rounds) {
            console.line(format!("  round {number}, from Admin.Write:       {}", judged(&round.api)));
            console.line(format!("  round {number}, from `bootlane apply`:  {}", judged(&round.cli)));
        }
        good &= rounds.iter().all(|round| round.api.p99.max(round.cli.p99) <= GOAL);
    }
    let idle = weigh(binaries.agent, IDLE)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    console.line(format!(
        "\nan agent of {} hosts, idle for {} s: {:.1} MiB resident, {:.1} MiB at its peak",
        idle.hosts,
        idle.after.as_secs(),
        mib(idle.resident),
        mib(idle.peak)
    ));
    good &= idle.resident < GOAL_BYTES;
    console.line(format!(
        "goals: p99 of at most {} ms, less than 64 MiB: {}",
        GOAL.as_millis(),
        if good { "met" } else { "missed" }
    ));
    Ok(Verdict::of(good))
}

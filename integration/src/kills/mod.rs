//! `kill -9` of the real processes at random moments, and what must hold all the same.
//!
//! [`segment`] is the ground: an agent in a network namespace, its disk, and the segment where machines stand. On it
//! machines of paper ([`rom`]) live through [`life`]s over real sockets, and [`witness`] keeps what they saw.
//! [`judge`] compares that with the agent's ledger. [`writers`] does the like to a controller.
//!
//! The seeds are fixed and the moments are not: a kill falls where the scheduler lets it fall.

pub mod card;
pub mod controller;
pub mod dial;
pub mod fetch;
pub mod inside;
pub mod judge;
pub mod life;
pub mod plan;
pub mod segment;
pub mod tftp;
pub mod witness;
pub mod writers;

use crate::lab::Process;

/// The environment variable that says how many kills a loop makes.
pub const KILLS_VARIABLE: &str = "BOOTLANE_KILLS";
/// The kills of a loop when nothing is said.
pub const KILLS: u32 = 5;

/// Kills a process, which must have lived until then.
///
/// # Errors
/// When it had ended by itself, with its log.
pub fn kill(mut process: Process) -> anyhow::Result<()> {
    let lived = process.kill();
    let log = || std::fs::read_to_string(process.log()).unwrap_or_default();
    anyhow::ensure!(lived, "it had ended by itself: {}", log());
    Ok(())
}

/// How many kills each loop makes.
///
/// # Panics
/// When the variable is set to what is no number: a test that then made none would pass.
#[must_use]
pub fn kills() -> u32 {
    std::env::var(KILLS_VARIABLE).map_or(KILLS, |text| text.parse().expect("BOOTLANE_KILLS is a number"))
}

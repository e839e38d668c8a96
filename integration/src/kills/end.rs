//! `kill -9`, and the moment after which a process does nothing more.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::lab::Process;
use crate::lab::run::ProcessIdentity;

/// How long a killed process may take to be gone: it lets go of its files and locks last.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// Kills the program of a process and waits until it is gone. It must have lived until then.
///
/// # Errors
/// When it had ended by itself, with its log; or does not end.
pub fn kill(mut process: Process) -> anyhow::Result<()> {
    let log = || std::fs::read_to_string(process.log()).unwrap_or_default();
    let program = process.program_pid().and_then(ProcessIdentity::of);
    let program = program.with_context(|| format!("it had ended by itself: {}", log()))?;
    process.kill();
    let until = std::time::Instant::now() + PATIENCE;
    while program.is_alive() {
        ensure!(std::time::Instant::now() < until, "process {program} does not end");
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

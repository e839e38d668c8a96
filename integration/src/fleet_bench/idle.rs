//! The memory of an agent that has a plan and nothing to do.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::kills::plan::{Known, Stand, lay_down, plan};
use crate::kills::segment::{Controllers, Segment};

/// Hosts of the plan that it holds, each with an order.
const HOSTS: usize = 500;

/// What an idle agent weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Resident memory, in bytes (`VmRSS`).
    pub resident: u64,
    /// The most that it was since its start (`VmHWM`).
    pub peak: u64,
    /// Hosts of its plan, each with an order.
    pub hosts: usize,
    /// How long it had been idle.
    pub after: Duration,
}

/// Starts an agent with a plan and without a controller, leaves it alone, and reads its memory.
///
/// # Errors
/// Without root, or when it does not run.
pub fn weigh(program: PathBuf, after: Duration) -> anyhow::Result<Idle> {
    let hosts = (0..).map(Stand::new).filter(|machine| machine.known() != Known::Stranger);
    let machines: Vec<_> = hosts.take(HOSTS).collect();
    let mut segment = Segment::create(program)?;
    segment.configure(&Controllers::default())?;
    lay_down(&segment.state(), plan(&machines))?;
    segment.start()?;
    segment.wait_until_it_listens()?;
    std::thread::sleep(after);
    let pid = segment.pid().context("the agent has no process")?;
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).context("failed to read its memory")?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
        let kib: u64 = line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().context("no number")?;
        anyhow::Ok(kib * 1024)
    };
    let (resident, peak) = (bytes("VmRSS")?, bytes("VmHWM")?);
    segment.kill()?;
    Ok(Idle { resident, peak, hosts: HOSTS, after })
}

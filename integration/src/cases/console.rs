//! Following a machine's serial console, with a line for people at each stage.

use std::time::Duration;

use crate::lab::Machine;

use super::setting::Setting;

/// The longest between two markers: OVMF alone takes half of it to its first prompt on a busy machine.
const STAGE: Duration = Duration::from_secs(120);

/// Waits for markers in their order; the texts that are told for each stand beside them.
pub(super) fn follow(
    setting: &Setting<'_>,
    machine: &mut Machine,
    stages: &[(&str, &str)],
) -> anyhow::Result<()> {
    stages.iter().try_for_each(|(marker, words)| reach(setting, machine, marker, words, STAGE))
}

/// Waits for one marker, for at most `bound`.
pub(super) fn reach(
    setting: &Setting<'_>,
    machine: &mut Machine,
    marker: &str,
    words: &str,
    bound: Duration,
) -> anyhow::Result<()> {
    let seen = machine.wait_for(marker, bound)?;
    setting.say(&format!("{:>6.1} s  {words}", seen.after.as_secs_f32()));
    Ok(())
}

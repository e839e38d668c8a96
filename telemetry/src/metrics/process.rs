//! What the system says of this process: memory, processor time, and when it started.

use std::fs;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use super::definition::Definition;
use super::exposition::Exposition;

static STARTED: LazyLock<f64> = LazyLock::new(|| seconds(SystemTime::now()));

/// Notes that the process starts now; the first call counts.
pub(crate) fn note_start() {
    LazyLock::force(&STARTED);
}

/// Seconds since the Unix epoch.
fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Gathers the version, the start, memory and processor time, under the names that the process has for them. What the
/// system does not tell is left out.
pub fn process(
    exposition: &mut Exposition,
    version: &str,
    [build, started, memory, cpu]: [&'static Definition; 4],
) {
    exposition.set_with(build, &[version], 1.0);
    exposition.set(started, *STARTED);
    if let Some(bytes) = resident() {
        exposition.set(memory, bytes);
    }
    if let Some(seconds) = processor_time() {
        exposition.set(cpu, seconds);
    }
}

/// `VmRSS` of proc_pid_status(5).
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// Fields 14 and 15 of proc_pid_stat(5), which count in hundredths of a second on every Linux that Rust runs on.
fn processor_time() -> Option<f64> {
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<_> = after_name.split_whitespace().skip(11).take(2).collect();
    let ticks = fields.iter().map(|field| field.parse::<f64>()).collect::<Result<Vec<_>, _>>().ok()?;
    (ticks.len() == 2).then(|| ticks.iter().sum::<f64>() / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_says_what_this_process_uses() {
        assert!(resident().is_some_and(|bytes| bytes > 1e6), "{:?}", resident());
        assert!(processor_time().is_some_and(|seconds| seconds < 1e6), "{:?}", processor_time());
    }
}

//! When and where figures were taken, and how busy the machine was.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::binaries::source_root;

/// What a reader must know to judge figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// When the run began, in UTC (RFC 3339).
    pub date: String,
    /// The commit of the sources; `+` behind it says that files were changed since.
    pub commit: String,
    /// `uname -r`.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// Processors that the system has.
    pub cpus: usize,
    /// The frequency governor of the first; "none" on virtual machines.
    pub governor: String,
    /// The TCP congestion control that connections begin with; see [`super::Options::congestion`].
    #[serde(default)]
    pub congestion: String,
    /// Load average of the last minute when the run began: what else the machine was doing.
    pub load_before: f64,
    /// The same when it ended, the run itself included.
    pub load_after: f64,
}

impl Taken {
    /// Now, before anything is measured. `congestion`: None for what the kernel begins with.
    #[must_use]
    pub fn now(congestion: Option<&str>) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
        let line = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Self {
            date: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            commit: commit().unwrap_or_else(|| "unknown".into()),
            kernel: line("/proc/sys/kernel/osrelease").unwrap_or_default(),
            cpu: cpu_name(&cpuinfo),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            governor: line(governor).unwrap_or_else(|| "none".into()),
            congestion: congestion
                .map(str::to_owned)
                .or_else(|| line("/proc/sys/net/ipv4/tcp_congestion_control"))
                .unwrap_or_default(),
            load_before: load_average(),
            load_after: 0.0,
        }
    }

    /// Notes how busy the machine is at the end.
    pub fn end(&mut self) {
        self.load_after = load_average();
    }

    /// All of it in a line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { date, commit, kernel, cpu, cpus, governor, congestion, load_before, load_after } = self;
        let day = date.get(..16).unwrap_or(date).replace('T', " ");
        format!(
            "{day} UTC, commit {commit}, Linux {kernel}, {cpus} CPUs ({cpu}), governor {governor}, TCP {congestion}, \
             load average {load_before:.2} before and {load_after:.2} after"
        )
    }
}

fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// ARM's file has no such line.
fn cpu_name(cpuinfo: &str) -> String {
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// None: the sources are in no repository.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(source_root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(format!("{commit}{}", if changed { "+" } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_have_names() {
        assert_eq!(cpu_name("processor : 0\nmodel name\t: Xeon(R): 2 GHz\n"), "Xeon(R): 2 GHz");
        assert_eq!(cpu_name("processor : 0\n"), std::env::consts::ARCH);
    }

    #[test]
    fn the_line_says_what_is_known() {
        let mut taken = Taken::now(None);
        taken.end();
        let line = taken.line();
        assert!(line.contains(&taken.commit) && line.contains("load average"), "{line}");
        assert!(line.starts_with("20") && line.contains(" UTC, "), "{line}");
    }
}

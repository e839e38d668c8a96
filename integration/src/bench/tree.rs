//! What a tree of processes has cost: CPU time and memory, from `/proc`.
//!
//! CPU time is user and system time of every process below the roots, threads and children that have ended and were waited
//! for included (proc(5): `utime`, `stime`, `cutime`, `cstime` of `stat`), in clock ticks of 10 ms: a load should keep a
//! server busy for a second. Children that nobody waits for are lost when they end, so servers run in the foreground.

use std::fs;
use std::time::Duration;

/// Clock ticks a second (proc(5), `sysconf(_SC_CLK_TCK)`): 100 on every Linux that this runs on.
const TICKS: f64 = 100.0;

/// What processes have used until now.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// The sum of each living process's peak of resident memory, in bytes (`VmHWM`). Pages that processes share count in each.
    pub peak: u64,
    /// The sum of their resident memory now (`VmRSS`), in bytes.
    pub resident: u64,
}

/// What these processes and all below them have used. Those that are gone count nothing.
#[must_use]
pub fn usage(roots: &[i32]) -> Usage {
    let mut sum = Usage::default();
    for pid in below(roots) {
        sum.cpu += stat(pid).map(|line| cpu(&line)).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.peak += memory(&status, "VmHWM:");
        sum.resident += memory(&status, "VmRSS:");
    }
    sum
}

/// The roots and all processes below them, each once.
fn below(roots: &[i32]) -> Vec<i32> {
    let mut found = roots.to_vec();
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        let fresh = children(pid).into_iter().filter(|child| !found.contains(child)).collect::<Vec<_>>();
        found.extend(fresh);
        next += 1;
    }
    found
}

/// Each thread has children of its own.
fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let listed = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    listed
        .flat_map(|line| {
            line.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}

fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Fields 14 to 17, counted from 1; the command's name, field 2, may hold blanks and parentheses.
fn cpu(line: &str) -> Duration {
    let after_name = line.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = after_name.split_ascii_whitespace().skip(11).take(4);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_secs_f64(ticks as f64 / TICKS)
}

fn memory(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use super::*;

    /// Spins until it has used about so much CPU time.
    const SPIN: &str = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done";

    fn shell(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().expect("a shell")
    }

    fn wait_for(good: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !good() {
            assert!(Instant::now() < until, "waited a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(mut child: Child) {
        child.kill().expect("it runs");
        child.wait().expect("ended");
    }

    #[test]
    fn the_four_times_are_added_whatever_the_name() {
        let line = "12 (a) b) S 1 12 12 0 -1 0 1 2 3 4 100 20 3 1 20 0 1 0 99 1 1";
        assert_eq!(cpu(line), Duration::from_millis(1_240));
        assert_eq!(cpu(""), Duration::ZERO);
    }

    #[test]
    fn memory_is_in_kib() {
        assert_eq!(memory("VmPeak:\t  9 kB\nVmHWM:\t    1024 kB\n", "VmHWM:"), 1 << 20);
        assert_eq!(memory("", "VmHWM:"), 0);
    }

    #[test]
    fn a_child_that_has_ended_counts() {
        // The spinning is done by a subshell that ends; the shell itself waits for its input.
        let child = shell(&format!("({SPIN}); read line"));
        let pid = i32::try_from(child.id()).expect("small");
        wait_for(|| children(pid).is_empty() && !usage(&[pid]).cpu.is_zero());
        let own = stat(pid).expect("it runs");
        let fields: Vec<&str> = own.rsplit_once(')').expect("a name").1.split_ascii_whitespace().collect();
        let children_ticks: u64 =
            fields[13].parse::<u64>().expect("cutime") + fields[14].parse::<u64>().expect("cstime");
        assert!(children_ticks > 0, "{own}");
        assert!(usage(&[pid]).cpu >= Duration::from_millis(children_ticks * 10));
        end(child);
    }

    #[test]
    fn a_child_that_lives_counts_once() {
        let child = shell("sleep 60 & sleep 60 & read line; kill %1 %2");
        let pid = i32::try_from(child.id()).expect("small");
        wait_for(|| below(&[pid]).len() == 3);
        let both = below(&[pid]);
        assert_eq!(below(&both), both, "roots may stand below each other");
        let sum: u64 = both.iter().map(|pid| usage(&[*pid]).peak).min().expect("three");
        assert!(usage(&[pid]).peak > sum, "three are more than one");
        for child in both.iter().skip(1) {
            Command::new("kill").arg(child.to_string()).status().expect("kill");
        }
        end(child);
    }

    #[test]
    fn who_is_gone_counts_nothing() {
        assert_eq!(usage(&[i32::MAX]), Usage::default());
    }
}

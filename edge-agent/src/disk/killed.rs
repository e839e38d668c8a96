//! Tests with `kill -9`: the test binary runs one of its own tests as a child, which tells its steps by lines, and kills it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Where the child keeps what is judged after its death. Not set: it was not started as a child.
const DIRECTORY: &str = "BOOTLANE_KILL_DIR";

/// How many children are killed, one after the other: `BOOTLANE_KILLS`, or five.
pub(crate) fn rounds() -> u64 {
    std::env::var("BOOTLANE_KILLS").ok().map_or(5, |n| n.parse().expect("a number"))
}

/// In the child: the folder to work in.
pub(crate) fn directory() -> Option<std::path::PathBuf> {
    std::env::var_os(DIRECTORY).map(Into::into)
}

/// Runs the test `child` until it has told so many lines with `step` in them, and so much longer; returns all of these
/// lines, also those that it told before it was dead.
pub(crate) fn run_and_kill(
    child: &str,
    directory: &Path,
    (step, steps): (&str, usize),
    longer: Duration,
) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", child, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut told = lines.filter(|line| line.contains(step));
    let mut seen: Vec<_> = told.by_ref().take(steps).collect();
    assert_eq!(seen.len(), steps, "the child did not go on with what its predecessor left");
    std::thread::sleep(longer);
    child.kill().expect("kill -9");
    seen.extend(told);
    child.wait().expect("reaped");
    seen
}

/// At odd moments, so that kills fall on different steps and into different parts of them: steps, and how much longer.
pub(crate) fn moment(round: u64) -> (usize, Duration) {
    let steps = 5 + (round * 37) % 190;
    (usize::try_from(steps).expect("few"), Duration::from_micros((round * 331) % 2_000))
}

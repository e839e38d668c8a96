//! The same load by a public program, `wrk`, which sleeps where ours spins.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::super::load::Load;

/// Keeps `connections` busy with the file `name` for `time`, in whole seconds. All come from one address. The amount is in
/// requests.
pub(super) fn run(server: SocketAddr, name: &str, connections: u32, time: Duration) -> anyhow::Result<Load> {
    let seconds = time.as_secs().max(1);
    let mut command = Command::new("wrk");
    command.args(["-t", "1", "-c", &connections.to_string(), "-d", &format!("{seconds}s")]);
    let output = command.arg(format!("http://{server}/{name}")).output().context("failed to run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    understand(&text).with_context(|| format!("wrk says something else: {text}"))
}

fn understand(text: &str) -> Option<Load> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let elapsed = rest.split_once("s,")?.0.parse().ok()?;
    let failed = |line: &str| -> u64 {
        line.split(|letter: char| !letter.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok()).sum()
    };
    let mut load = Load::new(requests.parse().ok()?, Duration::from_secs_f64(elapsed));
    let failures = ["Socket errors:", "Non-2xx or 3xx responses:"];
    let lines = text.lines().filter(|line| failures.iter().any(|failure| line.contains(failure)));
    load.failed = lines.map(|line| failed(line.split_once(':').map_or("", |(_, counts)| counts))).sum();
    Some(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says() {
        let text = "Running 3s test @ http://10.64.0.1/4k\n  1 threads and 16 connections\n  Thread Stats   Avg\n    \
                    Latency   100.35us\n  550000 requests in 3.10s, 2.20GB read\n  Socket errors: connect 0, read 3, \
                    write 0, timeout 1\n  Non-2xx or 3xx responses: 7\nRequests/sec: 177419.35\n";
        let load = understand(text).expect("it is understood");
        assert_eq!((load.amount, load.elapsed, load.failed), (550_000, Duration::from_millis(3_100), 11));
        assert!(understand("unable to connect to 10.64.0.1:80").is_none());
    }
}

//! The same exchanges by a public program, Kea's `perfdhcp`, which stands for a relay agent, too, and begins so many a second
//! whatever comes back.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::super::load::Load;

/// Its exit code if some exchanges did not come to their end.
const SOME_DROPPED: i32 = 3;

/// Begins `rate` exchanges a second for `time`, in whole seconds, with as many `machines` by turns.
pub(super) fn run(server: Ipv4Addr, rate: u32, machines: u32, time: Duration) -> anyhow::Result<Load> {
    let seconds = time.as_secs().max(1);
    let mut command = Command::new("perfdhcp");
    command.args(["-4", "-g", "single", "-r", &rate.to_string(), "-R", &machines.to_string()]);
    // The last exchanges have a tenth of a second to come to their end.
    command.args(["-p", &seconds.to_string(), "-W", "100000", &server.to_string()]);
    let output = command.output().context("failed to run perfdhcp")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let ended = output.status.success() || output.status.code() == Some(SOME_DROPPED);
    ensure!(ended, "perfdhcp: {text}{}", String::from_utf8_lossy(&output.stderr));
    understand(&text, time).with_context(|| format!("perfdhcp says something else: {text}"))
}

/// `time`: how long it took if no exchange came to its end.
fn understand(text: &str, time: Duration) -> Option<Load> {
    let (_, text) = text.split_once("***Rate statistics***")?;
    let rate: f64 = text.split_once("Rate: ")?.1.split_whitespace().next()?.parse().ok()?;
    let (discovers, requests) = text.split_once("***Statistics for: REQUEST-ACK***")?;
    let begun = count(discovers, "sent packets: ")?;
    let done = count(requests, "received packets: ")?;
    let elapsed = if rate > 0.0 { Duration::try_from_secs_f64(done as f64 / rate).ok()? } else { time };
    let load = Load::new(done, elapsed);
    Some(Load { failed: begun.saturating_sub(done), ..load })
}

fn count(text: &str, name: &str) -> Option<u64> {
    text.split_once(name)?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perfdhcp_says() {
        let text = "Running: perfdhcp -4 -r 5000\nScenario: basic.\n***Rate statistics***\nRate: 4992.5 4-way exchanges/second, \
                    expected rate: 5000\n\n***Statistics for: DISCOVER-OFFER***\nsent packets: 10000\nreceived packets: \
                    9990\ndrops: 10\n\n***Statistics for: REQUEST-ACK***\nsent packets: 9990\nreceived packets: 9985\n\
                    drops: 5\n";
        let time = Duration::from_secs(3);
        let load = understand(text, time).expect("it is understood");
        assert_eq!((load.amount, load.failed, load.elapsed.as_secs()), (9_985, 15, 2));
        let silent = text.replace("4992.5", "0").replace("received packets: 9985", "received packets: 0");
        let load = understand(&silent, time).expect("it is understood");
        assert_eq!((load.amount, load.failed, load.elapsed), (0, 10_000, time));
        assert!(understand("perfdhcp: no such interface", time).is_none());
    }
}

//! A server that is measured, and its processes while it runs.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::ground::Ground;
use super::tree::{Usage, usage};
use crate::lab::Process;

/// How long a server may take from its start until it listens.
const START: Duration = Duration::from_secs(30);
/// How often is looked whether it does.
const LOOK: Duration = Duration::from_millis(5);
/// The end of a log, in a message.
const TAIL_LINES: usize = 8;

/// What a contender is in the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// What goals are asked of.
    Ours,
    /// What others use.
    Peer,
    /// The same packets or bytes with no server behind them: what the kernel can do.
    Limit,
}

/// Somebody who does the pieces of work `P` of a bench.
pub trait Contender<P> {
    /// As tables and goals name it.
    fn name(&self) -> &str;

    /// What it is.
    fn role(&self) -> Role;

    /// The program's version.
    fn version(&self) -> String;

    /// Why it cannot do this piece at all; None: it can.
    fn unable(&self, _piece: &P) -> Option<String> {
        None
    }

    /// Starts it for one piece of work, with nothing left of the former one. It is ready when this returns.
    ///
    /// # Errors
    /// When it does not start.
    fn start(&mut self, ground: &Ground, piece: &P) -> anyhow::Result<Server>;
}

/// A contender that runs. Dropping it ends its processes.
#[derive(Debug)]
pub struct Server {
    processes: Vec<Process>,
}

/// By what a server shows that it is ready.
#[derive(Debug, Clone, Copy)]
pub enum Ready {
    /// A UDP socket is bound to this port.
    Udp(u16),
    /// A TCP socket listens on this port.
    Tcp(u16),
    /// Its log has these words.
    Says(&'static str),
}

impl Server {
    /// Waits until each process is ready.
    ///
    /// # Errors
    /// When one has ended, or the time is up; the end of its log is in the message.
    pub fn wait(started: Vec<(Process, Ready)>) -> anyhow::Result<Self> {
        let until = Instant::now() + START;
        let mut processes = Vec::new();
        for (mut process, ready) in started {
            while !is_ready(&process, ready) {
                let ended = process.ended()?.is_some();
                if ended || Instant::now() > until {
                    bail!("{} does not serve: {}", process.name(), tail(&process));
                }
                std::thread::sleep(LOOK);
            }
            processes.push(process);
        }
        Ok(Self { processes })
    }

    /// The numbers of its processes that have no parent among them.
    #[must_use]
    pub fn roots(&self) -> Vec<i32> {
        self.processes.iter().filter_map(Process::program_pid).collect()
    }

    /// What its processes have used until now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        usage(&self.roots())
    }

    /// That all of it still runs.
    ///
    /// # Errors
    /// When a process has ended; the end of its log is in the message.
    pub fn check(&mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            if let Some(status) = process.ended().context("failed to look after a server")? {
                bail!("{} has ended ({status}): {}", process.name(), tail(process));
            }
        }
        Ok(())
    }
}

fn is_ready(process: &Process, ready: Ready) -> bool {
    let Some(pid) = process.program_pid() else { return false };
    let sockets = |protocol| fs::read_to_string(format!("/proc/{pid}/net/{protocol}")).unwrap_or_default();
    match ready {
        Ready::Udp(port) => listens(&sockets("udp"), port, UNCONNECTED),
        Ready::Tcp(port) => listens(&sockets("tcp"), port, LISTEN) || listens(&sockets("tcp6"), port, LISTEN),
        Ready::Says(words) => {
            fs::read(process.log()).is_ok_and(|log| String::from_utf8_lossy(&log).contains(words))
        }
    }
}

/// Socket states in /proc/net (the kernel's `include/net/tcp_states.h`): UDP sockets that are bound are in `TCP_CLOSE`.
const UNCONNECTED: &str = "07";
const LISTEN: &str = "0A";

/// Lines are `N: ADDRESS:PORT ADDRESS:PORT STATE …`, in hexadecimal (proc(5)).
fn listens(sockets: &str, port: u16, state: &str) -> bool {
    let local = format!(":{port:04X}");
    sockets.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        words.next().is_some_and(|address| address.ends_with(&local)) && words.nth(1) == Some(state)
    })
}

fn tail(process: &Process) -> String {
    let log = fs::read(process.log()).unwrap_or_default();
    let text = String::from_utf8_lossy(&log).into_owned();
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_port_and_state() {
        let udp = "  sl  local_address rem_address   st tx_queue\n\
                   12: 0100400A:0045 00000000:0000 07 00000000:00000000\n";
        assert!(listens(udp, 69, UNCONNECTED) && !listens(udp, 67, UNCONNECTED));
        let tcp = "   0: 00000000:0050 00000000:0000 0A 0:0\n   1: 0100400A:0051 0200400A:9999 01 0:0\n";
        assert!(listens(tcp, 80, LISTEN) && !listens(tcp, 81, LISTEN));
    }
}

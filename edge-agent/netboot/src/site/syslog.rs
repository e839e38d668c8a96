//! What programs on a machine say by syslog, told with the boot that is under way there.
//!
//! A line is a machine's whose address it comes from, by the lease. Whoever has no boot under way is not told of: a system
//! that is up has a syslog server of its own. Lines are many, so each machine has so many in a while, with as many again for
//! warnings and worse, and all machines together have a bound; how many were left out is said with the next.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use proto::{Mac, event::EventKind};

use super::{About, Site};
use crate::{
    attempts::Reached,
    syslog::Line,
    time::{Mono, Now},
};

/// Of one machine, in each window, and as many again for warnings and worse. An installation of an hour stays far below
/// what a controller keeps of an attempt.
const OF_ONE: u32 = 60;
/// Of all machines.
const OF_ALL: u32 = 3_000;
/// How long a window is.
const WINDOW: Duration = Duration::from_secs(600);
/// Machines that are counted; while there are more, new ones wait for the next window, in which nobody stands any more.
const MACHINES: usize = 2_000;
/// RFC 5424 §6.2.1: what is no worse than this has the smaller share.
const WARNING: u8 = 4;

/// How many lines were told in the window.
#[derive(Debug, Default)]
pub(super) struct Lines {
    began: Mono,
    told: u32,
    machines: BTreeMap<Mac, Told>,
}

#[derive(Debug, Default)]
struct Told {
    usual: u32,
    urgent: u32,
    left_out: u32,
}

impl Lines {
    /// How many were left out before this line; None: so is this one.
    fn allow(&mut self, now: Mono, mac: Mac, severity: u8) -> Option<u32> {
        if now.since(self.began) >= WINDOW {
            (self.began, self.told) = (now, 0);
            // What was left out is still to be said, but not by machines that take the place of others.
            let is_full = self.machines.len() >= MACHINES;
            self.machines.retain(|_, told| told.left_out > 0 && !is_full);
            self.machines.values_mut().for_each(|told| (told.usual, told.urgent) = (0, 0));
        }
        if self.machines.len() >= MACHINES && !self.machines.contains_key(&mac) {
            return None;
        }
        let machine = self.machines.entry(mac).or_default();
        let spent = if severity <= WARNING { &mut machine.urgent } else { &mut machine.usual };
        if *spent >= OF_ONE || self.told >= OF_ALL {
            machine.left_out = machine.left_out.saturating_add(1);
            return None;
        }
        *spent += 1;
        self.told += 1;
        Some(std::mem::take(&mut machine.left_out))
    }
}

impl Site {
    pub(super) fn handle_syslog(&mut self, now: Now, from: Ipv4Addr, line: Line) {
        let Some(plan) = self.plan.clone().filter(|plan| plan.network.syslog) else { return };
        let about @ About { mac: Some(mac), host: Some(_), .. } = self.asker(&plan, from) else { return };
        if self.attempts.of(mac).is_none_or(|attempt| attempt.reached >= Reached::Ended) {
            return;
        }
        let Line { severity, program, text } = line;
        if let Some(left_out) = self.lines.allow(now.mono, mac, severity) {
            self.report(now, about, EventKind::SyslogLine { severity, program, text, left_out });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Machines that chattered and then fell silent for ever are not counted for ever.
    #[test]
    fn who_takes_all_places_keeps_them_for_one_window() {
        let (mut lines, mac) =
            (Lines::default(), |n: usize| Mac((n as u64).to_be_bytes()[2..].try_into().expect("six")));
        let at = |windows: u32| Mono::default().plus(windows * WINDOW);
        for _ in 0..3 {
            (0..MACHINES).for_each(|n| {
                lines.allow(at(0), mac(n), 6);
            });
        }
        assert!(lines.machines.values().all(|told| told.left_out > 0), "each has something left to be said");
        assert_eq!(lines.allow(at(0), mac(MACHINES), 6), None, "there is no place");
        assert_eq!(lines.allow(at(1), mac(MACHINES), 6), Some(0));
    }
}

//! How much of the journal a machine may fill. Machines that nobody knows can be made up by the hundred thousand (S5),
//! and a known host may be broken, or spoofed: none of them is to push out what others have to tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proto::{
    HostId, Mac,
    event::{AlarmKind, EventKind},
    plan::SitePlan,
};

use super::{About, Site};
use crate::time::{Mono, Now};

/// Events about unknown machines, all together, in each window.
const UNKNOWN: Limit = Limit { events: 60, window: Duration::from_secs(60) };
/// Events about one host in each window: ten boots.
const HOST: Limit = Limit { events: 300, window: Duration::from_secs(600) };
/// How often ignored machines are told of, if there are new ones.
const TELL: Duration = Duration::from_secs(60);
/// When a machine that is still there is told of again.
const FORGET: Duration = Duration::from_secs(3_600);
/// The most ignored machines that are told apart.
const IGNORED: usize = 1_000;
/// How many of them an event names.
const NAMED: usize = 5;

struct Limit {
    events: u32,
    window: Duration,
}

/// What was said of whom of late.
#[derive(Debug, Default)]
pub(super) struct Meter {
    unknown: Allowance,
    hosts: BTreeMap<HostId, Allowance>,
    ignored: Ignored,
}

/// How much may still be said.
#[derive(Debug, Default)]
struct Allowance {
    window: Mono,
    spent: u32,
}

impl Allowance {
    /// Counts one more; how many there have been in this window.
    fn spend(&mut self, now: Mono, limit: &Limit) -> u32 {
        if now.since(self.window) >= limit.window {
            *self = Self { window: now, spent: 0 };
        }
        self.spent = self.spent.saturating_add(1);
        self.spent
    }
}

/// Unknown machines at a site that ignores them.
#[derive(Debug, Default)]
struct Ignored {
    fresh: BTreeSet<Mac>,
    told: BTreeSet<Mac>,
    next: Mono,
    forget: Mono,
}

impl Ignored {
    fn note(&mut self, now: Mono, mac: Mac) {
        if now >= self.forget {
            self.told.clear();
            self.forget = now.plus(FORGET);
        }
        if self.fresh.is_empty() {
            self.next = self.next.max(now.plus(TELL));
        }
        if !self.told.contains(&mac) && self.fresh.len() + self.told.len() < IGNORED {
            self.fresh.insert(mac);
        }
    }

    fn due(&mut self, now: Mono) -> Option<String> {
        if self.fresh.is_empty() || now < self.next {
            return None;
        }
        self.next = now.plus(TELL);
        let mut fresh = std::mem::take(&mut self.fresh);
        let names: Vec<_> = fresh.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if fresh.len() > NAMED { ", ..." } else { "" };
        let detail = format!("{} that no host has: {}{more}", fresh.len(), names.join(", "));
        self.told.append(&mut fresh);
        Some(detail)
    }
}

impl Site {
    /// Tells of a machine, unless too much has been told of it already.
    pub(super) fn tell(&mut self, now: Now, about: About, kind: EventKind) {
        let Some(host) = about.host else {
            if self.meter.unknown.spend(now.mono, &UNKNOWN) <= UNKNOWN.events {
                self.report(now, about, kind);
            }
            return;
        };
        // Leases and orders are what others rest on (DESIGN §5), and a system that is up ends its attempt.
        if kind.never_dropped() || matches!(kind, EventKind::OsUp { .. }) {
            return self.report(now, about, kind);
        }
        let spent = self.meter.hosts.entry(host).or_default().spend(now.mono, &HOST);
        if spent <= HOST.events {
            self.report(now, about, kind);
        } else if spent == HOST.events + 1 {
            let (events, minutes) = (HOST.events, HOST.window.as_secs() / 60);
            let detail = format!("{events} events within {minutes} minutes: further ones are left out");
            self.report(now, about, EventKind::Alarm { kind: AlarmKind::TooManyEvents, detail });
        }
    }

    /// A machine that the plan does not know is not answered: it gets no attempt, which would never end.
    pub(super) fn note_ignored(&mut self, now: Now, mac: Mac) {
        self.meter.ignored.note(now.mono, mac);
    }

    pub(super) fn tell_ignored(&mut self, now: Now) {
        if let Some(detail) = self.meter.ignored.due(now.mono) {
            self.alarm(now, AlarmKind::UnknownIgnored, detail);
        }
    }

    /// Of hosts that are gone nothing is kept.
    pub(super) fn meter_hosts_of(&mut self, plan: &SitePlan) {
        self.meter.hosts.retain(|host, _| plan.hosts.contains_key(host));
    }
}

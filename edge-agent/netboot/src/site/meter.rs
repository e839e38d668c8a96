//! How much of the journal a machine may fill. Machines that nobody knows can be made up by the hundred thousand (S5),
//! and a known host may be broken, or spoofed: none of them is to push out what others have to tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
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
/// Leases that unknown machines take, all together, in each window. The journal keeps what it is told of leases until the
/// controller has it (DESIGN §5), and who makes up machines can take and release without end.
const LEASES: Limit = Limit { events: 300, window: Duration::from_secs(600) };
/// Renewals of leases of theirs that were told, all together, in each window: enough for all guests of a large site, each
/// told of once an hour.
const RENEWALS: Limit = Limit { events: 1_200, window: Duration::from_secs(600) };
/// Alarms of one kind in each window, whoever gives rise to them: no other event, and no other alarm, mutes one.
const ALARMS: Limit = Limit { events: 20, window: Duration::from_secs(60) };
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
    leases: StrangersLeases,
    alarms: BTreeMap<AlarmKind, Allowance>,
    hosts: BTreeMap<HostId, Allowance>,
    ignored: Ignored,
}

/// What becomes of an event.
enum Verdict {
    Told,
    LeftOut,
    /// So is every other one about this host for a while, and that is worth a word.
    FirstLeftOut,
}

impl Meter {
    fn weigh(&mut self, now: Mono, host: Option<HostId>, kind: &EventKind) -> Verdict {
        let told = match (kind, host) {
            (EventKind::Alarm { kind, .. }, _) => self.alarms.entry(*kind).or_default().allow(now, &ALARMS),
            (EventKind::LeaseEnded { address, .. }, _) => self.leases.end(*address),
            (EventKind::Leased { address, .. }, None) => match self.leases.begin(now, *address) {
                Lease::Told => true,
                Lease::LeftOut => false,
                Lease::Again => self.unknown.allow(now, &UNKNOWN),
            },
            (EventKind::LeaseRenewed { address, .. }, None) => self.leases.goes_on(now, *address),
            // Orders are what others rest on (DESIGN §5), and a system that is up ends its attempt.
            (kind, Some(host)) if !kind.never_dropped() && !matches!(kind, EventKind::OsUp { .. }) => {
                let verdict = self.weigh_of_host(now, host);
                if matches!(verdict, Verdict::Told) {
                    self.leases.is_known(kind);
                }
                return verdict;
            }
            (kind, Some(_)) => {
                self.leases.is_known(kind);
                true
            }
            (kind, None) => kind.never_dropped() || self.unknown.allow(now, &UNKNOWN),
        };
        if told { Verdict::Told } else { Verdict::LeftOut }
    }

    fn weigh_of_host(&mut self, now: Mono, host: HostId) -> Verdict {
        let allowance = self.hosts.entry(host).or_default();
        match (allowance.allow(now, &HOST), allowance.left_out) {
            (true, _) => Verdict::Told,
            (false, 1) => Verdict::FirstLeftOut,
            (false, _) => Verdict::LeftOut,
        }
    }

    /// How many events were left out in windows that are over, in words.
    fn due(&mut self, now: Mono) -> Vec<(Option<HostId>, AlarmKind, String)> {
        let mut due = Vec::new();
        for (kind, alarms) in &mut self.alarms {
            due.extend(alarms.due(now, &ALARMS).map(|more| (None, *kind, format!("{more} more like these"))));
        }
        for (host, allowance) in &mut self.hosts {
            let told = |more| (Some(*host), AlarmKind::TooManyEvents, format!("{more} events were left out"));
            due.extend(allowance.due(now, &HOST).map(told));
        }
        let StrangersLeases { allowance: leases, renewals, .. } = &mut self.leases;
        for (allowance, limit, of) in [
            (&mut self.unknown, &UNKNOWN, "events"),
            (leases, &LEASES, "leases"),
            (renewals, &RENEWALS, "renewals"),
        ] {
            let told = |more| format!("{more} {of} of unknown machines were left out");
            due.extend(allowance.due(now, limit).map(|more| (None, AlarmKind::TooManyEvents, told(more))));
        }
        due
    }
}

/// How much may still be said.
#[derive(Debug, Default)]
struct Allowance {
    window: Mono,
    spent: u32,
    left_out: u32,
}

impl Allowance {
    /// One more; false: it is left out.
    fn allow(&mut self, now: Mono, limit: &Limit) -> bool {
        if now.since(self.window) >= limit.window {
            (self.window, self.spent) = (now, 0);
        }
        let allowed = self.spent < limit.events;
        let count = if allowed { &mut self.spent } else { &mut self.left_out };
        *count = count.saturating_add(1);
        allowed
    }

    /// Is one more left out already before it is made? It counts as such.
    fn passes_over(&mut self, now: Mono, limit: &Limit) -> bool {
        let spent = self.spent >= limit.events && now.since(self.window) < limit.window;
        self.left_out = self.left_out.saturating_add(u32::from(spent));
        spent
    }

    /// How many were left out, once their window is over.
    fn due(&mut self, now: Mono, limit: &Limit) -> Option<u32> {
        let over = self.left_out > 0 && now.since(self.window) >= limit.window;
        over.then(|| std::mem::take(&mut self.left_out))
    }
}

/// Of a lease whose beginning was left out the end is, too. As many addresses as leases stand.
#[derive(Debug, Default)]
struct StrangersLeases {
    allowance: Allowance,
    renewals: Allowance,
    told: BTreeMap<Ipv4Addr, bool>,
}

/// The beginning of a lease.
enum Lease {
    Told,
    LeftOut,
    /// It has been told: the next program of the same machine asks.
    Again,
}

impl StrangersLeases {
    fn begin(&mut self, now: Mono, address: Ipv4Addr) -> Lease {
        if self.told.get(&address) == Some(&true) {
            return Lease::Again;
        }
        let told = self.allowance.allow(now, &LEASES);
        self.told.insert(address, told);
        if told { Lease::Told } else { Lease::LeftOut }
    }

    /// The lease goes on. To the controller it begins with that, if its beginning was left out or told before a restart: that
    /// costs as much as any other beginning, so that every lease that is told has an end.
    fn goes_on(&mut self, now: Mono, address: Ipv4Addr) -> bool {
        match self.begin(now, address) {
            Lease::Told => true,
            Lease::LeftOut => false,
            Lease::Again => self.renewals.allow(now, &RENEWALS),
        }
    }

    /// The machine has become a host.
    fn is_known(&mut self, kind: &EventKind) {
        if let EventKind::Leased { address, .. } | EventKind::LeaseRenewed { address, .. } = kind {
            self.told.remove(address);
        }
    }

    /// Is the end to be told? What is not known began before a restart, or is a host's.
    fn end(&mut self, address: Ipv4Addr) -> bool {
        self.told.remove(&address).unwrap_or(true)
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
        match self.meter.weigh(now.mono, about.host, &kind) {
            Verdict::Told => {
                self.dhcp.told(now.wall, &kind);
                self.report(now, about, kind);
            }
            Verdict::LeftOut => {}
            Verdict::FirstLeftOut => {
                let (events, minutes) = (HOST.events, HOST.window.as_secs() / 60);
                let detail = format!("{events} events within {minutes} minutes: further ones are left out");
                self.report(now, about, EventKind::Alarm { kind: AlarmKind::TooManyEvents, detail });
            }
        }
    }

    /// Is one more diagnostic of this machine to be left out? Then it is counted, and need not be made.
    pub(super) fn passes_over(&mut self, now: Now, about: About) -> bool {
        about.host.is_none() && self.meter.unknown.passes_over(now.mono, &UNKNOWN)
    }

    /// A machine that the plan does not know is not answered: it gets no attempt, which would never end.
    pub(super) fn note_ignored(&mut self, now: Now, mac: Mac) {
        self.meter.ignored.note(now.mono, mac);
    }

    /// What was not told one by one, in sum.
    pub(super) fn tell_left_out(&mut self, now: Now) {
        for (host, kind, detail) in self.meter.due(now.mono) {
            self.report(now, About { host, ..About::default() }, EventKind::Alarm { kind, detail });
        }
        if let Some(detail) = self.meter.ignored.due(now.mono) {
            self.alarm(now, AlarmKind::UnknownIgnored, detail);
        }
    }

    /// Of hosts that are gone nothing is kept.
    pub(super) fn meter_hosts_of(&mut self, plan: &SitePlan) {
        self.meter.hosts.retain(|host, _| plan.hosts.contains_key(host));
    }
}

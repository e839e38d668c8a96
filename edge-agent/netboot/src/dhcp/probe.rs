//! Is an address that the book holds for free also free on the wire? (RFC 2131 §3.1 and §4.3.1, RFC 5227 §2.1.1)
//!
//! A pool address that its machine does not have yet is asked for before it is offered. Operating systems wait for the
//! answer that does not come, unless an address stands ready that was asked for before (see [`super::ahead`]); they and
//! firmware have their offer at once then (QUIRKS 8), and an answer that comes before the REQUEST withdraws the offer. Silence
//! counts for a minute. No ARP crosses a relay agent, so nothing is asked there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use ipnet::Ipv4Net;
use proto::{
    Mac,
    event::AlarmKind,
    ledger::{Quarantine, Record},
};

use super::{
    Effect, Server,
    ahead::{self, Ahead, Due},
    alarm::Subject,
    claims::{Claims, Worth},
    exchange::Exchange,
    pool,
    quarantine::CLAIMED,
};
use crate::{
    arp::Claim,
    time::{Mono, Now},
};

/// How long an answer is waited for; on a LAN it comes within milliseconds, from a machine half asleep within tenths.
const PATIENCE: Duration = Duration::from_millis(300);

/// How long an address that nobody has claimed is not asked for again: as long as an offer stands.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Addresses that are remembered, those under way among them: as many as offers; further ones are offered as they are.
const MAX_PROBES: usize = 1_024;

/// Unleased addresses that are looked at for one that is to stand ready, at most.
const SEARCH: usize = 1_024;

/// What the wire was asked, and who answered.
#[derive(Debug, Default)]
pub(super) struct Probes {
    asked: BTreeMap<Ipv4Addr, Probe>,
    /// Those of them that lift a rest, by the time at which they were asked.
    lifting: BTreeSet<(Mono, Ipv4Addr)>,
    claims: Claims,
    /// None: nothing is asked for ahead of time.
    pub(super) ahead: Option<Ahead>,
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    at: Mono,
    /// Whose own answer is no conflict, and for whom alone silence counts: who had the address since may use it still. None:
    /// it stands ready for anybody.
    machine: Option<Mac>,
    pool: Pool,
    /// A rest that ends if nobody answers.
    lifts_rest: bool,
    /// It had stood ready.
    is_silent: bool,
}

impl Probe {
    fn counts(&self, now: Mono) -> bool {
        now.since(self.at) < if self.machine.is_some() { REMEMBERED } else { ahead::FRESH }
    }
}

/// The pools of a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool {
    pub(super) link: Ipv4Net,
    pub(super) addresses: u64,
}

impl Pool {
    fn of(exchange: Exchange<'_>) -> Self {
        Self { link: exchange.link(), addresses: exchange.subnets().map(pool::size).sum() }
    }

    /// How many of its addresses may rest because somebody has answered for them: a quarter, and of a few addresses never all.
    pub(super) fn may_rest(self) -> usize {
        let part = (self.addresses / 4).max(1).min(self.addresses.saturating_sub(1));
        usize::try_from(part).unwrap_or(usize::MAX)
    }
}

impl Probes {
    /// The question that was put for the address on this machine's behalf, and whether it is new; None: there is no room to
    /// remember it.
    fn ask(&mut self, address: Ipv4Addr, probe: Probe) -> Option<(Probe, bool)> {
        let now = probe.at;
        let known = self.of(now, address).filter(|known| known.machine == probe.machine && !probe.lifts_rest);
        if let Some(known) = known {
            return Some((known, false));
        }
        let is_silent = probe.machine.is_some() && self.stands_ready(now, address) && !probe.lifts_rest;
        let probe = Probe { is_silent, ..probe };
        self.forget(address);
        if self.asked.len() >= MAX_PROBES {
            self.asked.retain(|_, probe| probe.counts(now));
            if self.asked.len() >= MAX_PROBES {
                return None;
            }
        }
        self.asked.insert(address, probe);
        if probe.lifts_rest {
            self.lifting.insert((now, address));
        }
        Some((probe, true))
    }

    fn of(&self, now: Mono, address: Ipv4Addr) -> Option<Probe> {
        self.asked.get(&address).copied().filter(|probe| probe.counts(now))
    }

    /// Was it asked for ahead of time, and has nobody answered?
    fn stands_ready(&self, now: Mono, address: Ipv4Addr) -> bool {
        self.of(now, address).is_some_and(|probe| probe.machine.is_none() && now.since(probe.at) >= PATIENCE)
    }

    /// The address is somebody's from now on, or was: what was asked of it before counts no longer.
    pub(super) fn is_given(&mut self, address: Ipv4Addr) {
        if self.asked.get(&address).is_some_and(|probe| probe.machine.is_none()) {
            self.forget(address);
        }
        if let Some(ahead) = &mut self.ahead {
            ahead.forget(address);
        }
    }

    fn forget(&mut self, address: Ipv4Addr) {
        if let Some(probe) = self.asked.remove(&address) {
            self.lifting.remove(&(probe.at, address));
        }
    }

    /// When the next rest is to be lifted.
    pub(super) fn next_end(&self) -> Option<Mono> {
        self.lifting.first().map(|(at, _)| at.plus(PATIENCE))
    }

    /// Takes an address whose rest is to be lifted. It is asked for no longer: an answer that comes later counts for nothing.
    fn pop_unclaimed(&mut self, now: Mono) -> Option<Ipv4Addr> {
        self.next_end().filter(|end| *end <= now)?;
        let (_, address) = self.lifting.pop_first()?;
        self.asked.remove(&address);
        Some(address)
    }
}

impl Server {
    /// What is to be done before an address is offered; it ends in [`Effect::Wait`] if the offer is to wait for it.
    pub(super) fn probe(&mut self, now: Now, exchange: Exchange<'_>, address: Ipv4Addr) -> Vec<Effect> {
        let request = exchange.request;
        if !reaches(exchange) || self.book.is_its_own(address, exchange) {
            return Vec::new();
        }
        let (machine, pool) = (Some(request.mac), Pool::of(exchange));
        let probe = Probe { at: now.mono, machine, pool, lifts_rest: false, is_silent: false };
        let Some((probe, new)) = self.probes.ask(address, probe) else { return Vec::new() };
        if let Some(ahead) = self.probes.ahead.as_mut().filter(|_| new && !request.is_boot_class()) {
            ahead.took(now.mono, pool.link, address);
        }
        let over = probe.at.plus(PATIENCE);
        let waits = now.mono < over && !probe.is_silent && !request.is_boot_class();
        let probe = new.then_some(Effect::Probe(address));
        probe.into_iter().chain(waits.then_some(Effect::Wait { until: over })).collect()
    }

    /// An address that stands ready, for a system that has none and that wishes for none.
    pub(super) fn ready_address(&mut self, now: Now, exchange: Exchange<'_>) -> Option<Ipv4Addr> {
        let wire = exchange.context.wire.filter(|_| reaches(exchange))?;
        let Probes { asked, ahead, .. } = &mut self.probes;
        let ahead = ahead.as_mut().filter(|_| !exchange.request.is_boot_class())?;
        let ranges = exchange.subnets().flat_map(|subnet| subnet.pools.iter().copied());
        let server = exchange.context.server;
        let never = exchange.subnets().flat_map(|subnet| pool::unleasable(subnet, server));
        let offered = ahead.offer(now.mono, wire, Pool::of(exchange), ranges, never);
        let silent = |address: &Ipv4Addr| {
            asked.get(address).is_some_and(|probe| {
                probe.machine.is_none() && probe.counts(now.mono) && now.mono.since(probe.at) >= PATIENCE
            })
        };
        offered.into_iter().find(|address| silent(address) && self.book.is_free(*address, exchange))
    }

    /// Asks for what is to stand ready.
    pub(super) fn ask_ahead(&mut self, now: Now) -> Vec<Effect> {
        let Some(due) = self.probes.ahead.as_mut().map(|ahead| ahead.due(now.mono)) else {
            return Vec::new();
        };
        let mut effects = Vec::new();
        for Due { link, wire, pool } in due {
            let found = self.free_for_anybody(now, link);
            let probe = Probe { at: now.mono, machine: None, pool, lifts_rest: false, is_silent: false };
            let found = found.filter(|address| self.probes.ask(*address, probe).is_some());
            if let Some(ahead) = &mut self.probes.ahead {
                ahead.ask(now.mono, link, found);
            }
            effects.extend(found.map(|address| Effect::ProbeAhead { wire, address }));
        }
        effects
    }

    /// An address of a link's pools that the book holds for free, and of which nothing is known.
    fn free_for_anybody(&self, now: Now, link: Ipv4Net) -> Option<Ipv4Addr> {
        let ahead = self.probes.ahead.as_ref()?;
        let mut unleased = ahead.search(link).flat_map(|range| self.book.unleased(range)).take(SEARCH);
        unleased.find(|address| {
            !ahead.is_unleasable(link, *address)
                && self.book.is_free_for_anybody(*address)
                && self.probes.of(now.mono, *address).is_none()
        })
    }

    /// A fixed address that its host has declined rests for nothing if nobody else has it.
    pub(super) fn probe_declined(
        &mut self,
        now: Now,
        exchange: Exchange<'_>,
        address: Ipv4Addr,
    ) -> Option<Effect> {
        if !reaches(exchange) {
            return None;
        }
        let (machine, pool) = (Some(exchange.request.mac), Pool::of(exchange));
        let probe = Probe { at: now.mono, machine, pool, lifts_rest: true, is_silent: false };
        self.probes.ask(address, probe)?;
        Some(Effect::Probe(address))
    }

    /// Ends the rests that nobody's answer has confirmed.
    pub(super) fn lift_rests(&mut self, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(address) = self.probes.pop_unclaimed(now.mono) {
            effects.push(self.lift(now, address));
        }
        effects
    }

    fn lift(&mut self, now: Now, address: Ipv4Addr) -> Effect {
        self.book.quarantined.remove(address);
        // In the ledger's terms: a rest that is over.
        Effect::Persist(Record::Quarantine(Quarantine { address, until: now.wall }))
    }

    /// Somebody has answered for an address. It counts if the address was asked for, and is not the machine's that it was
    /// asked for; and once it is leased only while the answer was waited for: who has it by our leave answers for it too,
    /// perhaps by another of its cards.
    pub fn handle_claim(&mut self, now: Now, claim: Claim) -> Vec<Effect> {
        let Claim { address, mac } = claim;
        if self.probes.of(now.mono, address).is_none() {
            return Vec::new();
        }
        let mut effects = self.handle_timeout(now);
        let Some(probe) = self.probes.of(now.mono, address) else { return effects };
        let holder = self.book.leases.holder(address).or_else(|| self.book.offers.holder(address));
        let late = self.book.leases.holder(address).is_some() && probe.at.plus(PATIENCE) <= now.mono;
        if Some(mac) == probe.machine || Some(mac) == holder || late {
            return effects;
        }
        effects.extend(if probe.lifts_rest {
            self.confirm_rest(now, claim, probe)
        } else {
            self.weigh_claim(now, claim, probe)
        });
        effects
    }

    /// A declined address has its rest already.
    fn confirm_rest(&mut self, now: Now, claim: Claim, probe: Probe) -> Vec<Effect> {
        if self.probes.claims.is_unmasked(now.mono, claim.mac) {
            return Vec::new();
        }
        self.probes.forget(claim.address);
        self.tell_of_claim(now, claim, probe)
    }

    fn weigh_claim(&mut self, now: Now, claim: Claim, probe: Probe) -> Vec<Effect> {
        let (Claim { address, mac }, link) = (claim, probe.pool.link);
        match self.probes.claims.weigh(now.mono, claim, probe.pool) {
            Worth::Believed => self.rest_claimed(now, claim, probe),
            Worth::Unmasked(rests) => {
                let mut effects = self.lift_all(now, &rests);
                let detail = format!("{mac} answers for so many addresses that its answers do not count");
                effects.extend(self.alarm(now, Subject::Claimant(mac), AlarmKind::AddressInUse, detail));
                effects
            }
            Worth::TooMany => {
                let detail = format!(
                    "{mac} uses {address}, which is given out all the same: no more of {link} may rest"
                );
                self.alarm(now, Subject::Claims(link), AlarmKind::AddressInUse, detail)
            }
        }
    }

    fn rest_claimed(&mut self, now: Now, claim: Claim, probe: Probe) -> Vec<Effect> {
        let Claim { address, mac } = claim;
        self.probes.forget(address);
        self.probes.is_given(address);
        self.book.offers.withdraw(address);
        let quarantine = Quarantine { address, until: now.wall.plus(self.book.rest(address, CLAIMED)) };
        self.book.quarantined.insert(quarantine);
        self.probes.claims.note(now.mono, mac, probe.pool, quarantine);
        let mut effects = vec![Effect::Persist(Record::Quarantine(quarantine))];
        effects.extend(self.tell_of_claim(now, claim, probe));
        effects
    }

    /// Ends rests, as far as nothing else has let the same addresses rest since.
    fn lift_all(&mut self, now: Now, rests: &[Quarantine]) -> Vec<Effect> {
        let mut effects = Vec::new();
        for rest in rests {
            if self.book.quarantined.until(rest.address) == Some(rest.until) {
                effects.push(self.lift(now, rest.address));
            }
        }
        effects
    }

    fn tell_of_claim(&mut self, now: Now, Claim { address, mac }: Claim, probe: Probe) -> Vec<Effect> {
        let detail = match probe.machine {
            Some(machine) => format!("{mac} uses {address}, which was about to be given to {machine}"),
            None => format!("{mac} uses {address}, which is leased to nobody"),
        };
        self.alarm(now, Subject::Claim(address), AlarmKind::AddressInUse, detail)
    }
}

/// Does ARP reach the machine's link from here?
fn reaches(exchange: Exchange<'_>) -> bool {
    exchange.context.wire.is_some() && exchange.request.giaddr.is_none()
}

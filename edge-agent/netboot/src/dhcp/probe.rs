//! Is an address that the book holds for free also free on the wire? (RFC 2131 §3.1 and §4.3.1, RFC 5227 §2.1.1)
//!
//! A pool address that its machine does not have yet is asked for before it is offered. Operating systems wait for the
//! answer that does not come; firmware has its offer at once (QUIRKS 8), and an answer that comes before its REQUEST
//! withdraws the offer. Silence counts for a minute. No ARP crosses a relay agent, so nothing is asked there.

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

/// What the wire was asked, and who answered.
#[derive(Debug, Default)]
pub(super) struct Probes {
    asked: BTreeMap<Ipv4Addr, Probe>,
    /// Those of them that lift a rest, by the time at which they were asked.
    lifting: BTreeSet<(Mono, Ipv4Addr)>,
    claims: Claims,
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    at: Mono,
    /// Whose own answer is no conflict, and for whom alone silence counts: who had the address since may use it still.
    machine: Mac,
    pool: Pool,
    /// A rest that ends if nobody answers.
    lifts_rest: bool,
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
    /// When the address was last asked for on this machine's behalf, and whether it is to be asked for now; None: there is no
    /// room to remember it.
    fn ask(&mut self, address: Ipv4Addr, probe: Probe) -> Option<(Mono, bool)> {
        let now = probe.at;
        let known = self.of(now, address).filter(|known| known.machine == probe.machine && !probe.lifts_rest);
        if let Some(known) = known {
            return Some((known.at, false));
        }
        self.forget(address);
        if self.asked.len() >= MAX_PROBES {
            self.asked.retain(|_, probe| now.since(probe.at) < REMEMBERED);
            if self.asked.len() >= MAX_PROBES {
                return None;
            }
        }
        self.asked.insert(address, probe);
        if probe.lifts_rest {
            self.lifting.insert((now, address));
        }
        Some((now, true))
    }

    fn of(&self, now: Mono, address: Ipv4Addr) -> Option<Probe> {
        self.asked.get(&address).copied().filter(|probe| now.since(probe.at) < REMEMBERED)
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
        let (machine, pool) = (request.mac, Pool::of(exchange));
        let probe = Probe { at: now.mono, machine, pool, lifts_rest: false };
        let Some((at, new)) = self.probes.ask(address, probe) else { return Vec::new() };
        let over = at.plus(PATIENCE);
        let waits = now.mono < over && !request.is_boot_class();
        let probe = new.then_some(Effect::Probe(address));
        probe.into_iter().chain(waits.then_some(Effect::Wait { until: over })).collect()
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
        let (machine, pool) = (exchange.request.mac, Pool::of(exchange));
        self.probes.ask(address, Probe { at: now.mono, machine, pool, lifts_rest: true })?;
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
        if mac == probe.machine || Some(mac) == holder || late {
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
        let detail = format!("{mac} uses {address}, which was about to be given to {}", probe.machine);
        self.alarm(now, Subject::Claim(address), AlarmKind::AddressInUse, detail)
    }
}

/// Does ARP reach the machine's link from here?
fn reaches(exchange: Exchange<'_>) -> bool {
    exchange.context.probes && exchange.request.giaddr.is_none()
}

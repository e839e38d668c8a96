//! Is an address that the book holds for free also free on the wire? (RFC 2131 §3.1 and §4.3.1, RFC 5227 §2.1.1)
//!
//! A pool address that its machine does not have yet is asked for before it is offered. Operating systems wait for the
//! answer that does not come; firmware has its offer at once (QUIRKS 8), and an answer that comes before its REQUEST
//! withdraws the offer. Silence counts for a minute. No ARP crosses a relay agent, so nothing is asked there.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use proto::{
    Mac,
    event::AlarmKind,
    ledger::{Quarantine, Record},
};

use super::{Effect, Server, alarm::Subject, exchange::Exchange, quarantine::CLAIMED};
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

/// Who claims more addresses than this within [`REMEMBERED_CLAIMS`] answers for others, as routers with proxy ARP do
/// (RFC 1027), or wants the pool for itself: it is not believed.
const BELIEVED_CLAIMS: u32 = 16;
const REMEMBERED_CLAIMS: Duration = Duration::from_secs(3_600);
/// Claimants that are told apart.
const MAX_CLAIMANTS: usize = 256;

/// What the wire was asked.
#[derive(Debug, Default)]
pub(super) struct Probes {
    asked: BTreeMap<Ipv4Addr, Probe>,
    claimants: BTreeMap<Mac, Claimant>,
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    at: Mono,
    /// Whose own answer is no conflict.
    machine: Mac,
    /// A rest that ends if nobody answers.
    lifts_rest: bool,
}

#[derive(Debug, Clone, Copy)]
struct Claimant {
    since: Mono,
    claims: u32,
}

impl Probes {
    /// When the address was last asked for, and whether it is to be asked for now; None: there is no room to remember it.
    fn ask(&mut self, now: Mono, address: Ipv4Addr, machine: Mac) -> Option<(Mono, bool)> {
        let known = self.of(now, address).map(|probe| probe.at);
        if known.is_none() && self.asked.len() >= MAX_PROBES {
            self.asked.retain(|_, probe| now.since(probe.at) < REMEMBERED);
            if self.asked.len() >= MAX_PROBES {
                return None;
            }
        }
        let at = known.unwrap_or(now);
        self.asked.insert(address, Probe { at, machine, lifts_rest: false });
        Some((at, known.is_none()))
    }

    fn of(&self, now: Mono, address: Ipv4Addr) -> Option<Probe> {
        self.asked.get(&address).copied().filter(|probe| now.since(probe.at) < REMEMBERED)
    }

    /// Is the claimant to be believed? Counts.
    fn believes(&mut self, now: Mono, mac: Mac) -> bool {
        if self.claimants.len() >= MAX_CLAIMANTS {
            self.claimants.retain(|_, claimant| now.since(claimant.since) < REMEMBERED_CLAIMS);
        }
        let full = self.claimants.len() >= MAX_CLAIMANTS;
        match self.claimants.get_mut(&mac) {
            Some(claimant) if now.since(claimant.since) < REMEMBERED_CLAIMS => {
                claimant.claims = claimant.claims.saturating_add(1);
                claimant.claims <= BELIEVED_CLAIMS
            }
            None if full => true,
            Some(_) | None => {
                self.claimants.insert(mac, Claimant { since: now, claims: 1 });
                true
            }
        }
    }

    /// When the next rest is to be lifted.
    pub(super) fn next_end(&self) -> Option<Mono> {
        let lifting = self.asked.values().filter(|probe| probe.lifts_rest);
        lifting.map(|probe| probe.at.plus(PATIENCE)).min()
    }

    /// Takes an address whose rest is to be lifted.
    fn pop_unclaimed(&mut self, now: Mono) -> Option<Ipv4Addr> {
        let over = |probe: &Probe| probe.lifts_rest && probe.at.plus(PATIENCE) <= now;
        let (address, probe) = self.asked.iter_mut().find(|(_, probe)| over(probe))?;
        probe.lifts_rest = false;
        Some(*address)
    }
}

impl Server {
    /// What is to be done before an address is offered; it ends in [`Effect::Wait`] if the offer is to wait for it.
    pub(super) fn probe(&mut self, now: Now, exchange: Exchange<'_>, address: Ipv4Addr) -> Vec<Effect> {
        let request = exchange.request;
        if !reaches(exchange) || self.book.is_its_own(address, exchange) {
            return Vec::new();
        }
        let Some((at, new)) = self.probes.ask(now.mono, address, request.mac) else { return Vec::new() };
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
        self.probes.asked.remove(&address);
        self.probes.ask(now.mono, address, exchange.request.mac)?;
        self.probes.asked.get_mut(&address)?.lifts_rest = true;
        Some(Effect::Probe(address))
    }

    /// Ends the rests that nobody's answer has confirmed.
    pub(super) fn lift_rests(&mut self, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(address) = self.probes.pop_unclaimed(now.mono) {
            self.book.quarantined.remove(address);
            // In the ledger's terms: a rest that is over.
            effects.push(Effect::Persist(Record::Quarantine(Quarantine { address, until: now.wall })));
        }
        effects
    }

    /// Somebody has answered for an address. It counts if the address was asked for, and is not the machine's that it was
    /// asked for; and once it is leased only while the answer was waited for: who has it by our leave answers for it too,
    /// perhaps by another of its cards.
    pub fn handle_claim(&mut self, now: Now, claim: Claim) -> Vec<Effect> {
        let Claim { address, mac } = claim;
        let mut effects = self.handle_timeout(now);
        let Some(probe) = self.probes.of(now.mono, address) else { return effects };
        let holder = self.book.leases.holder(address).or_else(|| self.book.offers.holder(address));
        let late = self.book.leases.holder(address).is_some() && probe.at.plus(PATIENCE) <= now.mono;
        if mac == probe.machine || Some(mac) == holder || late {
            return effects;
        }
        effects.extend(if self.probes.believes(now.mono, mac) {
            self.rest_claimed(now, claim, probe)
        } else {
            let detail = format!("{mac} answers for so many addresses that its answers do not count");
            self.alarm(now, Subject::Claimant(mac), AlarmKind::AddressInUse, detail)
        });
        effects
    }

    fn rest_claimed(&mut self, now: Now, claim: Claim, probe: Probe) -> Vec<Effect> {
        let Claim { address, mac } = claim;
        let mut effects = Vec::new();
        self.probes.asked.remove(&address);
        // A declined address has its rest already.
        if !probe.lifts_rest {
            self.book.offers.withdraw(address);
            let quarantine = Quarantine { address, until: now.wall.plus(CLAIMED) };
            self.book.quarantined.insert(quarantine);
            effects.push(Effect::Persist(Record::Quarantine(quarantine)));
        }
        let detail = format!("{mac} uses {address}, which was about to be given to {}", probe.machine);
        effects.extend(self.alarm(now, Subject::Claim(address), AlarmKind::AddressInUse, detail));
        effects
    }
}

/// Does ARP reach the machine's link from here?
fn reaches(exchange: Exchange<'_>) -> bool {
    exchange.context.probes && exchange.request.giaddr.is_none()
}

//! Who has which address, and who may have it: the one place where an address is chosen.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;
use proto::{
    Mac, Range,
    ledger::{Lease, LeaseKey},
    plan::SitePlan,
};

use super::{
    exchange::Exchange,
    lease::Leases,
    offer::Offers,
    pool::{self, Reservations},
    quarantine::{FIXED_REST, Quarantined},
    server::key_of,
};
use crate::time::{Mono, Now};

/// Leases at one time; beyond it pools count as empty (about 120 bytes each).
const MAX_LEASES: usize = 1 << 20;

/// How long a subnet's pools are not searched again after none of their addresses was free: a flood of new
/// machines must not make each packet walk a whole pool (S5).
const SEARCH_PAUSE: Duration = Duration::from_secs(1);

/// The addresses of a site.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) leases: Leases,
    pub(super) offers: Offers,
    pub(super) quarantined: Quarantined,
    reservations: Reservations,
    /// Links whose pools were full, and when to look again; of the current plan alone.
    full: BTreeMap<Ipv4Net, Mono>,
}

impl Book {
    /// Obeys this plan from now on. True if it is another one.
    pub(super) fn follow(&mut self, plan: &SitePlan) -> bool {
        let changed = self.reservations.follow(plan);
        if changed {
            self.full.clear();
        }
        changed
    }

    /// The address to offer, held for the machine if it comes from a pool: its fixed one, its present one, the
    /// one offered already, the one it wishes for, its former one (RFC 2131 §4.3.1), one that stands ready, any.
    pub(super) fn choose(
        &mut self,
        now: Now,
        exchange: Exchange<'_>,
        ready: Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        if let Some(fixed) = self.fixed(exchange) {
            return Some(fixed);
        }
        let key = key_of(exchange);
        if let Some(kept) = self.kept(exchange) {
            return Some(kept);
        }
        if !exchange.context.grants_allowed || self.leases.len() >= MAX_LEASES {
            return None;
        }
        let known = exchange.context.host.is_some();
        if self.offers.is_full() && self.offers.of(key).is_none() {
            self.offers.remove(self.offers.oldest_stranger(None).filter(|_| known)?);
        }
        let address = self.find_in_pool(now, exchange, ready).or_else(|| self.push_out(exchange))?;
        self.offers.insert(now.mono, key, address, known);
        Some(address)
    }

    /// May the machine have this address, without a pool grant that the disk has no room for?
    pub(super) fn may_take(&self, address: Ipv4Addr, exchange: Exchange<'_>) -> bool {
        if let Some(fixed) = self.fixed(exchange) {
            // A changed fixed address takes effect at the next boot, not in the middle of an installation.
            let renews = exchange.request.ciaddr == Some(address);
            return address == fixed || (renews && self.kept(exchange) == Some(address));
        }
        let context = exchange.context;
        self.kept(exchange) == Some(address)
            || (context.grants_allowed && self.leases.len() < MAX_LEASES && self.is_free(address, exchange))
    }

    /// Would only a full disk or a full memory stand in the way?
    pub(super) fn would_be_free(&self, address: Ipv4Addr, exchange: Exchange<'_>) -> bool {
        self.fixed(exchange).is_none() && self.is_free(address, exchange)
    }

    /// Why [`Self::may_take`] says no, for people.
    pub(super) fn why_not(&self, address: Ipv4Addr, exchange: Exchange<'_>) -> String {
        let (context, mac) = (exchange.context, exchange.request.mac);
        let others = |holder: Option<Mac>| holder.filter(|holder| *holder != mac);
        if exchange.subnet_with(address).is_none() {
            return format!("it is no address of {}", exchange.link());
        }
        if let Some(fixed) = self.fixed(exchange) {
            return format!("the host has the fixed address {fixed}");
        }
        if let Some(holder) = others(self.leases.holder(address)) {
            let host = context.plan.host_of(holder).map(|host| format!(", host {}", host.name));
            return format!("it is leased to {holder}{}", host.unwrap_or_default());
        }
        if let Some(holder) = others(self.offers.holder(address)) {
            return format!("it is offered to {holder}");
        }
        if self.quarantined.contains(address) {
            return "another machine was found to use it".to_owned();
        }
        if self.reservations.is_for_another(address, context.host.map(|host| host.id)) {
            return "it is another host's fixed address".to_owned();
        }
        match in_pool(exchange, address) {
            true => {
                "nothing new can be recorded: the agent's disk is full, or it has too many leases".to_owned()
            }
            false => "it is in no pool".to_owned(),
        }
    }

    /// The host's fixed address, if it can be used on this subnet now.
    pub(super) fn fixed(&self, exchange: Exchange<'_>) -> Option<Ipv4Addr> {
        let host = exchange.context.host?;
        let address = host.address?;
        let usable = exchange.subnet_with(address).is_some_and(|subnet| pool::is_station(subnet, address))
            && address != exchange.context.server
            && !self.quarantined.contains(address);
        let free = match self.leases.holder(address) {
            None => true,
            Some(holder) if holder == exchange.request.mac => true,
            // Firmware tries the cards of a machine one after the other, and each is to find the machine's
            // address; a running system may use two at a time.
            Some(holder) => exchange.request.is_boot_class() && host.macs.contains(&holder),
        };
        (usable && free).then_some(address)
    }

    /// How long an address rests: what the plan keeps for a host never for long.
    pub(super) fn rest(&self, address: Ipv4Addr, otherwise: Duration) -> Duration {
        if self.reservations.contains(address) { FIXED_REST } else { otherwise }
    }

    /// Is the address the machine's already, by plan or by lease?
    pub(super) fn is_its_own(&self, address: Ipv4Addr, exchange: Exchange<'_>) -> bool {
        self.fixed(exchange) == Some(address) || self.kept(exchange) == Some(address)
    }

    /// The leases that end when the machine takes the address: its own at another one, and the address's own.
    pub(super) fn displaced(&self, key: LeaseKey, address: Ipv4Addr) -> Vec<Lease> {
        let own = self.leases.of(key).filter(|lease| lease.address != address);
        let others = self.leases.at(address).filter(|lease| lease.key != key);
        own.into_iter().chain(others).copied().collect()
    }

    /// The address that the machine has now, if it may go on with it.
    fn kept(&self, exchange: Exchange<'_>) -> Option<Ipv4Addr> {
        let address = self.leases.of(key_of(exchange))?.address;
        let in_plan = exchange.context.host.is_some() || in_pool(exchange, address);
        (in_plan && self.is_usable(address, exchange)).then_some(address)
    }

    fn find_in_pool(
        &mut self,
        now: Now,
        exchange: Exchange<'_>,
        ready: Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        let (link, request) = (exchange.link(), exchange.request);
        let held = self.leases.of_machine(request.mac).map(|lease| lease.address);
        let wishes = self.offers.of(key_of(exchange)).into_iter().chain(request.requested).chain(held);
        let mut wishes = wishes.chain(self.leases.former(request.mac)).chain(ready);
        if let Some(wish) = wishes.find(|wish| self.is_free(*wish, exchange)) {
            return Some(wish);
        }
        if self.full.get(&link).is_some_and(|until| now.mono < *until) {
            return None;
        }
        let mut candidates =
            exchange.subnets().flat_map(|subnet| pool::candidates(subnet, request.mac, &self.leases));
        let found = candidates.find(|address| self.is_free(*address, exchange));
        match found {
            Some(_) => self.full.remove(&link),
            None => self.full.insert(link, now.mono.plus(SEARCH_PAUSE)),
        };
        found
    }

    /// S5: a known host takes what was offered to a stranger rather than go without.
    fn push_out(&mut self, exchange: Exchange<'_>) -> Option<Ipv4Addr> {
        exchange.context.host?;
        let stranger = self.offers.oldest_stranger(Some(exchange.link()))?;
        let address = self.offers.of(stranger)?;
        self.offers.remove(stranger);
        self.is_free(address, exchange).then_some(address)
    }

    /// The addresses of a range that nobody has leased.
    pub(super) fn unleased(&self, range: Range) -> impl Iterator<Item = Ipv4Addr> {
        pool::unleased(range, &self.leases)
    }

    /// Is an unleased address offered to nobody, kept for no host, and not at rest?
    pub(super) fn is_free_for_anybody(&self, address: Ipv4Addr) -> bool {
        self.offers.holder(address).is_none()
            && !self.reservations.contains(address)
            && !self.quarantined.contains(address)
    }

    /// Is the address in a pool, and nobody else's by lease or offer?
    pub(super) fn is_free(&self, address: Ipv4Addr, exchange: Exchange<'_>) -> bool {
        let mac = exchange.request.mac;
        in_pool(exchange, address)
            && self.is_usable(address, exchange)
            && self.leases.holder(address).is_none_or(|holder| holder == mac)
            && self.offers.holder(address).is_none_or(|holder| holder == mac)
    }

    /// Can the address be this machine's at all: not ours, not reserved for another host, not in quarantine?
    fn is_usable(&self, address: Ipv4Addr, exchange: Exchange<'_>) -> bool {
        let context = exchange.context;
        let Some(subnet) = exchange.subnet_with(address) else { return false };
        pool::is_leasable(subnet, context.server, address)
            && !self.quarantined.contains(address)
            && !self.reservations.is_for_another(address, context.host.map(|host| host.id))
    }
}

/// Is the address in a pool of the machine's link?
fn in_pool(exchange: Exchange<'_>, address: Ipv4Addr) -> bool {
    exchange.subnet_with(address).is_some_and(|subnet| pool::contains(subnet, address))
}

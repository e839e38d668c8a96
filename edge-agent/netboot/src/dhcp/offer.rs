//! Addresses that were offered and not yet taken: in memory alone, bounded, for a minute (S5, QUIRKS 7).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use ipnet::Ipv4Net;
use proto::{Mac, ledger::LeaseKey};

use crate::time::Mono;

/// How long an offered address waits for its REQUEST.
pub(super) const OFFER_LIFE: Duration = Duration::from_secs(60);

/// Offers that stand at one time; beyond it strangers wait and known hosts push strangers out.
pub(super) const MAX_OFFERS: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offer {
    address: Ipv4Addr,
    until: Mono,
    known: bool,
}

/// The offers that stand.
#[derive(Debug, Default)]
pub(super) struct Offers {
    by_key: BTreeMap<LeaseKey, Offer>,
    by_address: BTreeMap<Ipv4Addr, LeaseKey>,
    by_end: BTreeSet<(Mono, LeaseKey)>,
}

impl Offers {
    /// Remembers an offer in place of the one that the machine had.
    pub(super) fn insert(&mut self, now: Mono, key: LeaseKey, address: Ipv4Addr, known: bool) {
        self.remove(key);
        if let Some(former) = self.by_address.get(&address).copied() {
            self.remove(former);
        }
        let until = now.plus(OFFER_LIFE);
        self.by_key.insert(key, Offer { address, until, known });
        self.by_address.insert(address, key);
        self.by_end.insert((until, key));
    }

    pub(super) fn remove(&mut self, key: LeaseKey) {
        if let Some(offer) = self.by_key.remove(&key) {
            self.by_address.remove(&offer.address);
            self.by_end.remove(&(offer.until, key));
        }
    }

    /// Takes an address back from whomever it is held for.
    pub(super) fn withdraw(&mut self, address: Ipv4Addr) {
        if let Some(key) = self.by_address.get(&address).copied() {
            self.remove(key);
        }
    }

    pub(super) fn of(&self, key: LeaseKey) -> Option<Ipv4Addr> {
        self.by_key.get(&key).map(|offer| offer.address)
    }

    /// The machine that an address is held for.
    pub(super) fn holder(&self, address: Ipv4Addr) -> Option<Mac> {
        Some(self.by_address.get(&address)?.mac)
    }

    pub(super) fn is_full(&self) -> bool {
        self.by_key.len() >= MAX_OFFERS
    }

    /// The offer to a stranger that ends first, on one network or on any: what a known host may push out.
    pub(super) fn oldest_stranger(&self, network: Option<Ipv4Net>) -> Option<LeaseKey> {
        let on = |key: &LeaseKey| network.is_none_or(|network| key.network == network);
        let stranger = |key: &LeaseKey| self.by_key.get(key).is_some_and(|offer| !offer.known);
        self.by_end.iter().map(|(_, key)| *key).find(|key| on(key) && stranger(key))
    }

    /// When the next offer ends.
    pub(super) fn next_end(&self) -> Option<Mono> {
        self.by_end.first().map(|(until, _)| *until)
    }

    pub(super) fn drop_ended(&mut self, now: Mono) {
        while let Some((until, key)) = self.by_end.first().copied()
            && until <= now
        {
            self.remove(key);
        }
    }
}

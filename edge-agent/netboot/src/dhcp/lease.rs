//! The leases: one per machine and network, one per address, found by either and by their end.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use proto::{
    Mac, Wall,
    ledger::{Lease, LeaseKey},
};

use super::renewal::Told;

/// Leases in memory, as the ledger has them.
#[derive(Debug, Default)]
pub(super) struct Leases {
    by_key: BTreeMap<LeaseKey, Lease>,
    by_address: BTreeMap<Ipv4Addr, LeaseKey>,
    by_end: BTreeSet<(Wall, LeaseKey)>,
    /// What was told of leases since the start; of no other leases.
    told: BTreeMap<LeaseKey, Told>,
}

impl Leases {
    /// Puts a lease in place of what its machine had on the network, and of what its address had. Replaying the
    /// ledger does the same, so what is displaced needs no record of its own.
    pub(super) fn insert(&mut self, lease: Lease) {
        let told = self.told.get(&lease.key).copied().filter(|told| told.address == lease.address);
        self.remove(lease.key);
        if let Some(former) = self.by_address.get(&lease.address).copied() {
            self.remove(former);
        }
        self.by_key.insert(lease.key, lease);
        self.by_address.insert(lease.address, lease.key);
        self.by_end.insert((lease.until, lease.key));
        self.told.extend(told.map(|told| (lease.key, told)));
    }

    /// What was last told of a lease, if anything was since the start.
    pub(super) fn told(&self, key: LeaseKey) -> Option<Told> {
        self.told.get(&key).copied()
    }

    /// A lease that is here was told of.
    pub(super) fn tell(&mut self, key: LeaseKey, told: Told) {
        self.told.insert(key, told);
    }

    pub(super) fn remove(&mut self, key: LeaseKey) -> Option<Lease> {
        let lease = self.by_key.remove(&key)?;
        self.by_address.remove(&lease.address);
        self.by_end.remove(&(lease.until, key));
        self.told.remove(&key);
        Some(lease)
    }

    pub(super) fn of(&self, key: LeaseKey) -> Option<&Lease> {
        self.by_key.get(&key)
    }

    pub(super) fn at(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.by_key.get(self.by_address.get(&address)?)
    }

    /// The machine that holds an address.
    pub(super) fn holder(&self, address: Ipv4Addr) -> Option<Mac> {
        Some(self.by_address.get(&address)?.mac)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.by_key.values()
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// When the next lease ends.
    pub(super) fn next_end(&self) -> Option<Wall> {
        self.by_end.first().map(|(until, _)| *until)
    }

    /// Takes out a lease that has ended.
    pub(super) fn pop_ended(&mut self, now: Wall) -> Option<Lease> {
        let (until, key) = *self.by_end.first()?;
        if until > now { None } else { self.remove(key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(mac: u8, address: u8, until: u64) -> Lease {
        let network = "10.1.0.0/24".parse().expect("a network");
        let key = LeaseKey { mac: Mac([2, 0, 0, 0, 0, mac]), network };
        Lease { key, address: [10, 1, 0, address].into(), until: Wall(until) }
    }

    #[test]
    fn an_address_and_a_machine_have_one_lease() {
        let mut leases = Leases::default();
        leases.insert(lease(1, 10, 5));
        leases.insert(lease(1, 11, 6));
        leases.insert(lease(2, 11, 7));
        assert_eq!(leases.iter().copied().collect::<Vec<_>>(), [lease(2, 11, 7)]);
        assert_eq!(leases.at([10, 1, 0, 10].into()), None);
        assert_eq!(leases.next_end(), Some(Wall(7)));
    }

    #[test]
    fn leases_end_in_time() {
        let mut leases = Leases::default();
        leases.insert(lease(1, 10, 5));
        assert_eq!(leases.pop_ended(Wall(4)), None);
        assert_eq!(leases.pop_ended(Wall(5)), Some(lease(1, 10, 5)));
        assert_eq!((leases.len(), leases.pop_ended(Wall(9))), (0, None));
    }
}

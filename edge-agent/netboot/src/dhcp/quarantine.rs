//! Addresses that somebody else uses: a machine declined them (RFC 2131 §4.3.3, QUIRKS 6), or a probe was answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use proto::{Wall, ledger::Quarantine};

/// How long a declined address is not given to anybody.
pub(super) const QUARANTINE: Duration = Duration::from_secs(86_400);

/// How long a fixed address rests: its host has no other, and whoever can forge its link address could keep it from the
/// network for a day with one packet.
pub(super) const FIXED_REST: Duration = Duration::from_secs(60);

/// How long an address rests that somebody has answered for: whoever is to have it afterwards is asked for anew.
pub(super) const CLAIMED: Duration = Duration::from_secs(3_600);

/// Addresses in quarantine at one time; beyond it the one that would be free first is free at once, so that
/// machines that decline everything cannot empty a pool for ever (S5).
pub(super) const MAX_QUARANTINED: usize = 256;

/// The addresses in quarantine.
#[derive(Debug, Default)]
pub(super) struct Quarantined {
    by_address: BTreeMap<Ipv4Addr, Wall>,
    by_end: BTreeSet<(Wall, Ipv4Addr)>,
}

impl Quarantined {
    pub(super) fn insert(&mut self, Quarantine { address, until }: Quarantine) {
        self.remove(address);
        self.by_address.insert(address, until);
        self.by_end.insert((until, address));
        if self.by_address.len() > MAX_QUARANTINED {
            self.pop_first();
        }
    }

    pub(super) fn remove(&mut self, address: Ipv4Addr) {
        if let Some(until) = self.by_address.remove(&address) {
            self.by_end.remove(&(until, address));
        }
    }

    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        self.by_address.contains_key(&address)
    }

    /// When the address is free again, if it is in quarantine.
    pub(super) fn until(&self, address: Ipv4Addr) -> Option<Wall> {
        self.by_address.get(&address).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Quarantine> {
        self.by_address.iter().map(|(address, until)| Quarantine { address: *address, until: *until })
    }

    /// When the next address is free again.
    pub(super) fn next_end(&self) -> Option<Wall> {
        self.by_end.first().map(|(until, _)| *until)
    }

    pub(super) fn drop_ended(&mut self, now: Wall) {
        while self.next_end().is_some_and(|until| until <= now) {
            self.pop_first();
        }
    }

    fn pop_first(&mut self) {
        if let Some((_, address)) = self.by_end.pop_first() {
            self.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarantine_is_bounded_and_ends() {
        let mut quarantined = Quarantined::default();
        for n in 0..300_u32 {
            quarantined.insert(Quarantine { address: Ipv4Addr::from(n), until: Wall(u64::from(n)) });
        }
        assert_eq!(quarantined.iter().count(), MAX_QUARANTINED);
        assert!(!quarantined.contains(Ipv4Addr::from(43)) && quarantined.contains(Ipv4Addr::from(44)));
        quarantined.drop_ended(Wall(298));
        assert_eq!(quarantined.next_end(), Some(Wall(299)));
    }
}

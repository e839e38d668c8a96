//! Addresses that somebody else uses: a machine declined them (RFC 2131 §4.3.3, QUIRKS 6), or a probe was answered.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

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
pub(super) struct Quarantined(BTreeMap<Ipv4Addr, Wall>);

impl Quarantined {
    pub(super) fn insert(&mut self, quarantine: Quarantine) {
        self.0.insert(quarantine.address, quarantine.until);
        if self.0.len() > MAX_QUARANTINED
            && let Some((first, _)) = self.0.iter().min_by_key(|(_, until)| **until)
        {
            let first = *first;
            self.0.remove(&first);
        }
    }

    pub(super) fn remove(&mut self, address: Ipv4Addr) {
        self.0.remove(&address);
    }

    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        self.0.contains_key(&address)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Quarantine> {
        self.0.iter().map(|(address, until)| Quarantine { address: *address, until: *until })
    }

    /// When the next address is free again.
    pub(super) fn next_end(&self) -> Option<Wall> {
        self.0.values().min().copied()
    }

    pub(super) fn drop_ended(&mut self, now: Wall) {
        self.0.retain(|_, until| *until > now);
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

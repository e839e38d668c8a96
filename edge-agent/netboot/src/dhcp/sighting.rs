//! Beside another server: which machine uses which address, as the machines themselves say it.
//!
//! The leases are not ours then, but a file may still be one machine's alone (S2). Machines broadcast their REQUEST
//! with link address and wanted address, and repeat both at port 4011; the latest word of a known machine counts. It
//! proves as much as a lease does: whoever can send with a machine's link address is that machine to either. A wish is
//! less: a machine that only remembers an address takes it from no other.

use std::{collections::BTreeMap, net::Ipv4Addr};

use proto::{
    Mac,
    ledger::{Record, Sighting},
    plan::{DhcpMode, SitePlan},
};

/// What a machine says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It was offered this one, or uses it (RFC 2131 §4.3.2: SELECTING, RENEWING, REBINDING; port 4011).
    Has,
    /// It remembers it (INIT-REBOOT): the other server may still refuse.
    Wishes,
}

/// One address of each machine, one machine at each address; of known machines alone, and so bounded by the plan.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    by_mac: BTreeMap<Mac, Ipv4Addr>,
    by_address: BTreeMap<Ipv4Addr, Mac>,
}

impl Sightings {
    pub(super) fn insert(&mut self, sighting: Sighting) {
        let Sighting { mac, address } = sighting;
        if let Some(former) = self.by_mac.insert(mac, address) {
            self.by_address.remove(&former);
        }
        if let Some(former) = self.by_address.insert(address, mac).filter(|former| *former != mac) {
            self.by_mac.remove(&former);
        }
    }

    /// The same, and what to persist: nothing where nothing is new, or may not be.
    pub(super) fn note(&mut self, sighting: Sighting, word: Word) -> Option<Record> {
        let held = self.by_address.get(&sighting.address);
        let may = match word {
            Word::Has => held != Some(&sighting.mac),
            Word::Wishes => held.is_none(),
        };
        if !may {
            return None;
        }
        self.insert(sighting);
        Some(Record::Sighting(sighting))
    }

    pub(super) fn machine_at(&self, address: Ipv4Addr) -> Option<Mac> {
        self.by_address.get(&address).copied()
    }

    pub(super) fn of(&self, mac: Mac) -> Option<Ipv4Addr> {
        self.by_mac.get(&mac).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Sighting> {
        self.by_mac.iter().map(|(mac, address)| Sighting { mac: *mac, address: *address })
    }

    /// Where the leases are ours they alone count, and who is no host any more is forgotten.
    pub(super) fn follow(&mut self, plan: &SitePlan) {
        let counts = |mac: Mac| plan.network.dhcp == DhcpMode::Proxy && plan.host_of(mac).is_some();
        self.by_mac.retain(|mac, _| counts(*mac));
        self.by_address.retain(|_, mac| counts(*mac));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(mac: u8, address: u8) -> Sighting {
        Sighting { mac: Mac([2, 0, 0, 0, 0, mac]), address: [10, 1, 0, address].into() }
    }

    #[test]
    fn a_machine_has_one_address_and_an_address_one_machine() {
        let mut sightings = Sightings::default();
        let mut note = |mac, address, word| sightings.note(sighting(mac, address), word).is_some();
        assert!(note(1, 10, Word::Has) && !note(1, 10, Word::Has));
        assert!(note(1, 11, Word::Wishes), "free");
        assert!(!note(2, 11, Word::Wishes), "another's");
        assert_eq!(sightings.machine_at([10, 1, 0, 11].into()), Some(Mac([2, 0, 0, 0, 0, 1])));
        assert_eq!(sightings.machine_at([10, 1, 0, 10].into()), None);
        assert!(sightings.note(sighting(2, 11), Word::Has).is_some());
        assert_eq!(sightings.iter().collect::<Vec<_>>(), [sighting(2, 11)]);
        assert_eq!(sightings.machine_at([10, 1, 0, 11].into()), Some(Mac([2, 0, 0, 0, 0, 2])));
    }
}

//! The leases: one per machine and network, one per address, found by either and by their end.
//!
//! Each stands once, in a slot; the indices hold numbers of slots. What an exchange costs does not follow from how many
//! leases there are: an address is found by its place in a page, an unleased one without looking at each that is leased.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::Ipv4Addr,
    ops::Bound,
};

use ipnet::Ipv4Net;
use proto::{
    Mac, Wall,
    ledger::{Lease, LeaseKey},
};

use super::{pages::Pages, renewal::Told};

/// Leases in memory, as the ledger has them.
#[derive(Debug, Default)]
pub(super) struct Leases {
    slots: Vec<Option<Slot>>,
    vacant: Vec<u32>,
    by_machine: BTreeMap<Machine, u32>,
    by_address: Pages,
    by_end: BTreeSet<(Wall, u32)>,
    /// Networks by the numbers that stand for them in [`Machine`]; never more than there were in plans.
    networks: Vec<Ipv4Net>,
    former: Former,
}

/// Leases that ended, for machines that come back (RFC 2131 §4.3.1). In memory alone and bounded.
#[derive(Debug, Default)]
struct Former {
    by_machine: BTreeMap<Mac, Ipv4Addr>,
    order: VecDeque<Mac>,
}

/// Machines whose last address is remembered; who left first gives way.
const MAX_FORMER: usize = 4_096;

impl Former {
    fn insert(&mut self, mac: Mac, address: Ipv4Addr) {
        if self.by_machine.insert(mac, address).is_some() {
            return;
        }
        self.order.push_back(mac);
        if self.order.len() > MAX_FORMER
            && let Some(first) = self.order.pop_front()
        {
            self.by_machine.remove(&first);
        }
    }
}

#[derive(Debug)]
struct Slot {
    lease: Lease,
    /// What was told of it since the start.
    told: Option<Told>,
}

/// A machine's link address, and the number of a network: quicker to compare than a [`LeaseKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Machine(u64);

/// How far a snapshot that is taken in pieces has come: a machine and a network, by a number that it keeps as long as the
/// engine runs. So it leads on whatever happens to leases between two pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(Machine);

impl Machine {
    fn new(mac: Mac, network: u16) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        let [high, low] = network.to_be_bytes();
        Self(u64::from_be_bytes([a, b, c, d, e, f, high, low]))
    }
}

impl Leases {
    /// Puts a lease in place of what its machine had on the network, and of what its address had. Replaying the
    /// ledger does the same, so what is displaced needs no record of its own.
    pub(super) fn insert(&mut self, lease: Lease) {
        let number = self.number_of(lease.key.network);
        let machine = Machine::new(lease.key.mac, number);
        let at_address = self.by_address.get(lease.address);
        let own = self.by_machine.get(&machine).copied();
        if let Some(index) = own.filter(|own| at_address == Some(*own)) {
            return self.renew(index, lease.until);
        }
        for displaced in [own, at_address].into_iter().flatten() {
            self.take(displaced);
        }
        let index = self.settle(Slot { lease, told: None });
        self.by_machine.insert(machine, index);
        self.by_address.set(lease.address, index);
        self.by_end.insert((lease.until, index));
    }

    fn renew(&mut self, index: u32, until: Wall) {
        let Some(slot) = self.slots.get_mut(index as usize).and_then(Option::as_mut) else { return };
        self.by_end.remove(&(slot.lease.until, index));
        slot.lease.until = until;
        self.by_end.insert((until, index));
    }

    fn settle(&mut self, slot: Slot) -> u32 {
        match self.vacant.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(slot);
                index
            }
            None => {
                self.slots.push(Some(slot));
                u32::try_from(self.slots.len() - 1).expect("far fewer than 2³² leases")
            }
        }
    }

    fn take(&mut self, index: u32) -> Option<Lease> {
        let Slot { lease, .. } = self.slots.get_mut(index as usize)?.take()?;
        self.former.insert(lease.key.mac, lease.address);
        self.vacant.push(index);
        if let Some(machine) = self.machine(lease.key) {
            self.by_machine.remove(&machine);
        }
        self.by_address.clear(lease.address);
        self.by_end.remove(&(lease.until, index));
        Some(lease)
    }

    /// What was last told of a lease, if anything was since the start.
    pub(super) fn told(&self, key: LeaseKey) -> Option<Told> {
        self.slot(self.index_of(key)?)?.told
    }

    /// A lease that is here was told of.
    pub(super) fn tell(&mut self, key: LeaseKey, told: Told) {
        let index = self.index_of(key).map(|index| index as usize);
        if let Some(Some(slot)) = index.and_then(|index| self.slots.get_mut(index)) {
            slot.told = Some(told);
        }
    }

    pub(super) fn remove(&mut self, key: LeaseKey) -> Option<Lease> {
        self.take(self.index_of(key)?)
    }

    pub(super) fn of(&self, key: LeaseKey) -> Option<&Lease> {
        Some(&self.slot(self.index_of(key)?)?.lease)
    }

    /// The leases of a machine on all networks.
    pub(super) fn of_machine(&self, mac: Mac) -> impl Iterator<Item = &Lease> {
        let all = Machine::new(mac, 0)..=Machine::new(mac, u16::MAX);
        self.by_machine.range(all).filter_map(|(_, index)| Some(&self.slot(*index)?.lease))
    }

    /// The address that a machine had last, if it has left of late.
    pub(super) fn former(&self, mac: Mac) -> Option<Ipv4Addr> {
        self.former.by_machine.get(&mac).copied()
    }

    pub(super) fn at(&self, address: Ipv4Addr) -> Option<&Lease> {
        Some(&self.slot(self.by_address.get(address)?)?.lease)
    }

    /// The machine that holds an address.
    pub(super) fn holder(&self, address: Ipv4Addr) -> Option<Mac> {
        Some(self.at(address)?.key.mac)
    }

    /// The first address from `first` to `last`, both included, that nobody holds.
    pub(super) fn first_unleased(&self, first: Ipv4Addr, last: Ipv4Addr) -> Option<Ipv4Addr> {
        self.by_address.first_vacant(first, last)
    }

    /// How many addresses from `first` to `last`, both included, are leased.
    pub(super) fn count(&self, first: Ipv4Addr, last: Ipv4Addr) -> u64 {
        self.by_address.count(first, last)
    }

    /// By machine.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.by_machine.values().filter_map(|index| Some(&self.slot(*index)?.lease))
    }

    /// Hands out up to `count` leases behind a place, by machine; None: there are no more.
    pub(super) fn piece(
        &self,
        behind: Option<Place>,
        count: usize,
        mut take: impl FnMut(&Lease),
    ) -> Option<Place> {
        let from = behind.map_or(Bound::Unbounded, |Place(machine)| Bound::Excluded(machine));
        let mut rest = self.by_machine.range((from, Bound::Unbounded));
        let mut last = None;
        for (machine, index) in rest.by_ref().take(count) {
            self.slot(*index).iter().for_each(|slot| take(&slot.lease));
            last = Some(Place(*machine));
        }
        last.filter(|_| rest.next().is_some())
    }

    pub(super) fn len(&self) -> usize {
        self.by_machine.len()
    }

    /// When the next lease ends.
    pub(super) fn next_end(&self) -> Option<Wall> {
        self.by_end.first().map(|(until, _)| *until)
    }

    /// Takes out a lease that has ended.
    pub(super) fn pop_ended(&mut self, now: Wall) -> Option<Lease> {
        let (until, index) = *self.by_end.first()?;
        if until > now { None } else { self.take(index) }
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)?.as_ref()
    }

    fn index_of(&self, key: LeaseKey) -> Option<u32> {
        self.by_machine.get(&self.machine(key)?).copied()
    }

    fn machine(&self, key: LeaseKey) -> Option<Machine> {
        let number = self.networks.iter().position(|network| *network == key.network)?;
        Some(Machine::new(key.mac, u16::try_from(number).unwrap_or(u16::MAX)))
    }

    /// Of more networks than 16 bits can number the last one stands for all further ones, which no site comes near.
    fn number_of(&mut self, network: Ipv4Net) -> u16 {
        let number = self.networks.iter().position(|known| *known == network).unwrap_or_else(|| {
            self.networks.push(network);
            self.networks.len() - 1
        });
        u16::try_from(number).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn what_was_told_stays_with_the_address() {
        let mut leases = Leases::default();
        leases.insert(lease(1, 10, 5));
        let told = Told::of(&lease(1, 10, 5), Wall(1));
        leases.tell(lease(1, 10, 5).key, told);
        leases.insert(lease(1, 10, 6));
        assert_eq!(leases.told(lease(1, 10, 5).key), Some(told));
        leases.insert(lease(1, 11, 6));
        assert_eq!(leases.told(lease(1, 10, 5).key), None);
    }

    /// The same by looking at every lease.
    #[derive(Default)]
    struct Plain(Vec<Lease>);

    impl Plain {
        fn insert(&mut self, lease: Lease) {
            self.0.retain(|other| other.key != lease.key && other.address != lease.address);
            self.0.push(lease);
        }

        fn pop_ended(&mut self, now: Wall) {
            self.0.retain(|lease| lease.until > now);
        }
    }

    /// One step of a ledger's life: what changes in memory, and the record that says so.
    fn change(leases: &mut Leases, log: &mut Vec<Result<Lease, LeaseKey>>, what: u8, lease: Lease) {
        match what {
            0 | 1 => {
                leases.insert(lease);
                log.push(Ok(lease));
            }
            2 => {
                leases.remove(lease.key);
                log.push(Err(lease.key));
            }
            _ => {
                let now = Wall(lease.until.0 / 4);
                while let Some(ended) = leases.pop_ended(now) {
                    log.push(Err(ended.key));
                }
            }
        }
    }

    fn all(leases: &Leases) -> Vec<Lease> {
        leases.iter().copied().collect()
    }

    proptest! {
        /// Leases that are written down in pieces, each as of its own moment, and behind them everything that was recorded
        /// since the first: whatever a piece has of that already, together they are what the engine has in the end.
        #[test]
        fn pieces_and_what_was_recorded_since_are_the_whole(
            before in proptest::collection::vec((0..4_u8, 0..3_u8, 0..9_u8, 0..9_u8, 1..50_u64), 0..40),
            since in proptest::collection::vec((0..6_u8, 0..3_u8, 0..9_u8, 0..9_u8, 1..50_u64), 0..60),
            size in 1..4_usize,
        ) {
            let lease = |network, mac, address, until| {
                let mut lease = lease(mac, address, until);
                lease.key.network = format!("10.{network}.0.0/24").parse().expect("a network");
                lease
            };
            let (mut leases, mut log) = (Leases::default(), Vec::new());
            for (what, network, mac, address, until) in before {
                change(&mut leases, &mut log, what, lease(network, mac, address, until));
            }
            log.clear();
            let (mut pieces, mut place, mut done) = (Vec::new(), None, false);
            let mut take = |leases: &Leases| {
                if !done {
                    place = leases.piece(place, size, |lease| pieces.push(*lease));
                    done = place.is_none();
                }
                done
            };
            for (what, network, mac, address, until) in since {
                match what {
                    4.. => drop(take(&leases)),
                    _ => change(&mut leases, &mut log, what, lease(network, mac, address, until)),
                }
            }
            while !take(&leases) {}
            let mut restored = Leases::default();
            pieces.into_iter().for_each(|lease| restored.insert(lease));
            for record in log {
                match record {
                    Ok(lease) => restored.insert(lease),
                    Err(key) => drop(restored.remove(key)),
                }
            }
            let sorted = |leases: &Leases| {
                let mut all = all(leases);
                all.sort_by_key(|lease| (lease.key, lease.address));
                all
            };
            prop_assert_eq!(sorted(&restored), sorted(&leases));
        }

        #[test]
        fn as_if_each_was_looked_at(
            steps in proptest::collection::vec((0..3_u8, 0..2_u8, 0..6_u8, 0..8_u8, 1..50_u64), 0..60)
        ) {
            let (mut leases, mut plain) = (Leases::default(), Plain::default());
            for (what, network, mac, address, until) in steps {
                let network = format!("10.{network}.0.0/24").parse().expect("a network");
                let mut lease = lease(mac, address, until);
                lease.key.network = network;
                match what {
                    0 => {
                        leases.insert(lease);
                        plain.insert(lease);
                    }
                    1 => {
                        leases.remove(lease.key);
                        plain.0.retain(|other| other.key != lease.key);
                    }
                    _ => {
                        while leases.pop_ended(Wall(until / 4)).is_some() {}
                        plain.pop_ended(Wall(until / 4));
                    }
                }
                let by_address = |lease: &Lease| lease.address;
                let mut found: Vec<_> = leases.iter().copied().collect();
                found.sort_by_key(by_address);
                plain.0.sort_by_key(by_address);
                prop_assert_eq!(&found, &plain.0);
                prop_assert_eq!(leases.next_end(), plain.0.iter().map(|lease| lease.until).min());
                let (first, last) = (Ipv4Addr::from([10, 1, 0, 2]), Ipv4Addr::from([10, 1, 0, 6]));
                let taken = |address: u32| plain.0.iter().any(|lease| lease.address.to_bits() == address);
                let unleased = (first.to_bits()..=last.to_bits()).find(|address| !taken(*address));
                prop_assert_eq!(leases.first_unleased(first, last).map(Ipv4Addr::to_bits), unleased);
                for lease in &plain.0 {
                    prop_assert_eq!(leases.of(lease.key), Some(lease));
                    prop_assert_eq!(leases.at(lease.address), Some(lease));
                    prop_assert!(leases.of_machine(lease.key.mac).any(|other| other == lease));
                }
            }
        }
    }
}

//! The agent's ledger after a kill, and whether it agrees with itself, with what it said before, and with what the
//! machines saw.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

use edge_agent::disk::log::{Ledger, Options};
use proto::event::{EventKind, NumberedEvent, OrderPhase};
use proto::ledger::{LeaseKey, Record};
use proto::{AttemptId, Incarnation, OrderId};

use super::plan::Stand;
use super::witness::Seen;

/// What lay on the disk when the agent was killed.
#[derive(Debug, Clone)]
pub struct Found {
    /// Of the journal.
    pub incarnation: Incarnation,
    /// All of them, oldest first.
    pub records: Vec<Record>,
}

/// Reads the ledger in the state folder of an agent that does not run. Works on a copy: opening cuts off a torn tail,
/// and that is the agent's to do.
///
/// # Errors
/// When it cannot be read: whatever a kill leaves must be readable.
pub fn read(state: &Path) -> anyhow::Result<Found> {
    let copy = tempfile::tempdir()?;
    for entry in std::fs::read_dir(state.join("ledger"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
    }
    let mut records = Vec::new();
    let mut visit = |record: edge_agent::disk::log::Record<'_>| {
        records.push(Record::decode(record.body)?);
        Ok(())
    };
    let (ledger, opened) = Ledger::open(copy.path(), Options::new(Incarnation([0; 16])), &mut visit)?;
    anyhow::ensure!(!opened.created, "the agent has no ledger");
    let incarnation = ledger.incarnation();
    Ok(Found { incarnation, records })
}

impl Found {
    /// Every event, by its number.
    ///
    /// # Errors
    /// When a number stands for two events.
    pub fn events(&self) -> Result<BTreeMap<u64, NumberedEvent>, String> {
        let mut events = BTreeMap::new();
        for record in &self.records {
            let Record::Event(event) = record else { continue };
            let former = events.insert(event.number, event.clone());
            if let Some(former) = former.filter(|former| former != event) {
                return Err(format!("event {} is two events: {former:?} and {event:?}", event.number));
            }
        }
        Ok(events)
    }

    /// The highest number that the controller was known to hold.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        let number =
            |record: &Record| if let Record::Acknowledged(number) = record { Some(*number) } else { None };
        let numbers = self.records.iter().filter_map(number);
        numbers.max().unwrap_or(0)
    }

    /// Everything that is wrong with it, alone and beside what machines saw and what it held before; empty: nothing.
    #[must_use]
    pub fn faults(&self, before: Option<&Self>, seen: &Seen, machines: &[Stand]) -> Vec<String> {
        let mut faults = Vec::new();
        self.judge_events(before, &mut faults);
        self.judge_leases(seen, &mut faults);
        self.judge_orders(seen, machines, &mut faults);
        faults
    }

    /// Numbers run from 1 without a hole, and what was once on disk stays what it was.
    fn judge_events(&self, before: Option<&Self>, faults: &mut Vec<String>) {
        let events = match self.events() {
            Ok(events) => events,
            Err(fault) => return faults.push(fault),
        };
        let first = events.keys().next().copied().unwrap_or(1);
        for (expected, number) in (first..).zip(events.keys()) {
            if expected != *number {
                return faults.push(format!("event {expected} is missing, {number} is there"));
            }
        }
        let Some(before) = before else { return };
        if before.incarnation != self.incarnation {
            faults.push("the journal has another incarnation than before".into());
        }
        for (number, event) in before.events().unwrap_or_default() {
            match events.get(&number) {
                Some(same) if *same == event => {}
                None if number <= self.acknowledged() => {}
                other => faults.push(format!("event {number} was {event:?} and is {other:?}")),
            }
        }
    }

    /// At no time do two machines hold one address, here or by what they were told; who was told holds a lease.
    fn judge_leases(&self, seen: &Seen, faults: &mut Vec<String>) {
        let mut holders: BTreeMap<Ipv4Addr, LeaseKey> = BTreeMap::new();
        let mut ever = BTreeSet::new();
        for record in &self.records {
            if let Record::Lease(lease) = record {
                ever.insert((lease.key.mac, lease.address));
                let former = holders.insert(lease.address, lease.key);
                if let Some(former) = former.filter(|former| *former != lease.key) {
                    let (address, key) = (lease.address, lease.key);
                    faults.push(format!("{address} is leased to {former:?} and to {key:?}"));
                }
            } else if let Record::LeaseRemoved(key) = record {
                holders.retain(|_, holder| holder != key);
            }
        }
        // A snapshot has each machine's latest lease alone.
        let latest: BTreeMap<_, _> = seen.given.iter().map(|given| (given.mac, given)).collect();
        for given in latest.into_values().filter(|given| !ever.contains(&(given.mac, given.address))) {
            faults.push(format!("{given:?} was acknowledged and is not on disk"));
        }
        for given in &seen.given {
            let clash = |other: &&super::witness::Given| {
                other.address == given.address
                    && other.mac != given.mac
                    && other.from < given.until
                    && given.from < other.until
            };
            if let Some(other) = seen.given.iter().find(clash) {
                faults.push(format!("one address was given twice: {given:?} and {other:?}"));
            }
        }
    }

    /// An order starts under one attempt, its files go out under one token, and the last word of an installer stays.
    fn judge_orders(&self, seen: &Seen, machines: &[Stand], faults: &mut Vec<String>) {
        let mut started: BTreeMap<OrderId, BTreeSet<AttemptId>> = BTreeMap::new();
        for record in &self.records {
            if let Record::Order(state) = record
                && state.started.is_some()
            {
                started.entry(state.order).or_default().extend(state.attempt);
            }
        }
        for (order, attempts) in started.iter().filter(|(_, attempts)| attempts.len() > 1) {
            faults.push(format!("order {order} was started under {attempts:?}"));
        }
        for (mac, tokens) in seen.obeyed.iter().filter(|(_, tokens)| tokens.len() > 1) {
            faults.push(format!("{mac} got an installer under {} tokens", tokens.len()));
        }
        for machine in machines {
            let mac = machine.identity.mac;
            if seen.obeyed.contains_key(&mac) && !started.contains_key(&machine.order()) {
                faults.push(format!("{mac} got an installer, and its order has not started"));
            }
            if seen.installed.contains(&mac) && !self.has_installed(machine.order()) {
                faults.push(format!("{mac} was told that its last word is kept, and it is not"));
            }
        }
    }

    /// By its state, and by its event, if that is not among those that a snapshot has left to the controller.
    fn has_installed(&self, wanted: OrderId) -> bool {
        let state = |record: &Record| matches!(record, Record::Order(state) if state.order == wanted && state.phase == OrderPhase::Installed);
        let moved = |kind: &EventKind| matches!(kind, EventKind::OrderMoved { order, phase: OrderPhase::Installed, .. } if *order == wanted);
        let event =
            |record: &Record| matches!(record, Record::Event(numbered) if moved(&numbered.event.kind));
        let first = self.records.iter().find_map(|record| {
            let Record::Event(numbered) = record else { return None };
            Some(numbered.number)
        });
        let handed_on = first.is_none_or(|first| first > 1) && self.acknowledged() > 0;
        self.records.iter().any(state) && (handed_on || self.records.iter().any(event))
    }
}

#[cfg(test)]
mod tests {
    use proto::event::Event;
    use proto::ledger::{Lease, OrderState};
    use proto::{Mac, Wall};

    use super::super::witness::Given;
    use super::*;

    fn event(number: u64, at: u64) -> Record {
        let kind = EventKind::OsUp { address: None };
        Record::Event(NumberedEvent {
            number,
            event: Event { at: Wall(at), attempt: None, host: None, mac: None, kind },
        })
    }

    fn lease(machine: Stand) -> Record {
        let network = "10.77.0.0/16".parse().expect("a network");
        let key = LeaseKey { mac: machine.identity.mac, network };
        Record::Lease(Lease { key, address: [10, 77, 128, 1].into(), until: Wall(9) })
    }

    fn started(machine: Stand, attempt: u8) -> Record {
        Record::Order(OrderState {
            order: machine.order(),
            host: machine.host(),
            number: 1,
            phase: OrderPhase::Started,
            attempts: 1,
            attempt: Some(AttemptId([attempt; 16])),
            token: None,
            started: Some(Wall(1)),
            not_after: Wall(9),
        })
    }

    fn given(mac: Mac) -> Given {
        Given { mac, address: [10, 77, 128, 1].into(), from: Wall(1), until: Wall(9) }
    }

    fn found(records: Vec<Record>) -> Found {
        Found { incarnation: Incarnation([1; 16]), records }
    }

    fn count(found: &Found, before: Option<&Found>, seen: &Seen) -> usize {
        found.faults(before, seen, &[Stand::new(0), Stand::new(1)]).len()
    }

    #[test]
    fn what_is_right_has_no_faults() {
        let (one, before) = (Stand::new(0), found(vec![event(1, 1)]));
        let right = found(vec![event(1, 1), event(2, 2), lease(one), started(one, 1)]);
        let mut seen = Seen { given: vec![given(one.identity.mac)], ..Seen::default() };
        seen.obeyed.entry(one.identity.mac).or_default().insert("token".into());
        assert_eq!(count(&right, Some(&before), &seen), 0);
    }

    #[test]
    fn a_snapshot_has_what_counts() {
        let (one, nothing) = (Stand::new(0), Seen::default());
        let mut seen = Seen::default();
        let former = Given { address: [10, 77, 128, 9].into(), ..given(one.identity.mac) };
        seen.given.extend([former, given(one.identity.mac)]);
        assert_eq!(count(&found(vec![lease(one)]), None, &seen), 0, "its former address is over");
        seen.given.reverse();
        assert_eq!(count(&found(vec![lease(one)]), None, &seen), 1, "its latest is not there");
        let before = found(vec![event(1, 1), event(2, 2)]);
        let snapshot = |acknowledged| found(vec![Record::Acknowledged(acknowledged), event(3, 3)]);
        assert_eq!(count(&snapshot(2), Some(&before), &nothing), 0, "the controller has them");
        assert_eq!(count(&snapshot(1), Some(&before), &nothing), 1, "one is lost");
    }

    #[test]
    fn every_fault_is_found() {
        let (one, two, seen) = (Stand::new(0), Stand::new(1), Seen::default());
        let before = found(vec![event(1, 1), event(2, 2)]);
        let alone = |records| count(&found(records), None, &seen);
        assert_eq!(alone(vec![event(1, 1), event(3, 3)]), 1, "a hole");
        assert_eq!(alone(vec![event(1, 1), event(1, 2)]), 1, "a number twice");
        assert_eq!(count(&found(vec![event(1, 1)]), Some(&before), &seen), 1, "an event lost");
        assert_eq!(count(&found(vec![event(1, 1), event(2, 9)]), Some(&before), &seen), 1, "another event");
        assert_eq!(alone(vec![lease(one), lease(two)]), 1, "an address leased twice");
        assert_eq!(alone(vec![started(one, 1), started(one, 2)]), 1, "an order started twice");
    }

    #[test]
    fn what_machines_saw_counts() {
        let (one, two) = (Stand::new(0).identity.mac, Stand::new(1).identity.mac);
        let nothing = found(vec![]);
        let seen = |change: &dyn Fn(&mut Seen)| {
            let mut seen = Seen::default();
            change(&mut seen);
            count(&nothing, None, &seen)
        };
        assert_eq!(seen(&|seen| seen.given.push(given(one))), 1, "an ACK without a lease");
        let twice = |seen: &mut Seen| seen.given.extend([given(one), given(two)]);
        assert_eq!(seen(&twice), 4, "two ACKs without leases that clash with each other");
        let obeyed = |seen: &mut Seen| {
            seen.obeyed.entry(one).or_default().extend(["a".to_owned(), "b".to_owned()]);
        };
        assert_eq!(seen(&obeyed), 2, "an installer by two tokens, and no order that started");
        let installed = |seen: &mut Seen| {
            seen.installed.insert(one);
        };
        assert_eq!(seen(&installed), 1, "a last word that is not on disk");
    }
}

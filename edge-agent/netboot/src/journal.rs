//! The event journal: numbers events, keeps them until the controller has them, bounds itself.
//!
//! Pure: the records that it hands out are put on disk by the shell. Order and lease events never give way; when the
//! journal is full the oldest diagnostics give way to a gap that says which numbers are missing (DESIGN §5). Of the
//! renewals of one address only the newest waits: five hundred leases make more of them in a week than there is room for.

use std::{collections::BTreeMap, net::Ipv4Addr};

use proto::{
    Wall,
    event::{Event, EventKind, NumberedEvent},
    ledger::{JournalRecord, Part, Record},
};

/// Events that the controller does not hold yet.
#[derive(Debug)]
pub struct Journal {
    waiting: BTreeMap<u64, Event>,
    /// Of those, how many may give way.
    diagnostics: usize,
    /// And the newest renewal of each address.
    renewals: BTreeMap<Ipv4Addr, u64>,
    next: u64,
    acknowledged: u64,
    limit: usize,
}

impl Journal {
    /// An empty journal that keeps at most `limit` diagnostics.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let (waiting, renewals) = (BTreeMap::new(), BTreeMap::new());
        Self { waiting, diagnostics: 0, renewals, next: 1, acknowledged: 0, limit: limit.max(1) }
    }

    /// Takes an event in; the records are to be put on disk in this order.
    pub fn push(&mut self, event: Event) -> Vec<Record> {
        let former = renewed(&event.kind).and_then(|address| self.renewals.get(&address).copied());
        let numbered = NumberedEvent { number: self.next, event };
        self.restore_event(numbered.clone());
        let mut records = vec![Record::Event(numbered)];
        records.extend(former.and_then(|former| self.leave_out(former)).map(Record::Event));
        while self.diagnostics > self.limit {
            let Some(gap) = self.give_way() else { break };
            records.push(Record::Event(gap));
        }
        records
    }

    /// The controller holds everything up to `number`. None when that is nothing new.
    pub fn acknowledge(&mut self, number: u64) -> Option<Record> {
        if number <= self.acknowledged || number >= self.next {
            return None;
        }
        self.restore_acknowledged(number);
        Some(Record::Acknowledged(number))
    }

    /// Waiting events after `number`, in order; of a gap that reaches beyond it, what does.
    pub fn after(&self, number: u64) -> impl Iterator<Item = NumberedEvent> + '_ {
        let reaching =
            self.waiting.range(..=number).next_back().and_then(|(_, event)| gap_beyond(number, event));
        let events = self.waiting.range(number.saturating_add(1)..);
        let events = events.map(|(number, event)| NumberedEvent { number: *number, event: event.clone() });
        reaching.into_iter().chain(events)
    }

    /// The highest number that the controller is known to hold.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The number of the last event; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.next - 1
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many of them up to `number`.
    #[must_use]
    pub fn len_until(&self, number: u64) -> usize {
        self.waiting.len() - self.waiting.range(number.saturating_add(1)..).count()
    }

    /// Does none wait?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Replays a record of the ledger; those of other kinds are not the journal's.
    pub fn restore(&mut self, record: &Record) {
        let Part::Journal(record) = record.part() else { return };
        match record {
            JournalRecord::Event(numbered) => self.restore_event(numbered.clone()),
            JournalRecord::Acknowledged(number) => self.restore_acknowledged(number),
            JournalRecord::NextNumber(number) => self.next = self.next.max(number),
        }
    }

    /// The records that make this journal again.
    pub fn snapshot(&self) -> impl Iterator<Item = Record> + '_ {
        let head = [Record::NextNumber(self.next), Record::Acknowledged(self.acknowledged)];
        head.into_iter().chain(self.after(0).map(Record::Event))
    }

    fn restore_event(&mut self, numbered: NumberedEvent) {
        let NumberedEvent { number, event } = numbered;
        self.next = self.next.max(number.saturating_add(1));
        if number <= self.acknowledged {
            return;
        }
        if let EventKind::Gap { first, last } = event.kind {
            let gone: Vec<_> =
                self.waiting.range(first..=last.max(first)).map(|(number, _)| *number).collect();
            gone.into_iter().for_each(|number| self.forget(number));
        }
        self.forget(number);
        self.diagnostics += usize::from(!event.kind.never_dropped());
        self.renewals.extend(renewed(&event.kind).map(|address| (address, number)));
        self.waiting.insert(number, event);
    }

    fn restore_acknowledged(&mut self, number: u64) {
        self.acknowledged = self.acknowledged.max(number);
        self.next = self.next.max(number.saturating_add(1));
        while let Some((&first, event)) =
            self.waiting.first_key_value().filter(|(first, _)| **first <= number)
        {
            let (kind, at) = (event.kind.clone(), event.at);
            self.forget(first);
            if let EventKind::Gap { last, .. } = kind {
                self.restore_gap(first, last, at);
            }
        }
    }

    /// What of a gap is not acknowledged: the controller may hold the events that began it.
    fn restore_gap(&mut self, first: u64, last: u64, at: Wall) {
        let first = first.max(self.acknowledged.saturating_add(1));
        self.next = self.next.max(last.saturating_add(1));
        if first > last {
            return;
        }
        let gone: Vec<_> = self.waiting.range(first..=last).map(|(number, _)| *number).collect();
        gone.into_iter().for_each(|number| self.forget(number));
        let NumberedEvent { number, event } = gap(first, last, at);
        self.waiting.insert(number, event);
    }

    fn forget(&mut self, number: u64) {
        let Some(event) = self.waiting.remove(&number) else { return };
        self.diagnostics -= usize::from(!event.kind.never_dropped());
        if let Some(address) = renewed(&event.kind).filter(|address| self.renewals[address] == number) {
            self.renewals.remove(&address);
        }
    }

    /// The oldest diagnostics become a gap.
    fn give_way(&mut self) -> Option<NumberedEvent> {
        let (&oldest, _) = self.waiting.iter().find(|(_, event)| !event.kind.never_dropped())?;
        self.leave_out(oldest)
    }

    /// One that waits becomes a gap, together with the gaps beside it: there are never more of them than of other events,
    /// and one.
    fn leave_out(&mut self, number: u64) -> Option<NumberedEvent> {
        let at = self.waiting.get(&number)?.at;
        let (first, at) = self.gap_that_ends_before(number).unwrap_or((number, at));
        let last = self.gap_that_begins_after(number).unwrap_or(number);
        let gap = gap(first, last, at);
        self.restore_event(gap.clone());
        Some(gap)
    }

    fn gap_that_ends_before(&self, number: u64) -> Option<(u64, Wall)> {
        let (_, event) = self.waiting.range(..number).next_back()?;
        let EventKind::Gap { first, last } = event.kind else { return None };
        (last.checked_add(1) == Some(number)).then_some((first, event.at))
    }

    fn gap_that_begins_after(&self, number: u64) -> Option<u64> {
        let EventKind::Gap { last, .. } = self.waiting.get(&number.checked_add(1)?)?.kind else {
            return None;
        };
        Some(last)
    }
}

/// The address whose lease goes on, if that is what is told.
fn renewed(kind: &EventKind) -> Option<Ipv4Addr> {
    if let EventKind::LeaseRenewed { address, .. } = kind { Some(*address) } else { None }
}

fn gap_beyond(number: u64, event: &Event) -> Option<NumberedEvent> {
    let EventKind::Gap { last, .. } = event.kind else { return None };
    (last > number).then(|| gap(number + 1, last, event.at))
}

fn gap(first: u64, last: u64, at: Wall) -> NumberedEvent {
    let event = Event { at, attempt: None, host: None, mac: None, kind: EventKind::Gap { first, last } };
    NumberedEvent { number: first, event }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::{OrderId, event::OrderPhase};

    use super::*;

    fn event(kind: EventKind) -> Event {
        Event { at: Wall(1), attempt: None, host: None, mac: None, kind }
    }

    fn diagnostic() -> Event {
        event(EventKind::OsUp { address: None })
    }

    fn order() -> Event {
        let reason = String::new();
        event(EventKind::OrderMoved {
            order: OrderId([1; 16]),
            number: 1,
            phase: OrderPhase::Started,
            reason,
        })
    }

    fn renewal(host: u16, at: u64) -> Event {
        let [high, low] = host.to_be_bytes();
        let kind = EventKind::LeaseRenewed { address: [10, 1, high, low].into(), until: Wall(at) };
        Event { at: Wall(at), ..event(kind) }
    }

    fn numbers(journal: &Journal) -> Vec<u64> {
        journal.after(0).map(|numbered| numbered.number).collect()
    }

    #[test]
    fn an_acknowledged_event_is_forgotten_and_its_number_never_used_again() {
        let mut journal = Journal::new(10);
        (0..3).for_each(|_| drop(journal.push(diagnostic())));
        assert_eq!(journal.acknowledge(2), Some(Record::Acknowledged(2)));
        assert_eq!(journal.acknowledge(2), None);
        assert_eq!(journal.acknowledge(99), None, "nothing with that number was ever made");
        journal.push(diagnostic());
        assert_eq!(numbers(&journal), [3, 4]);
    }

    #[test]
    fn diagnostics_give_way_to_one_gap_and_orders_stay() {
        let mut journal = Journal::new(2);
        for event in [diagnostic(), diagnostic(), order(), diagnostic(), diagnostic(), diagnostic()] {
            journal.push(event);
        }
        let kinds: Vec<_> = journal.after(0).map(|numbered| (numbered.number, numbered.event.kind)).collect();
        assert_eq!(kinds[0], (1, EventKind::Gap { first: 1, last: 2 }));
        assert_eq!(kinds[1], (3, order().kind));
        assert_eq!(kinds[2], (4, EventKind::Gap { first: 4, last: 4 }));
        assert_eq!(numbers(&journal), [1, 3, 4, 5, 6]);
    }

    #[test]
    fn a_gap_that_grew_since_it_was_sent_is_sent_again() {
        let mut journal = Journal::new(1);
        (0..4).for_each(|_| drop(journal.push(diagnostic())));
        let after: Vec<_> = journal.after(2).map(|numbered| (numbered.number, numbered.event.kind)).collect();
        assert_eq!(after[0], (3, EventKind::Gap { first: 3, last: 3 }));
        assert_eq!(after[1].0, 4);
    }

    #[test]
    fn the_newest_renewal_takes_the_place_of_the_one_before() {
        let mut journal = Journal::new(10);
        for event in [renewal(1, 1), renewal(2, 1), diagnostic(), renewal(1, 2), renewal(2, 2)] {
            journal.push(event);
        }
        let kinds: Vec<_> = journal.after(0).map(|numbered| (numbered.number, numbered.event.kind)).collect();
        assert_eq!(kinds[0], (1, EventKind::Gap { first: 1, last: 2 }));
        assert_eq!(kinds[1..], [(3, diagnostic().kind), (4, renewal(1, 2).kind), (5, renewal(2, 2).kind)]);
        journal.acknowledge(4);
        journal.push(renewal(1, 3));
        assert_eq!(numbers(&journal), [5, 6], "what the controller holds is no gap");
    }

    /// DESIGN §5: at the default limit a site of five hundred hosts, whose leases of an hour are renewed all the time and
    /// which boot once a day, loses nothing of their boots in a week without a controller.
    #[test]
    fn a_week_of_renewals_pushes_no_boot_out() {
        const BOOT: u64 = 15;
        let mut journal = Journal::new(70_000);
        let mut booted = 0;
        for hour in 1..=7 * 24 {
            for host in 0..500 {
                journal.push(renewal(host, hour));
                if u64::from(host) % 24 == hour % 24 {
                    (0..BOOT).for_each(|_| drop(journal.push(diagnostic())));
                    booted += BOOT;
                }
            }
        }
        let count = |wanted: &dyn Fn(&EventKind) -> bool| {
            journal.after(0).filter(|numbered| wanted(&numbered.event.kind)).count() as u64
        };
        let last = |kind: &EventKind| matches!(kind, EventKind::LeaseRenewed { until: Wall(168), .. });
        let boots = count(&|kind| matches!(kind, EventKind::OsUp { .. }));
        let gaps = count(&|kind| matches!(kind, EventKind::Gap { .. }));
        let renewals = count(&|kind| renewed(kind).is_some());
        assert_eq!((boots, booted), (booted, 500 * 7 * BOOT));
        assert_eq!((renewals, count(&last)), (500, 500));
        assert!(gaps <= 500 * 7 + 1, "{gaps} gaps");
    }

    proptest! {
        /// After any history the replayed journal is the same, and every number is there or named by a gap.
        #[test]
        fn a_replayed_journal_is_the_same(steps in prop::collection::vec(0u8..11, 0..120), limit in 1usize..6) {
            let mut journal = Journal::new(limit);
            let mut ledger = Vec::new();
            for step in steps {
                match step {
                    0..5 => ledger.extend(journal.push(diagnostic())),
                    5 | 6 => ledger.extend(journal.push(order())),
                    8..11 => ledger.extend(journal.push(renewal(u16::from(step), 1))),
                    _ => ledger.extend(journal.acknowledge(journal.acknowledged + 2)),
                }
            }
            let mut replayed = Journal::new(limit);
            ledger.iter().for_each(|record| replayed.restore(record));
            prop_assert_eq!(replayed.after(0).collect::<Vec<_>>(), journal.after(0).collect::<Vec<_>>());
            prop_assert_eq!(replayed.next, journal.next);
            prop_assert_eq!(&replayed.renewals, &journal.renewals);

            let mut compacted = Journal::new(limit);
            journal.snapshot().for_each(|record| compacted.restore(&record));
            prop_assert_eq!(compacted.after(0).collect::<Vec<_>>(), journal.after(0).collect::<Vec<_>>());
            prop_assert_eq!(compacted.next, journal.next);

            let (mut expected, mut after_gap, mut renewals) = (journal.acknowledged + 1, false, Vec::new());
            for numbered in journal.after(0) {
                renewals.extend(renewed(&numbered.event.kind));
                let former_is_gap = std::mem::replace(&mut after_gap, false);
                if let EventKind::Gap { first, last } = numbered.event.kind {
                    prop_assert!(first <= expected && last >= expected && !former_is_gap);
                    (expected, after_gap) = (last + 1, true);
                } else {
                    prop_assert_eq!(numbered.number, expected);
                    expected += 1;
                }
            }
            prop_assert_eq!(expected, journal.next);
            prop_assert!(journal.diagnostics <= limit);
            renewals.sort_unstable();
            prop_assert_eq!(renewals, journal.renewals.keys().copied().collect::<Vec<_>>());
        }
    }
}

//! The event journal: numbers events, keeps them until the controller has them, bounds itself.
//!
//! Pure: the records that it hands out are put on disk by the shell. Order and lease events never give way; when the
//! journal is full the oldest diagnostics give way to a gap that says which numbers are missing (DESIGN §5).

use std::collections::BTreeMap;

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
    next: u64,
    acknowledged: u64,
    limit: usize,
}

impl Journal {
    /// An empty journal that keeps at most `limit` diagnostics.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { waiting: BTreeMap::new(), diagnostics: 0, next: 1, acknowledged: 0, limit: limit.max(1) }
    }

    /// Takes an event in; the records are to be put on disk in this order.
    pub fn push(&mut self, event: Event) -> Vec<Record> {
        let numbered = NumberedEvent { number: self.next, event };
        self.restore_event(numbered.clone());
        let mut records = vec![Record::Event(numbered)];
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
        if let Some(event) = self.waiting.remove(&number) {
            self.diagnostics -= usize::from(!event.kind.never_dropped());
        }
    }

    /// The oldest diagnostics, with the gap before them if there is one, become one gap.
    fn give_way(&mut self) -> Option<NumberedEvent> {
        let (&oldest, event) = self.waiting.iter().find(|(_, event)| !event.kind.never_dropped())?;
        let at = event.at;
        let (first, at) = self.gap_that_ends_before(oldest).unwrap_or((oldest, at));
        let gap = gap(first, oldest, at);
        self.restore_event(gap.clone());
        Some(gap)
    }

    fn gap_that_ends_before(&self, number: u64) -> Option<(u64, Wall)> {
        let (_, event) = self.waiting.range(..number).next_back()?;
        let EventKind::Gap { first, last } = event.kind else { return None };
        (last.checked_add(1) == Some(number)).then_some((first, event.at))
    }
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

    proptest! {
        /// After any history the replayed journal is the same, and every number is there or named by a gap.
        #[test]
        fn a_replayed_journal_is_the_same(steps in prop::collection::vec(0u8..8, 0..120), limit in 1usize..6) {
            let mut journal = Journal::new(limit);
            let mut ledger = Vec::new();
            for step in steps {
                match step {
                    0..5 => ledger.extend(journal.push(diagnostic())),
                    5 | 6 => ledger.extend(journal.push(order())),
                    _ => ledger.extend(journal.acknowledge(journal.acknowledged + 2)),
                }
            }
            let mut replayed = Journal::new(limit);
            ledger.iter().for_each(|record| replayed.restore(record));
            prop_assert_eq!(replayed.after(0).collect::<Vec<_>>(), journal.after(0).collect::<Vec<_>>());
            prop_assert_eq!(replayed.next, journal.next);

            let mut compacted = Journal::new(limit);
            journal.snapshot().for_each(|record| compacted.restore(&record));
            prop_assert_eq!(compacted.after(0).collect::<Vec<_>>(), journal.after(0).collect::<Vec<_>>());
            prop_assert_eq!(compacted.next, journal.next);

            let mut expected = journal.acknowledged + 1;
            for numbered in journal.after(0) {
                if let EventKind::Gap { first, last } = numbered.event.kind {
                    prop_assert!(first <= expected && last >= expected);
                    expected = last + 1;
                } else {
                    prop_assert_eq!(numbered.number, expected);
                    expected += 1;
                }
            }
            prop_assert_eq!(expected, journal.next);
            prop_assert!(journal.diagnostics <= limit);
        }
    }
}

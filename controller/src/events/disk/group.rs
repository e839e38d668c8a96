//! Appends that become durable together: each sees what those before it in the group have changed.

mod leases;

use std::collections::BTreeMap;

use proto::event::{Event, EventKind, NumberedEvent};
use proto::{AttemptId, Incarnation};

pub(super) use leases::Count;

use super::{boot, encode};
use crate::events::fit::fit;
use crate::events::store::{AppendError, Source, StoredEvent, Tuning};
use crate::events::{BootSummary, key};

/// A group under way.
pub(super) struct Group {
    db: sled::Db,
    tuning: Tuning,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    summaries: BTreeMap<AttemptId, (Option<BootSummary>, BootSummary)>,
    news: Vec<StoredEvent>,
    leases: BTreeMap<String, Count>,
}

/// What a group has become.
pub(super) struct Done {
    /// None: nothing has changed.
    pub(super) batch: Option<sled::Batch>,
    /// What subscribers are told.
    pub(super) news: Vec<StoredEvent>,
    /// The index prefixes of machines that got an attempt.
    pub(super) machines: Vec<Vec<u8>>,
    /// By how much the number of attempts of strangers has changed.
    pub(super) strangers: isize,
    /// By how many the leases of sites have changed.
    pub(super) leases: BTreeMap<String, Count>,
}

impl Group {
    pub(super) fn new(db: sled::Db, tuning: Tuning) -> Self {
        let (changes, summaries, leases) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { db, tuning, changes, summaries, news: Vec::new(), leases }
    }

    /// Takes a batch in; returns the number up to which the journal is then stored.
    pub(super) fn append(
        &mut self,
        source: &Source,
        incarnation: Incarnation,
        events: Vec<NumberedEvent>,
    ) -> Result<u64, AppendError> {
        check_order(&events)?;
        let place = key::cursor(source, incarnation);
        let stored = self.cursor(&place)?;
        let mut through = stored.unwrap_or(0);
        for numbered in events {
            let last = last_number(&numbered);
            if last <= through {
                continue;
            }
            if stored.is_some() && numbered.number > through + 1 {
                // What lies between was acknowledged, or the agent would send it: this store was set back.
                tracing::warn!(?source, %incarnation, after = through, found = numbered.number, "events are missing");
            }
            through = last;
            self.take(source, incarnation, numbered)?;
        }
        if Some(through) != stored {
            self.changes.insert(place, Some(through.to_be_bytes().to_vec()));
        }
        Ok(through)
    }

    fn cursor(&self, place: &[u8]) -> Result<Option<u64>, AppendError> {
        Ok(self.value(place)?.and_then(|value| number(&value)))
    }

    /// As it will be.
    fn value(&self, place: &[u8]) -> Result<Option<Vec<u8>>, AppendError> {
        if let Some(changed) = self.changes.get(place) {
            return Ok(changed.clone());
        }
        Ok(self.db.get(place).map_err(failed)?.map(|value| value.to_vec()))
    }

    fn take(
        &mut self,
        source: &Source,
        incarnation: Incarnation,
        numbered: NumberedEvent,
    ) -> Result<(), AppendError> {
        let NumberedEvent { number, event } = numbered;
        let numbered = NumberedEvent { number, event: fit(event) };
        let stored = StoredEvent { source: source.clone(), incarnation, numbered };
        if let Some(attempt) = stored.numbered.event.attempt {
            let sequence = self.count(attempt, source, &stored.numbered.event)?;
            if sequence < self.tuning.events_per_attempt {
                self.changes.insert(key::event(attempt, sequence), Some(encode(&stored)));
            }
        }
        self.take_lease(source, &stored.numbered.event)?;
        self.news.push(stored);
        Ok(())
    }

    /// Takes an event into its attempt's summary; returns how many it had before.
    fn count(&mut self, attempt: AttemptId, source: &Source, event: &Event) -> Result<u64, AppendError> {
        if !self.summaries.contains_key(&attempt) {
            let before = boot(&self.db, attempt).map_err(failed)?;
            let now = before.clone().unwrap_or_else(|| BootSummary::new(attempt, source, event));
            self.summaries.insert(attempt, (before, now));
        }
        let (_, summary) = self.summaries.get_mut(&attempt).expect("it was put there");
        let sequence = summary.events;
        summary.take(event);
        Ok(sequence)
    }

    pub(super) fn finish(self) -> Done {
        let mut batch = sled::Batch::default();
        let (mut machines, mut strangers) = (Vec::new(), 0);
        for (before, now) in self.summaries.values() {
            let old = before.as_ref().map(key::indices).unwrap_or_default();
            let new = key::indices(now);
            if old != new {
                machines.push(key::machine(now));
                strangers += stranger(Some(now)) - stranger(before.as_ref());
            }
            old.into_iter().filter(|key| !new.contains(key)).for_each(|key| batch.remove(key));
            new.into_iter().for_each(|key| batch.insert(key, &[]));
            let json = serde_json::to_vec(now).expect("plain fields");
            batch.insert(key::summary(now.attempt), json);
        }
        let changed = !self.changes.is_empty() || !self.summaries.is_empty();
        for (key, value) in self.changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        Done { batch: changed.then_some(batch), news: self.news, machines, strangers, leases: self.leases }
    }
}

fn stranger(summary: Option<&BootSummary>) -> isize {
    summary.map_or(0, |summary| isize::from(summary.host.is_none()))
}

/// The numbers of a batch rise by one, but for what a gap stands for.
fn check_order(events: &[NumberedEvent]) -> Result<(), AppendError> {
    for pair in events.windows(2) {
        let (after, found) = (last_number(&pair[0]), pair[1].number);
        if after.checked_add(1) != Some(found) {
            return Err(AppendError::Hole { after, found });
        }
    }
    Ok(())
}

/// The last number that an event accounts for: a gap stands at its first number and reaches to its last.
fn last_number(numbered: &NumberedEvent) -> u64 {
    if let EventKind::Gap { first, last } = numbered.event.kind
        && first == numbered.number
    {
        return last.max(first);
    }
    numbered.number
}

fn number(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

fn failed(error: impl std::fmt::Display) -> AppendError {
    AppendError::Failed { cause: error.to_string() }
}

//! The state of a store in memory: the present, and how it came to be since the last compaction.
//!
//! Pure: no clock, no disk, no locks. The whole present is kept in memory, as a catalog is small
//! beside it; [`super::Tuning`] bounds both the present and the history. Revisions are contiguous:
//! the log holds exactly those after `compacted` up to `revision`.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::record::{Damage, Write};
use super::{Batch, Change, Entry, Epoch, Key, Page, ReadError, Revision, Scan, Versioned};

/// The state of a store at one revision, with its history.
#[derive(Debug, Clone)]
pub(super) struct State {
    epoch: Epoch,
    compacted: Revision,
    revision: Revision,
    present: BTreeMap<Key, Versioned>,
    log: VecDeque<Arc<Batch>>,
    present_bytes: u64,
    log_bytes: u64,
}

impl State {
    /// A store that holds nothing and has no history.
    pub(super) fn empty(epoch: Epoch) -> Self {
        Self {
            epoch,
            compacted: Revision::ZERO,
            revision: Revision::ZERO,
            present: BTreeMap::new(),
            log: VecDeque::new(),
            present_bytes: 0,
            log_bytes: 0,
        }
    }

    /// A store whose history begins after `compacted`, with what it held there.
    pub(super) fn from_base(
        epoch: Epoch,
        compacted: Revision,
        base: impl IntoIterator<Item = Entry>,
    ) -> Result<Self, Damage> {
        let mut state = Self { compacted, revision: compacted, ..Self::empty(epoch) };
        for Entry { key, version } in base {
            let ordered = Revision::ZERO < version.create_revision
                && version.create_revision <= version.mod_revision
                && version.mod_revision <= compacted;
            if !ordered {
                return Err(Damage::Impossible(format!("key {key} has revisions that cannot be")));
            }
            if state.present.contains_key(&key) {
                return Err(Damage::Impossible(format!("key {key} is there twice")));
            }
            state.set(&key, Some(version));
        }
        Ok(state)
    }

    /// Applies one revision that was read back from a medium.
    pub(super) fn replay(&mut self, revision: Revision, writes: Vec<Write>) -> Result<(), Damage> {
        if revision != self.revision.next() {
            return Err(Damage::Impossible(format!("revision {revision} follows {}", self.revision)));
        }
        let changes = writes.into_iter().map(|write| {
            let before = self.present.get(&write.key).cloned();
            let now = write.value.map(|value| Versioned::put(value, revision, before.as_ref()));
            Change { key: write.key, now, before }
        });
        let changes: Vec<Change> = changes.collect();
        self.apply(Arc::new(Batch { revision, changes }));
        Ok(())
    }

    /// Makes the next revision the present. The batch must have been made for this very state.
    pub(super) fn apply(&mut self, batch: Arc<Batch>) {
        debug_assert_eq!(batch.revision, self.revision.next(), "revisions are contiguous");
        for change in &batch.changes {
            self.set(&change.key, change.now.clone());
        }
        self.revision = batch.revision;
        self.log_bytes += batch_bytes(&batch);
        self.log.push_back(batch);
    }

    /// Forgets the oldest `count` revisions of the history.
    pub(super) fn forget(&mut self, count: usize) {
        for batch in self.log.drain(..count.min(self.log.len())) {
            self.compacted = batch.revision;
            self.log_bytes -= batch_bytes(&batch);
        }
    }

    /// The same state in another epoch.
    pub(super) fn in_epoch(self, epoch: Epoch) -> Self {
        Self { epoch, ..self }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn compacted(&self) -> Revision {
        self.compacted
    }

    /// Bytes of all present keys and values.
    pub(super) fn present_bytes(&self) -> u64 {
        self.present_bytes
    }

    /// Bytes of all keys and values that the history put.
    pub(super) fn log_bytes(&self) -> u64 {
        self.log_bytes
    }

    /// The history, oldest first.
    pub(super) fn log(&self) -> &VecDeque<Arc<Batch>> {
        &self.log
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Versioned> {
        self.present.get(key)
    }

    /// The history from one revision on; empty where that is still to come.
    pub(super) fn since(&self, from: Revision) -> impl Iterator<Item = &Arc<Batch>> {
        let skip = from.0.saturating_sub(self.compacted.next().0);
        self.log.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }

    /// What the store held at `compacted`, where the history begins.
    pub(super) fn base(&self) -> Vec<Entry> {
        self.entries_at(self.compacted, &Scan::default())
    }

    /// Answers a scan.
    pub(super) fn scan(&self, scan: &Scan) -> Result<Page, ReadError> {
        let at = scan.at.unwrap_or(self.revision);
        if at > self.revision {
            return Err(ReadError::Future { requested: at, current: self.revision });
        }
        if at < self.compacted {
            return Err(ReadError::Compacted { requested: at, compacted: self.compacted });
        }
        let mut entries = self.entries_at(at, scan);
        let limit = scan.limit.unwrap_or(usize::MAX);
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(Page { entries, revision: at, more })
    }

    /// The keys that a scan asks for, and one more where its limit cuts some off.
    fn entries_at(&self, at: Revision, scan: &Scan) -> Vec<Entry> {
        let undo = self.undo(at, scan);
        let wanted = scan.limit.unwrap_or(usize::MAX).saturating_add(1);
        // At most `undo.len()` of these go away, so that enough of them stay.
        let read = wanted.saturating_add(undo.len());
        if undo.is_empty() {
            return self.present_entries(scan).take(read).map(|(key, version)| entry(key, version)).collect();
        }
        let mut past: BTreeMap<&Key, &Versioned> = self.present_entries(scan).take(read).collect();
        for (key, before) in undo {
            match before {
                Some(version) => past.insert(key, version),
                None => past.remove(key),
            };
        }
        past.into_iter().take(wanted).map(|(key, version)| entry(key, version)).collect()
    }

    /// For each asked-for key that changed after `at`, what it was at `at`.
    fn undo(&self, at: Revision, scan: &Scan) -> BTreeMap<&Key, Option<&Versioned>> {
        let mut undo = BTreeMap::new();
        for change in self.since(at.next()).flat_map(|batch| &batch.changes) {
            let asked = change.key.starts_with(&scan.prefix)
                && scan.after.as_ref().is_none_or(|after| change.key > *after);
            if asked {
                undo.entry(&change.key).or_insert(change.before.as_ref());
            }
        }
        undo
    }

    fn present_entries<'a>(&'a self, scan: &'a Scan) -> impl Iterator<Item = (&'a Key, &'a Versioned)> {
        let start = match &scan.after {
            Some(after) if after.as_str() >= scan.prefix.as_str() => Bound::Excluded(after.as_str()),
            Some(_) | None => Bound::Included(scan.prefix.as_str()),
        };
        let range = self.present.range::<str, _>((start, Bound::Unbounded));
        range.take_while(|(key, _)| key.starts_with(&scan.prefix))
    }

    fn set(&mut self, key: &Key, now: Option<Versioned>) {
        let added = now.as_ref().map_or(0, |version| entry_bytes(key, version));
        let gone = match now {
            Some(version) => self.present.insert(key.clone(), version),
            None => self.present.remove(key),
        };
        self.present_bytes += added;
        self.present_bytes -= gone.map_or(0, |version| entry_bytes(key, &version));
    }
}

impl Versioned {
    /// A value put at `revision` over what was there before.
    pub(super) fn put(value: Bytes, revision: Revision, before: Option<&Self>) -> Self {
        let create_revision = before.map_or(revision, |before| before.create_revision);
        Self { value, mod_revision: revision, create_revision }
    }
}

/// What one key and its value count against a quota, in bytes.
pub(super) fn entry_bytes(key: &Key, version: &Versioned) -> u64 {
    (key.len() + version.value.len()) as u64
}

fn batch_bytes(batch: &Batch) -> u64 {
    let bytes = |change: &Change| match &change.now {
        Some(version) => entry_bytes(&change.key, version),
        None => change.key.len() as u64,
    };
    batch.changes.iter().map(bytes).sum()
}

fn entry(key: &Key, version: &Versioned) -> Entry {
    Entry { key: key.clone(), version: version.clone() }
}

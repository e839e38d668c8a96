//! A group commit in the making: transactions that become durable with one sync.
//!
//! Each transaction sees what those before it in the group did, and gets its own revision. Nothing
//! of it is visible before the whole group is durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{State, entry_bytes};
use super::{Batch, Change, Compare, Key, Operation, Revision, Txn, TxnError, Versioned};

/// Transactions on top of a state that nobody sees yet.
pub(super) struct Group<'a> {
    state: &'a State,
    quota: u64,
    used: u64,
    overlay: BTreeMap<Key, Option<Versioned>>,
    batches: Vec<Arc<Batch>>,
}

impl<'a> Group<'a> {
    pub(super) fn new(state: &'a State, quota: u64) -> Self {
        Self { state, quota, used: state.present_bytes(), overlay: BTreeMap::new(), batches: Vec::new() }
    }

    /// Adds a transaction, or says why it does not happen. Its limits were checked before.
    ///
    /// Returns the revision that it answers with once the group is durable.
    pub(super) fn admit(&mut self, txn: Txn) -> Result<Revision, TxnError> {
        txn.compare.iter().try_for_each(|compare| self.check(compare))?;
        let revision = self.revision().next();
        let changes: Vec<Change> =
            txn.operations.into_iter().filter_map(|operation| self.change(operation, revision)).collect();
        if changes.is_empty() {
            return Ok(self.revision());
        }
        self.used = self.used_after(&changes)?;
        for change in &changes {
            self.overlay.insert(change.key.clone(), change.now.clone());
        }
        self.batches.push(Arc::new(Batch { revision, changes }));
        Ok(revision)
    }

    /// One batch for each revision that the group adds, in order.
    pub(super) fn into_batches(self) -> Vec<Arc<Batch>> {
        self.batches
    }

    fn revision(&self) -> Revision {
        self.batches.last().map_or(self.state.revision(), |batch| batch.revision)
    }

    fn get(&self, key: &Key) -> Option<&Versioned> {
        match self.overlay.get(key) {
            Some(pending) => pending.as_ref(),
            None => self.state.get(key),
        }
    }

    fn check(&self, compare: &Compare) -> Result<(), TxnError> {
        let actual = self.get(&compare.key).map_or(Revision::ZERO, |version| version.mod_revision);
        if actual == compare.expected {
            return Ok(());
        }
        Err(TxnError::Conflict { key: compare.key.clone(), expected: compare.expected, actual })
    }

    /// What an operation changes; nothing where it deletes what is absent.
    fn change(&self, operation: Operation, revision: Revision) -> Option<Change> {
        let before = self.get(operation.key()).cloned();
        match operation {
            Operation::Put { key, value } => {
                let now = Some(Versioned::put(value, revision, before.as_ref()));
                Some(Change { key, now, before })
            }
            Operation::Delete { key } => before.map(|before| Change { key, now: None, before: Some(before) }),
        }
    }

    fn used_after(&self, changes: &[Change]) -> Result<u64, TxnError> {
        let sum = |side: fn(&Change) -> &Option<Versioned>| -> u64 {
            let sizes =
                changes.iter().filter_map(|change| Some(entry_bytes(&change.key, side(change).as_ref()?)));
            sizes.sum()
        };
        let (added, gone) = (sum(|change| &change.now), sum(|change| &change.before));
        let after = self.used + added - gone;
        // What shrinks the store, or keeps its size, passes even over the quota: it is the way back.
        if after > self.quota && added > gone {
            return Err(TxnError::QuotaExceeded { used: self.used, wanted: added - gone, quota: self.quota });
        }
        Ok(after)
    }
}

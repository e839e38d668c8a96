//! Which files are held, how large, when they were seen, and in which order they were last used.

use std::collections::{BTreeMap, HashMap};

use netboot::mirror::Seen;
use proto::{Digest, Wall};

/// A file that is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// In bytes.
    pub(super) size: u64,
    pub(super) seen: Seen,
}

/// The files in memory, by the digests of their paths.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: HashMap<Digest, (Entry, u64)>,
    /// By use: the smallest is the longest unused.
    uses: BTreeMap<u64, Digest>,
    bytes: u64,
    /// Counts uses; the time of day plays no part.
    clock: u64,
}

impl Index {
    pub(super) fn get(&self, key: &Digest) -> Option<Entry> {
        self.files.get(key).map(|(entry, _)| *entry)
    }

    pub(super) fn insert(&mut self, key: Digest, entry: Entry) {
        self.remove(&key);
        self.clock += 1;
        self.bytes += entry.size;
        self.uses.insert(self.clock, key);
        self.files.insert(key, (entry, self.clock));
    }

    /// Notes a use.
    pub(super) fn touch(&mut self, key: &Digest) -> Option<Entry> {
        let (entry, used) = self.files.get_mut(key)?;
        self.clock += 1;
        self.uses.remove(used);
        self.uses.insert(self.clock, *key);
        *used = self.clock;
        Some(*entry)
    }

    /// Notes when the upstream was asked.
    pub(super) fn asked(&mut self, key: &Digest, at: Wall) -> Option<()> {
        let (entry, _) = self.files.get_mut(key)?;
        entry.seen.asked = at;
        Some(())
    }

    pub(super) fn remove(&mut self, key: &Digest) {
        if let Some((entry, used)) = self.files.remove(key) {
            self.uses.remove(&used);
            self.bytes -= entry.size;
        }
    }

    pub(super) fn longest_unused(&self) -> Option<Digest> {
        self.uses.first_key_value().map(|(_, key)| *key)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }
}

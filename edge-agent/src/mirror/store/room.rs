//! Room for what arrives: of the mirror's budget and of the disk, set aside before the first byte comes.
//!
//! What is on its way counts like what is held, so that all together keep within the budget. Nothing is evicted for a file
//! that would not have room even then.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{MOST, Store};
use crate::disk::{DiskError, space::Space};

/// What a mirror may take.
#[derive(Debug, Clone, Copy)]
pub(in crate::mirror) struct Room {
    /// Files that are held and files that arrive, together, in bytes.
    pub(in crate::mirror) budget: u64,
    /// This many bytes of the disk are left alone.
    pub(in crate::mirror) low_disk: u64,
}

/// Why there is no room.
#[derive(Debug, thiserror::Error)]
pub(in crate::mirror) enum NoRoom {
    /// Not even without what is held.
    #[error("files on their way take the mirror's budget")]
    Budget,
    /// Not even without what is held.
    #[error("the disk has no room")]
    Disk,
    /// The file system fails.
    #[error(transparent)]
    Failed(#[from] DiskError),
}

/// Bytes that are set aside; given back when it is dropped.
#[derive(Debug)]
pub(in crate::mirror) struct Reserved {
    bytes: u64,
    drafts: Arc<AtomicU64>,
}

impl Reserved {
    pub(in crate::mirror) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Both are one.
    pub(in crate::mirror) fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.drafts.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Store {
    /// Sets `bytes` aside for a file that arrives, and removes the longest unused files as far as that takes.
    pub(in crate::mirror) fn reserve(&self, bytes: u64, room: Room) -> Result<Reserved, NoRoom> {
        let needed = bytes.saturating_add(room.low_disk);
        let reserved = self.set_aside(bytes, needed, room.budget)?;
        self.evict_while(|store| Ok(store.exceeds(room.budget) || store.free()? < needed))?;
        if self.free()? < needed { Err(NoRoom::Disk) } else { Ok(reserved) }
    }

    fn set_aside(&self, bytes: u64, needed: u64, budget: u64) -> Result<Reserved, NoRoom> {
        let free = self.free()?;
        // Under the lock, so that two cannot both have the last of it.
        let index = self.index();
        if self.drafts.load(Ordering::Relaxed).saturating_add(bytes) > budget {
            return Err(NoRoom::Budget);
        }
        if free.saturating_add(index.bytes()) < needed {
            return Err(NoRoom::Disk);
        }
        self.drafts.fetch_add(bytes, Ordering::Relaxed);
        Ok(Reserved { bytes, drafts: Arc::clone(&self.drafts) })
    }

    /// Removes the longest unused files until what is held and what arrives take at most `budget` bytes.
    pub(in crate::mirror) fn evict_to(&self, budget: u64) -> Result<u64, DiskError> {
        self.evict_while(|store| Ok(store.exceeds(budget)))
    }

    /// Removes the longest unused files until `low_disk` bytes of the disk are free, or none is left: others need it.
    pub(in crate::mirror) fn give_way(&self, low_disk: u64) -> Result<u64, DiskError> {
        self.evict_while(|store| Ok(store.free()? < low_disk))
    }

    fn exceeds(&self, budget: u64) -> bool {
        let index = self.index();
        let taken = index.bytes().saturating_add(self.drafts.load(Ordering::Relaxed));
        taken > budget || index.len() > MOST
    }

    fn free(&self) -> Result<u64, DiskError> {
        Ok(Space::of(&self.root)?.free_bytes)
    }

    fn evict_while(&self, more: impl Fn(&Self) -> Result<bool, DiskError>) -> Result<u64, DiskError> {
        let mut removed = 0;
        while more(self)? {
            let Some(key) = self.index().longest_unused() else { break };
            self.remove_key(&key)?;
            removed += 1;
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{content, put};
    use super::*;

    fn room(budget: u64) -> Room {
        Room { budget, low_disk: 0 }
    }

    #[test]
    fn what_arrives_counts_in_the_budget() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("opens");
        put(&store, "a", &[7; 100], 1);
        put(&store, "b", &[7; 100], 1);
        let first = store.reserve(150, room(400)).expect("room");
        assert_eq!(store.files(), 2);
        let mut second = store.reserve(150, room(400)).expect("room");
        assert_eq!((store.files(), store.bytes()), (1, 100), "the longest unused gave way to both");
        assert!(matches!(store.reserve(101, room(400)), Err(NoRoom::Budget)), "they are on their way");
        assert_eq!(store.files(), 1, "nothing was evicted for what has no room");
        second.join(store.reserve(100, room(400)).expect("room"));
        assert_eq!((store.files(), second.bytes()), (0, 250));
        drop((first, second));
        assert_eq!(store.reserve(400, room(400)).expect("it was given back").bytes(), 400);
    }

    #[test]
    fn nothing_is_evicted_for_what_the_disk_cannot_hold() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("opens");
        put(&store, "a", b"whole", 1);
        assert!(matches!(store.reserve(u64::MAX - 1, room(u64::MAX)), Err(NoRoom::Disk)));
        assert_eq!(content(&store, "a").as_deref(), Some(&b"whole"[..]));
        assert!(store.reserve(1, room(u64::MAX)).is_ok(), "what was not set aside is not taken");
        assert_eq!(store.give_way(u64::MAX).expect("evicts"), 1, "others go before a mirror");
    }
}

//! Small blobs in memory, so that head and body leave with one system call.
//!
//! So many bytes at one time, over all clients, also those that are still on their way to slow ones: what finds no room is
//! sent from its file. A blob is taken for what it was read as until any blob leaves the cache, which is what happens to
//! one that was found to be corrupt (S15).

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proto::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest blob that is kept, in bytes: beyond it the kernel's own way from file to socket is cheaper.
pub(super) const LARGEST: u64 = 1 << 20;
/// Room is counted in such pieces.
const UNIT: u64 = 4 << 10;
/// For all of them: 16 MiB.
const ROOM: usize = 4_096;

/// What is in memory.
#[derive(Debug)]
pub(super) struct Memory {
    room: Arc<Semaphore>,
    blobs: Mutex<Blobs>,
}

#[derive(Debug, Default)]
struct Blobs {
    by_digest: HashMap<Digest, Kept>,
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    held: Arc<Held>,
    /// How many blobs had left the cache when it was read.
    removals: u64,
    last_use: u64,
}

/// Room for a blob that is about to be read.
#[derive(Debug)]
pub(super) struct Room {
    _permit: OwnedSemaphorePermit,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self::with_room(ROOM)
    }

    fn with_room(units: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(units)), blobs: Mutex::default() }
    }

    /// The blob, if it is here and no blob has left the cache since it was read.
    pub(super) fn get(&self, digest: &Digest, removals: u64) -> Option<Arc<Held>> {
        let mut blobs = self.blobs();
        blobs.uses += 1;
        let now = blobs.uses;
        let kept = blobs.by_digest.get_mut(digest).filter(|kept| kept.removals == removals)?;
        kept.last_use = now;
        Some(Arc::clone(&kept.held))
    }

    /// Room for so many bytes, for which those that were not used for longest give way, but none that a client holds: that would
    /// make no room. None: clients hold too much of it.
    pub(super) fn room(&self, bytes: u64) -> Option<Room> {
        let units = u32::try_from(bytes.div_ceil(UNIT).max(1)).ok()?;
        loop {
            match Arc::clone(&self.room).try_acquire_many_owned(units) {
                Ok(permit) => return Some(Room { _permit: permit }),
                Err(_) => self.blobs().forget_oldest()?,
            }
        }
    }

    /// Keeps `content`, which was read while so many blobs had left the cache.
    pub(super) fn keep(&self, digest: Digest, content: Vec<u8>, room: Room, removals: u64) -> Arc<Held> {
        let held = Arc::new(Held { content, _room: room });
        let mut blobs = self.blobs();
        blobs.uses += 1;
        let last_use = blobs.uses;
        blobs.by_digest.insert(digest, Kept { held: Arc::clone(&held), removals, last_use });
        held
    }

    fn blobs(&self) -> MutexGuard<'_, Blobs> {
        // No call panics while it holds the lock.
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blobs {
    /// None: clients hold them all. Nobody takes one meanwhile, since they are taken from here.
    fn forget_oldest(&mut self) -> Option<()> {
        let free = self.by_digest.iter().filter(|(_, kept)| Arc::strong_count(&kept.held) == 1);
        let oldest = free.min_by_key(|(_, kept)| kept.last_use);
        let oldest = oldest.map(|(digest, _)| *digest)?;
        self.by_digest.remove(&oldest).map(drop)
    }
}

/// A blob's bytes. They give their room back when the last who holds them lets go.
#[derive(Debug)]
pub(super) struct Held {
    content: Vec<u8>,
    _room: Room,
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(memory: &Memory, name: u8) -> Option<Arc<Held>> {
        let room = memory.room(UNIT)?;
        Some(memory.keep(Digest::of(&[name]), vec![name; 10], room, 0))
    }

    #[test]
    fn the_longest_unused_gives_way() {
        let memory = Memory::with_room(2);
        let has = |name: u8| memory.get(&Digest::of(&[name]), 0).is_some();
        assert!(keep(&memory, 1).is_some() && keep(&memory, 2).is_some() && has(1));
        assert!(keep(&memory, 3).is_some());
        assert_eq!((has(1), has(2), has(3)), (true, false, true));
    }

    #[test]
    fn what_slow_clients_hold_counts() {
        let memory = Memory::with_room(2);
        let held = [keep(&memory, 1), keep(&memory, 2)];
        let has = |name: u8| memory.get(&Digest::of(&[name]), 0).is_some();
        assert!(keep(&memory, 3).is_none(), "both are still on their way");
        assert!(has(1) && has(2), "to forget them would have made no room");
        drop(held);
        assert!(keep(&memory, 3).is_some());
    }

    #[test]
    fn nothing_is_believed_once_a_blob_has_left_the_cache() {
        let memory = Memory::with_room(2);
        keep(&memory, 1);
        assert!(memory.get(&Digest::of(&[1]), 1).is_none());
        assert!(memory.room(3 * UNIT).is_none());
    }
}

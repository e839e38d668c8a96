//! The image cache: blobs by their SHA-256, immutable and published only when the digest holds.
//!
//! ```text
//! blobs/sha256/ab/abcdef…   whole blobs, mode 0640, named by their digest
//! partial/abcdef…           fills that have not ended; a later fill of the same digest resumes them
//! chunks/abcdef…            lists of the chunks of whole blobs
//! corrupt/abcdef…           what failed its verification, for people to look at; never served
//! ```
//!
//! Start-up looks at names and sizes only; [`Cache::verification`] reads a blob again in the background (S15).
//! What is fetched, how often, and what must be kept is the caller's to say. One process owns the
//! directory; within it the cache is shared freely between threads. All calls may block on the disk.

mod arrived;
mod chunks;
mod evict;
mod fill;
mod index;
mod progress;
#[cfg(test)]
pub(crate) mod tests;
mod verify;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use std::time::{Duration, SystemTime};

use proto::Digest;
use tokio::sync::{Notify, futures::Notified};

pub use evict::Evicted;
pub use fill::{Fill, FillError};
pub use progress::{FillProgress, FillState, WITHHELD_BYTES};
pub use verify::{Step, Verdict, Verification, VerifyError};

use super::{DiskError, atomic};
use index::Index;

/// Corrupt blobs that are kept for a look; the oldest give way.
pub const MAX_CORRUPT_KEPT: usize = 4;

/// What the start-up found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Whole blobs, by name.
    pub blobs: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
    /// Leftovers of fills that were too old to resume and were removed.
    pub removed_partials: u64,
    /// Files in `blobs` whose names are no digests or stand in the wrong place; they are left alone.
    pub strangers: u64,
}

/// A blob that was opened. It stays readable when it is evicted meanwhile.
#[derive(Debug)]
pub struct Blob {
    /// Open for reading, at its start.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
}

/// The cache.
#[derive(Debug)]
pub struct Cache {
    places: Places,
    index: Mutex<Index>,
    removals: Arc<AtomicU64>,
    /// Blobs that were read again and found corrupt.
    corrupt: AtomicU64,
    /// A fill has begun.
    begun: Notify,
}

impl Cache {
    /// Opens the cache in `root`, or makes it: lists what is there, and removes leftovers in `partial` that
    /// were last written more than `keep_partials_for` before `now`.
    ///
    /// # Errors
    /// [`DiskError`] names the directory that cannot be made or listed.
    pub fn open(
        root: &Path,
        now: SystemTime,
        keep_partials_for: Duration,
    ) -> Result<(Self, Scanned), DiskError> {
        let places = Places { root: root.to_path_buf() };
        for directory in [places.blobs(), places.partials(), places.lists(), places.corrupt()] {
            atomic::make_directory(&directory)?;
        }
        let (index, mut scanned) = index::scan(&places.blobs())?;
        scanned.removed_partials = fill::remove_stale(&places.partials(), now, keep_partials_for)?;
        let removals = index.removals();
        let (corrupt, begun) = (AtomicU64::new(0), Notify::new());
        Ok((Self { places, index: Mutex::new(index), removals, corrupt, begun }, scanned))
    }

    /// Opens a whole blob and notes that it was used. `None` if the cache does not have it.
    ///
    /// # Errors
    /// [`DiskError`] if the file system fails. A blob that someone removed, or whose size is not the one
    /// that was noted, is forgotten and is `None`.
    pub fn get(&self, digest: &Digest) -> Result<Option<Blob>, DiskError> {
        let Some(size) = self.index().touch(digest) else { return Ok(None) };
        let path = self.places.blob(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.index().forget(digest);
                return Ok(None);
            }
            Err(error) => return Err(DiskError::at("open", &path)(error)),
        };
        if file.metadata().map_err(DiskError::at("open", &path))?.len() != size {
            self.quarantine(digest)?;
            return Ok(None);
        }
        Ok(Some(Blob { file, size }))
    }

    /// The size of a whole blob, in bytes, without using it.
    #[must_use]
    pub fn size_of(&self, digest: &Digest) -> Option<u64> {
        self.index().size_of(digest)
    }

    /// Grows with each blob that leaves the cache, also when it was found to be corrupt: whoever keeps what it has read from
    /// one is to read it again then.
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.removals.load(Ordering::Acquire)
    }

    /// How many blobs were found corrupt, or could not be read, since the start.
    #[must_use]
    pub fn corrupt(&self) -> u64 {
        self.corrupt.load(Ordering::Relaxed)
    }

    /// All whole blobs together, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.index().total_bytes()
    }

    /// The whole sizes of what is being filled, together, in bytes.
    #[must_use]
    pub fn filling_bytes(&self) -> u64 {
        self.index().filling_bytes()
    }

    /// Ready as soon as any fill has begun, of those that begin after this was called. Who waits for a blob calls this,
    /// then looks for the blob, then awaits.
    pub fn begun(&self) -> Notified<'_> {
        self.begun.notified()
    }

    /// For each of these, whether it is here, all at one moment.
    #[must_use]
    pub fn holds<'a>(&self, digests: impl IntoIterator<Item = &'a Digest>) -> Vec<bool> {
        let index = self.index();
        digests.into_iter().map(|digest| index.size_of(digest).is_some()).collect()
    }

    /// The digests of all whole blobs, in no order.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        self.index().digests()
    }

    /// Takes a blob out of service, keeping it in `corrupt`.
    fn quarantine(&self, digest: &Digest) -> Result<(), DiskError> {
        self.corrupt.fetch_add(1, Ordering::Relaxed);
        let corrupt = self.places.corrupt();
        let kept = corrupt.join(digest.to_string());
        // Under the lock, so that no new fill publishes the same blob between the two steps.
        let mut index = self.index();
        index.forget(digest);
        self.drop_list(digest);
        let moved = fs::rename(self.places.blob(digest), &kept);
        drop(index);
        match moved {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(DiskError::at("move to", &kept)(error)),
        }
        verify::bound_corrupt(&corrupt)?;
        atomic::sync_directory(&corrupt)?;
        atomic::sync_directory(&self.places.shelf(digest))
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // No call panics while it holds the lock, and each leaves the index whole.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where things lie.
#[derive(Debug)]
struct Places {
    root: PathBuf,
}

impl Places {
    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    fn partials(&self) -> PathBuf {
        self.root.join("partial")
    }

    fn corrupt(&self) -> PathBuf {
        self.root.join("corrupt")
    }

    fn lists(&self) -> PathBuf {
        self.root.join("chunks")
    }

    fn list(&self, digest: &Digest) -> PathBuf {
        self.lists().join(digest.to_string())
    }

    /// The directory of a blob, named by the first byte of its digest.
    fn shelf(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(format!("{:02x}", digest.0[0]))
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.shelf(digest).join(digest.to_string())
    }

    fn partial(&self, digest: &Digest) -> PathBuf {
        self.partials().join(digest.to_string())
    }
}

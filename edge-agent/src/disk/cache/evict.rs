//! Keeping the cache within its budget.

use std::fs;
use std::io;

use proto::Digest;

use super::Cache;
use crate::disk::DiskError;

/// What an eviction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Blobs removed.
    pub blobs: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
    /// By how many bytes the cache still exceeds the budget, because all that is left must be kept.
    pub excess_bytes: u64,
}

impl Cache {
    /// Removes blobs until at most `budget_bytes` are left: those of the least `turn` first, of one turn the longest unused.
    /// Those without a turn stay. Who has a blob open reads on.
    ///
    /// # Errors
    /// [`DiskError`] names the blob that could not be removed; it stays in the cache.
    pub fn evict_to<T: Ord>(
        &self,
        budget_bytes: u64,
        turn: impl Fn(&Digest) -> Option<T>,
    ) -> Result<Evicted, DiskError> {
        let mut evicted = Evicted::default();
        let by_last_use = self.index().by_last_use();
        let mut candidates: Vec<_> =
            by_last_use.into_iter().filter_map(|digest| Some((turn(&digest)?, digest))).collect();
        candidates.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (_, digest) in &candidates {
            if self.total_bytes() <= budget_bytes {
                break;
            }
            if let Some(bytes) = self.remove(digest)? {
                evicted.blobs += 1;
                evicted.bytes += bytes;
            }
        }
        evicted.excess_bytes = self.total_bytes().saturating_sub(budget_bytes);
        Ok(evicted)
    }

    /// Removes a blob. Returns its size, or `None` if it was not there.
    fn remove(&self, digest: &Digest) -> Result<Option<u64>, DiskError> {
        let path = self.places.blob(digest);
        // Under the lock, so that a new fill of the same blob is not removed in its place.
        let mut index = self.index();
        if index.size_of(digest).is_none() {
            return Ok(None);
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::at("remove", &path)(error))
            }
            Ok(()) | Err(_) => {
                self.drop_list(digest);
                Ok(index.forget(digest))
            }
        }
    }
}

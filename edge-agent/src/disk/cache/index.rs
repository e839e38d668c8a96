//! Which blobs are there, how large, and in which order they were last used.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::SystemTime;

use proto::Digest;

use super::Scanned;
use super::progress::FillProgress;
use crate::disk::DiskError;

#[derive(Clone, Copy, Debug)]
struct Entry {
    size: u64,
    /// The larger, the later it was used.
    last_use: u64,
}

/// The blobs in memory, and the fills that are under way.
#[derive(Debug, Default)]
pub(super) struct Index {
    blobs: HashMap<Digest, Entry>,
    total_bytes: u64,
    /// Counts uses; the time of day plays no part.
    clock: u64,
    removals: Arc<AtomicU64>,
    pub(super) filling: HashMap<Digest, Arc<FillProgress>>,
}

impl Index {
    pub(super) fn insert(&mut self, digest: Digest, size: u64) {
        self.clock += 1;
        let entry = Entry { size, last_use: self.clock };
        let former = self.blobs.insert(digest, entry).map_or(0, |former| former.size);
        self.total_bytes = self.total_bytes - former + size;
    }

    /// Notes a use. Returns the size.
    pub(super) fn touch(&mut self, digest: &Digest) -> Option<u64> {
        let entry = self.blobs.get_mut(digest)?;
        self.clock += 1;
        entry.last_use = self.clock;
        Some(entry.size)
    }

    pub(super) fn forget(&mut self, digest: &Digest) -> Option<u64> {
        let size = self.blobs.remove(digest)?.size;
        self.removals.fetch_add(1, Ordering::Release);
        self.total_bytes -= size;
        Some(size)
    }

    /// Counts the blobs that were forgotten, for those who hold what they have read.
    pub(super) fn removals(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.removals)
    }

    pub(super) fn size_of(&self, digest: &Digest) -> Option<u64> {
        self.blobs.get(digest).map(|entry| entry.size)
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    pub(super) fn filling_bytes(&self) -> u64 {
        self.filling.values().map(|progress| progress.size()).fold(0, u64::saturating_add)
    }

    pub(super) fn digests(&self) -> Vec<Digest> {
        self.blobs.keys().copied().collect()
    }

    /// All digests, the longest unused first.
    pub(super) fn by_last_use(&self) -> Vec<Digest> {
        let mut uses: Vec<_> = self.blobs.iter().map(|(digest, entry)| (entry.last_use, *digest)).collect();
        uses.sort_unstable();
        uses.into_iter().map(|(_, digest)| digest).collect()
    }
}

/// Lists the blobs under `blobs`. Until they are used again their order is that of their publication.
pub(super) fn scan(blobs: &Path) -> Result<(Index, Scanned), DiskError> {
    let mut scanned = Scanned::default();
    let mut found: Vec<(SystemTime, Digest, u64)> = Vec::new();
    for shelf in fs::read_dir(blobs).map_err(DiskError::at("list", blobs))? {
        let shelf = shelf.map_err(DiskError::at("list", blobs))?.path();
        match fs::read_dir(&shelf) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(DiskError::at("list", &shelf))?;
                    let blob = examine(&shelf, &entry).map_err(DiskError::at("examine", &entry.path()))?;
                    scanned.strangers += u64::from(blob.is_none());
                    found.extend(blob);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => scanned.strangers += 1,
            Err(error) => return Err(DiskError::at("list", &shelf)(error)),
        }
    }
    found.sort_unstable_by_key(|(published, digest, _)| (*published, *digest));
    let mut index = Index::default();
    found.into_iter().for_each(|(_, digest, size)| index.insert(digest, size));
    scanned.blobs = index.blobs.len() as u64;
    scanned.bytes = index.total_bytes;
    Ok((index, scanned))
}

/// What the name and the size of a file say; `None` for what the cache did not put there.
fn examine(shelf: &Path, entry: &DirEntry) -> io::Result<Option<(SystemTime, Digest, u64)>> {
    let Some(digest) = digest_of(&entry.file_name()) else { return Ok(None) };
    let in_place = shelf.file_name().map(OsStr::as_bytes) == entry.file_name().as_bytes().get(..2);
    let metadata = entry.metadata()?;
    if !in_place || !metadata.is_file() {
        return Ok(None);
    }
    Ok(Some((metadata.modified()?, digest, metadata.len())))
}

/// The digest that a file is named by, in the one spelling that the cache writes.
pub(super) fn digest_of(name: &OsStr) -> Option<Digest> {
    let name = name.to_str()?;
    let is_lower_case = name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_lower_case.then(|| name.parse().ok()).flatten()
}

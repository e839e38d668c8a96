//! How much of the blobs is here that are not here as a whole.

use std::{collections::HashMap, fs};

use proto::Digest;

use super::{Cache, index};

impl Cache {
    /// Is a fill of this blob under way?
    #[must_use]
    pub fn is_filling(&self, digest: &Digest) -> bool {
        self.index().filling.contains_key(digest)
    }

    /// The bytes that lie on disk of each blob that is no whole one, whether a fill of it is under way or was cut. What cannot
    /// be looked at is left out.
    #[must_use]
    pub fn partials(&self) -> HashMap<Digest, u64> {
        let entries = fs::read_dir(self.places.partials()).into_iter().flatten().flatten();
        let partial =
            |entry: fs::DirEntry| Some((index::digest_of(&entry.file_name())?, entry.metadata().ok()?.len()));
        entries.filter_map(partial).collect()
    }
}

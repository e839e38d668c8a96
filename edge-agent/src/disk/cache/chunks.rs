//! Lists of the chunks of whole blobs: what later blobs are put together from.
//!
//! A list is made while its blob is hashed, when it arrives or is read again. It is a hint: what is copied by it is
//! checked. So it is not synced, one that is torn is dropped, and one whose blob is gone is removed when it is found.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use proto::Digest;
use proto::chunks::ChunkList;

use super::{Cache, index};
use crate::disk::DiskError;

const LIST_MODE: u32 = 0o640;

impl Cache {
    /// The blobs that are here and have a list, in no order. Lists of others are removed.
    ///
    /// # Errors
    /// [`DiskError`] if the lists cannot be listed.
    pub fn listed(&self) -> Result<Vec<Digest>, DiskError> {
        let folder = self.places.lists();
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).map_err(DiskError::at("list", &folder))? {
            let entry = entry.map_err(DiskError::at("list", &folder))?;
            match index::digest_of(&entry.file_name()) {
                Some(digest) if self.size_of(&digest).is_some() => found.push(digest),
                Some(digest) => self.drop_list(&digest),
                None => {}
            }
        }
        Ok(found)
    }

    /// The list of a blob, if there is one and it can be read.
    #[must_use]
    pub fn list_of(&self, digest: &Digest) -> Option<ChunkList> {
        let bytes = fs::read(self.places.list(digest)).ok()?;
        let list = ChunkList::parse(&bytes).ok().filter(|list| self.size_of(digest) == Some(list.size()));
        if list.is_none() {
            self.drop_list(digest);
        }
        list
    }

    /// Is there a list of this blob?
    pub(super) fn has_list(&self, digest: &Digest) -> bool {
        self.places.list(digest).exists()
    }

    /// Forgets the list of a blob; the next reading of the blob makes another.
    pub fn drop_list(&self, digest: &Digest) {
        // What cannot be removed now is found again.
        let _ = fs::remove_file(self.places.list(digest));
    }

    /// Keeps the list of a blob that is here. Without it later blobs take longer, and nothing worse.
    pub(super) fn keep_list(&self, digest: &Digest, list: &ChunkList) {
        if let Err(error) = self.write_list(digest, list) {
            tracing::debug!(%digest, %error, "failed to keep the list of a blob's chunks");
            self.drop_list(digest);
        }
    }

    fn write_list(&self, digest: &Digest, list: &ChunkList) -> io::Result<()> {
        let path = self.places.list(digest);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(LIST_MODE).open(path)?;
        file.write_all(&list.encode())
    }
}

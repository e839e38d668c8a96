//! Image bytes by their SHA-256, in an object store (a directory for now).
//!
//! A blob appears under its digest when all its bytes were verified, or not at all; it never changes afterwards.
//! What part of one is asked for, and how several parts are sent, is here too; who may have them is asked where they are served.

mod parts;
mod put;
mod range;
mod room;

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use proto::Digest;

use room::Room;

pub(crate) use parts::Parts;
pub use put::{BlobUpload, PutError};
pub(crate) use range::{Wanted, wanted};
pub use room::NoRoom;

/// The blobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    room: Room,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many.
    pub blobs: u64,
    /// Their sizes together.
    pub bytes: u64,
}

/// The folder of blobs cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the blobs in {} cannot be used", path.display())]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// The object store failed.
#[derive(Debug, thiserror::Error)]
#[error("the blob store failed")]
pub struct BlobError(#[from] object_store::Error);

impl Blobs {
    /// The blobs in a folder, which is made if it is absent; what unfinished uploads left is removed. Blocks.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let at = |source| OpenError { path: folder.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at)?;
        sweep(folder).map_err(at)?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| at(io::Error::other(error)))?;
        Ok(Self { store: Arc::new(store.with_fsync(true)), room: Room::of(folder) })
    }

    /// Begins to take a blob in; see [`BlobUpload`].
    ///
    /// # Errors
    /// [`PutError`].
    pub async fn begin(&self, digest: Digest, size: u64) -> Result<BlobUpload, PutError> {
        BlobUpload::begin(Arc::clone(&self.store), self.room.clone(), digest, size).await
    }

    /// How much there is: one look at every blob.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn usage(&self) -> Result<Usage, BlobError> {
        let all = self.store.list(Some(&ObjectPath::from("sha256"))).map_err(BlobError);
        let add = |sum: Usage, blob: object_store::ObjectMeta| async move {
            Ok(Usage { blobs: sum.blobs + 1, bytes: sum.bytes + blob.size })
        };
        all.try_fold(Usage::default(), add).await
    }

    /// The size of a blob in bytes; None where it is not held.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn size(&self, digest: Digest) -> Result<Option<u64>, BlobError> {
        match self.store.head(&place(digest)).await {
            Ok(about) => Ok(Some(about.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Is the blob held?
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn contains(&self, digest: Digest) -> Result<bool, BlobError> {
        Ok(self.size(digest).await?.is_some())
    }

    /// The bytes of a blob from `range.start` up to before `range.end`.
    ///
    /// # Errors
    /// [`BlobError`], also for a blob that is not held.
    pub async fn read(
        &self,
        digest: Digest,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.store.get_opts(&place(digest), options).await?;
        Ok(found.into_stream().map_err(BlobError).boxed())
    }

    /// A whole blob.
    ///
    /// # Errors
    /// [`BlobError`], also for a blob that is not held.
    pub async fn read_all(&self, digest: Digest) -> Result<Bytes, BlobError> {
        Ok(self.store.get(&place(digest)).await?.bytes().await?)
    }
}

/// `sha256/ab/abcdef…`: no folder gets too many names.
fn place(digest: Digest) -> ObjectPath {
    let name = digest.to_string();
    ObjectPath::from_iter(["sha256", &name[..2], &name])
}

/// Removes what a crash left of uploads: the directory store writes beside the final name, with a `#`.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sweep(&entry.path())?;
        } else if entry.file_name().to_string_lossy().contains('#') {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

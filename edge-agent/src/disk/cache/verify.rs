//! Reading blobs again: what no longer matches its name is taken out of service (S15).

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use proto::Digest;
use proto::chunks::Cutter;
use sha2::{Digest as _, Sha256};

use super::{Cache, MAX_CORRUPT_KEPT};
use crate::disk::{DiskError, atomic};

/// What is read between two pauses, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The content matches its name.
    Sound {
        /// Its size in bytes.
        size: u64,
    },
    /// It did not match, and was moved to `corrupt`: the cache no longer has it.
    Corrupt {
        /// The digest of the content that was found.
        actual: Digest,
    },
}

/// Why a blob could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It could not be read to its end, which says that a disk is failing. It was moved to `corrupt`.
    #[error("the blob {digest} cannot be read")]
    Unreadable {
        /// The blob.
        digest: Digest,
        /// What the system said.
        source: DiskError,
    },
    /// It could not be opened or moved.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A blob that is being read again.
#[derive(Debug)]
pub struct Verification {
    digest: Digest,
    size: u64,
    path: PathBuf,
    file: File,
    hash: Sha256,
    /// For a blob that has no list of its chunks yet.
    cutter: Option<Cutter>,
    buffer: Vec<u8>,
}

/// What a piece of a verification came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes more were read, and there may be others.
    Read(u64),
    /// All of it was read.
    Done(Verdict),
}

impl Cache {
    /// Begins to read a blob again. It is served meanwhile, and its last use does not change. None: it is not here.
    ///
    /// # Errors
    /// [`VerifyError::Disk`] if it cannot be opened.
    pub fn verification(&self, digest: &Digest) -> Result<Option<Verification>, VerifyError> {
        let Some(size) = self.size_of(digest) else { return Ok(None) };
        let path = self.places.blob(digest);
        match File::open(&path) {
            Ok(file) => {
                let (hash, buffer) = (Sha256::new(), vec![0; PIECE_BYTES]);
                let cutter = Cutter::for_size(size).filter(|_| !self.has_list(digest));
                Ok(Some(Verification { digest: *digest, size, path, file, hash, cutter, buffer }))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.index().forget(digest);
                Ok(None)
            }
            Err(error) => Err(DiskError::at("open", &path)(error).into()),
        }
    }
}

impl Verification {
    /// Reads the next piece. What does not match its name, or cannot be read, is taken out of service.
    ///
    /// # Errors
    /// [`VerifyError`]; a blob that was found corrupt is no error but a [`Verdict`].
    pub fn step(&mut self, cache: &Cache) -> Result<Step, VerifyError> {
        match self.file.read(&mut self.buffer) {
            Ok(0) => self.judge(cache).map(Step::Done),
            Ok(read) => {
                self.hash.update(&self.buffer[..read]);
                self.cutter.iter_mut().for_each(|cutter| cutter.push(&self.buffer[..read]));
                Ok(Step::Read(read as u64))
            }
            Err(error) => {
                cache.quarantine(&self.digest)?;
                let source = DiskError::at("read", &self.path)(error);
                Err(VerifyError::Unreadable { digest: self.digest, source })
            }
        }
    }

    fn judge(&mut self, cache: &Cache) -> Result<Verdict, VerifyError> {
        let actual = Digest(self.hash.clone().finalize().into());
        if actual == self.digest {
            if let Some(list) = self.cutter.take().and_then(Cutter::finish) {
                cache.keep_list(&self.digest, &list);
            }
            return Ok(Verdict::Sound { size: self.size });
        }
        cache.quarantine(&self.digest)?;
        Ok(Verdict::Corrupt { actual })
    }
}

/// Removes the oldest of `corrupt` beyond [`MAX_CORRUPT_KEPT`].
pub(super) fn bound_corrupt(corrupt: &Path) -> Result<(), DiskError> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(corrupt).map_err(DiskError::at("list", corrupt))? {
        let entry = entry.map_err(DiskError::at("list", corrupt))?;
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        kept.push((modified.map_err(DiskError::at("examine", &entry.path()))?, entry.path()));
    }
    kept.sort_unstable();
    let excess = kept.len().saturating_sub(MAX_CORRUPT_KEPT);
    for (_, path) in &kept[..excess] {
        fs::remove_file(path).map_err(DiskError::at("remove", path))?;
    }
    match excess {
        0 => Ok(()),
        _ => atomic::sync_directory(corrupt),
    }
}

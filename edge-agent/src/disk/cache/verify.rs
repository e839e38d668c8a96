//! Reading blobs again: what no longer matches its name is taken out of service (S15).

use std::fs::{self, File};
use std::io::Read;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use proto::Digest;
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
    /// The cache does not have it.
    Absent,
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

impl Cache {
    /// Reads a blob again, no faster than `bytes_per_second`, waiting by `pause` between the pieces.
    ///
    /// The blob is served meanwhile, and its last use does not change.
    ///
    /// # Errors
    /// [`VerifyError`]; a blob that was found corrupt is no error but a [`Verdict`].
    pub fn verify(
        &self,
        digest: &Digest,
        bytes_per_second: NonZeroU64,
        pause: &mut dyn FnMut(Duration),
    ) -> Result<Verdict, VerifyError> {
        let Some(size) = self.size_of(digest) else { return Ok(Verdict::Absent) };
        let path = self.places.blob(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.index().forget(digest);
                return Ok(Verdict::Absent);
            }
            Err(error) => return Err(DiskError::at("open", &path)(error).into()),
        };
        match hash(file, bytes_per_second, pause) {
            Ok(actual) if actual == *digest => Ok(Verdict::Sound { size }),
            Ok(actual) => {
                self.quarantine(digest)?;
                Ok(Verdict::Corrupt { actual })
            }
            Err(error) => {
                self.quarantine(digest)?;
                let source = DiskError::at("read", &path)(error);
                Err(VerifyError::Unreadable { digest: *digest, source })
            }
        }
    }
}

fn hash(
    mut file: File,
    bytes_per_second: NonZeroU64,
    pause: &mut dyn FnMut(Duration),
) -> std::io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest(hash.finalize().into())),
            read => {
                hash.update(&buffer[..read]);
                let nanos = read as u64 * 1_000_000_000 / bytes_per_second;
                pause(Duration::from_nanos(nanos));
            }
        }
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

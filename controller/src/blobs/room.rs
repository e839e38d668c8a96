//! Whether the disk of the blobs has room, and how much is missing where it has not.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folder of the blobs, as far as its disk goes.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Path>);

/// A disk without room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the controller's disk is full: {} takes {needed} bytes more and has room for {free}, {} are missing; make room \
     there and import again, what was uploaded before is kept",
    folder.display(), mebibytes(needed.saturating_sub(*free))
)]
pub struct NoRoom {
    folder: PathBuf,
    /// Bytes.
    needed: u64,
    /// Bytes.
    free: u64,
}

impl Room {
    pub(super) fn of(folder: &Path) -> Self {
        Self(folder.into())
    }

    /// Refuses what is larger than what is free now. A disk that does not say is tried.
    pub(super) fn check(&self, needed: u64) -> Result<(), NoRoom> {
        match self.free() {
            Some(free) if free < needed => Err(self.refusal(needed, free)),
            Some(_) | None => Ok(()),
        }
    }

    /// Why so many bytes found no room.
    pub(super) fn none(&self, needed: u64) -> NoRoom {
        // What others take or give meanwhile must not make it look as if there were room.
        let free = self.free().unwrap_or(0).min(needed);
        self.refusal(needed, free)
    }

    fn refusal(&self, needed: u64, free: u64) -> NoRoom {
        NoRoom { folder: self.0.to_path_buf(), needed, free }
    }

    /// Bytes that files may take still.
    fn free(&self) -> Option<u64> {
        let about = rustix::fs::statvfs(&*self.0).ok()?;
        Some(about.f_bavail.saturating_mul(about.f_frsize))
    }
}

/// Was it for want of room?
pub(super) fn is_full(error: &(dyn Error + 'static)) -> bool {
    let full =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(full) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Rounded up.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_where_is_said() {
        let room = Room::of(Path::new("/srv/blobs"));
        let text = room.refusal(3 << 20, (1 << 20) + 1).to_string();
        assert!(text.contains("disk is full: /srv/blobs takes 3145728 bytes more"), "{text}");
        assert!(text.contains("room for 1048577, 2 MiB are missing"), "{text}");
    }

    #[test]
    fn what_cannot_fit_is_refused_before_it_is_sent() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let room = Room::of(folder.path());
        assert_eq!(room.check(0), Ok(()));
        assert!(room.check(u64::MAX).is_err());
    }

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let generic = |kind: io::ErrorKind| object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(io::Error::from(kind)),
        };
        assert!(is_full(&generic(io::ErrorKind::StorageFull)));
        assert!(!is_full(&generic(io::ErrorKind::PermissionDenied)));
    }
}

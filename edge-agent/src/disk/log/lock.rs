//! One process at a time: two writers would overwrite each other's frames.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::OpenError;
use crate::disk::DiskError;

/// Holds the lock file until it is dropped, or the process dies.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes the lock of the ledger in `directory`, or says at once that it is taken.
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join("ledger.lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(&path)
            .map_err(DiskError::at("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { file: path }),
            Err(TryLockError::Error(error)) => Err(DiskError::at("lock", &path)(error).into()),
        }
    }
}

/// Does a process hold the lock of the ledger in `directory`? None: this process may not look.
pub(crate) fn is_held(directory: &Path) -> Option<bool> {
    match File::open(directory.join("ledger.lock")) {
        Ok(file) => Some(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))),
        Err(error) => (error.kind() != io::ErrorKind::PermissionDenied).then_some(false),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not do: a process that was just forked shares the lock until it executes.
        let _ = self.0.unlock();
    }
}

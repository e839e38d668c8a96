//! The folder of a store: its lock, and which of its databases counts.
//!
//! ```text
//! DIR/lock               held by the one process that has the store open
//! DIR/db-00000001/       a sled database; the one with the highest number counts
//! DIR/db-00000002.partial/   one being written: it never counts, and goes away at the next start
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::store::medium::MediumError;

/// Readable by the controller alone: the store holds what the whole fleet does.
const PRIVATE: u32 = 0o700;
const PREFIX: &str = "db-";
const PARTIAL: &str = ".partial";

/// Why a store's folder does not open. What is in it was left there.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("store {path} is in use by another controller; stop that one first")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("store {path} cannot be used")]
    Io {
        /// The file or folder that failed.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database does not open: damaged, or its disk is full or failing. It is never deleted.
    #[error(
        "store {path} does not open: {cause}; if its disk is full, make room; \
         else move it aside, keep it, and restore the last backup"
    )]
    Damaged {
        /// The database that does not open.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

/// The folder, locked.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The lock lasts as long as this folder, and no longer than the process.
    lock: File,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing would not do: a process that was just forked shares the lock until it executes.
        let _ = self.lock.unlock();
    }
}

/// Where a new database goes, before and after it is complete.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) partial: PathBuf,
    pub(super) path: PathBuf,
}

impl Folder {
    /// Locks the folder; makes it if it is absent.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(PRIVATE).create(path).map_err(at(path))?;
        let name = path.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&name).map_err(at(&name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(at(&name)(source)),
        }
    }

    /// The database that counts; `None` in a new folder.
    pub(super) fn newest(&self) -> Result<Option<PathBuf>, OpenError> {
        let numbers = self.entries()?.into_iter().filter_map(|path| Some((number(&path)?, path)));
        Ok(numbers.max().map(|(_, path)| path))
    }

    /// Removes every complete database but the one that counts.
    pub(super) fn discard_others(&self, keep: &Path) -> Result<(), OpenError> {
        self.discard(|path| path != keep && number(path).is_some())
    }

    /// Removes what was being written when the process ended: it only takes space.
    pub(super) fn discard_partial(&self) -> Result<(), OpenError> {
        self.discard(is_partial)
    }

    fn discard(&self, goes: impl Fn(&Path) -> bool) -> Result<(), OpenError> {
        for path in self.entries()?.into_iter().filter(|path| goes(path)) {
            fs::remove_dir_all(&path).map_err(|source| OpenError::Io { path, source })?;
        }
        Ok(())
    }

    /// Makes room for the next database.
    pub(super) fn next_place(&self) -> Result<Place, MediumError> {
        let newest = self.newest().map_err(|error| MediumError(error.to_string()))?;
        let next = newest.as_deref().and_then(number).map_or(1, |number| number.saturating_add(1));
        let name = format!("{PREFIX}{next:08}");
        let place = Place { partial: self.path.join(format!("{name}{PARTIAL}")), path: self.path.join(name) };
        match fs::remove_dir_all(&place.partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(place),
        }
    }

    /// Makes a complete, synced database the newest, durably.
    pub(super) fn publish(&self, place: &Place) -> Result<(), MediumError> {
        fs::rename(&place.partial, &place.path)?;
        Ok(File::open(&self.path)?.sync_all()?)
    }

    /// The error for a folder in which no database could be made.
    pub(super) fn refused(&self, error: MediumError) -> OpenError {
        OpenError::Io { path: self.path.clone(), source: io::Error::other(error) }
    }

    fn entries(&self) -> Result<Vec<PathBuf>, OpenError> {
        let at = |source| OpenError::Io { path: self.path.clone(), source };
        let entries = fs::read_dir(&self.path).map_err(at)?;
        entries.map(|entry| Ok(entry.map_err(at)?.path())).collect()
    }
}

/// The number of a complete database.
fn number(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

fn is_partial(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(PARTIAL))
}

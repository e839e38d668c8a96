//! Opening sled 0.34.7 in spite of its habits; both stores of the controller, the catalog's and the events', open
//! their databases here.
//!
//! Who may have a database open is the caller's to see to: here a lock that is held is waited for.

mod sync;

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

/// Memory that sled keeps pages in. Both stores read most of it at start alone, so a small one is enough.
const CACHE_BYTES: u64 = 64 << 20;
/// How often sled writes out what it buffers. No acknowledgement rests on it.
const FLUSH_EVERY_MS: u64 = 500;
/// How long to wait for sled to let go of a database that was just closed: ten seconds at most.
const LOCK_ATTEMPTS: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why a database does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// sled says why.
    #[error(transparent)]
    Sled(#[from] sled::Error),
    /// Its folder.
    #[error(transparent)]
    Folder(#[from] io::Error),
    /// Damage that sled answers with a panic.
    #[error("sled panicked while it opened the database")]
    Panicked,
    /// The lock stayed.
    #[error("sled still has the database locked from before")]
    Locked,
}

/// Opens a database, or makes an empty one where there is none.
///
/// A database that this process closed keeps sled's lock for a moment, until its last thread has gone and no child
/// that is just being started shares the file.
pub(crate) fn open(path: &Path) -> Result<sled::Db, DatabaseError> {
    sync::take_the_place();
    discard_unfinished_snapshots(path)?;
    let config =
        sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_EVERY_MS));
    for _ in 0..LOCK_ATTEMPTS {
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Err(error)) if is_locked(&error) => std::thread::sleep(LOCK_PAUSE),
            Ok(opened) => return Ok(opened?),
            Err(_) => return Err(DatabaseError::Panicked),
        }
    }
    Err(DatabaseError::Locked)
}

/// sled has no error of its own for it, only these words.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// Removes snapshots that sled had not finished when its process ended or its disk was full.
///
/// sled writes `snap.LSN.generating` and renames it once it is synced; at the next start it takes an unfinished one for
/// the newest and calls the database corrupt. A snapshot only saves reading the log: without it nothing is lost.
fn discard_unfinished_snapshots(database: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(database) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::info!(path = %path.display(), "removing a snapshot that was not finished");
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Syncs every file and folder below a path, and the folder itself.
pub(crate) fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()
}

#[cfg(test)]
pub(crate) use sync::watched;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_goes_away_is_waited_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        drop(open(folder.path()).expect("opens"));
        let held = File::open(folder.path().join("db")).expect("is there");
        held.lock().expect("free once sled's threads have gone");
        let (tell, told) = std::sync::mpsc::channel();
        let path = folder.path().to_owned();
        let opening = std::thread::spawn(move || {
            let database = open(&path);
            tell.send(()).expect("somebody listens");
            database.map(drop)
        });
        let waits = told.recv_timeout(LOCK_PAUSE * 5);
        assert_eq!(waits, Err(std::sync::mpsc::RecvTimeoutError::Timeout), "the lock is held");
        held.unlock().expect("was ours");
        opening.join().expect("ends").expect("opens once the lock is free");
    }
}

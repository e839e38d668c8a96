//! The folder of the event store: a new database is complete and synced before it counts.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::events::store::OpenError;
use crate::store::discard_unfinished_snapshots;

/// Readable by the controller alone.
const PRIVATE: u32 = 0o700;
const NAME: &str = "db-1";
/// Memory that sled keeps pages in.
const CACHE_BYTES: u64 = 64 << 20;
/// How often sled writes out what it buffers. Acknowledgement does not rest on it.
const FLUSH_EVERY_MS: u64 = 500;

/// Opens the database, and a handle of our own to the file that sled writes.
pub(super) fn open(folder: &Path) -> Result<(sled::Db, File), OpenError> {
    let unusable =
        |error: io::Error| OpenError::Unusable { path: folder.to_owned(), cause: error.to_string() };
    DirBuilder::new().recursive(true).mode(PRIVATE).create(folder).map_err(unusable)?;
    let place = folder.join(NAME);
    if !place.exists() {
        create(folder, &place).map_err(unusable)?;
    }
    let damaged = |cause: String| OpenError::Damaged { path: place.clone(), cause };
    // sled would make an empty database of a folder without its file.
    let file = File::open(place.join("db")).map_err(|error| damaged(format!("its file `db`: {error}")))?;
    let db = open_sled(&place).map_err(damaged)?;
    Ok((db, file))
}

fn create(folder: &Path, place: &Path) -> io::Result<()> {
    let partial = folder.join(format!("{NAME}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    let db = open_sled(&partial).map_err(io::Error::other)?;
    db.flush().map_err(io::Error::other)?;
    drop(db);
    sync_tree(&partial)?;
    fs::rename(&partial, place)?;
    File::open(folder)?.sync_all()
}

fn sync_tree(path: &Path) -> io::Result<()> {
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

/// Opens a database. sled answers some damage with a panic, which ends here.
fn open_sled(path: &Path) -> Result<sled::Db, String> {
    discard_unfinished_snapshots(path).map_err(|error| error.to_string())?;
    let config =
        sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_EVERY_MS));
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(opened) => opened.map_err(|error| error.to_string()),
        Err(_) => Err("sled panicked while it opened the database".to_owned()),
    }
}

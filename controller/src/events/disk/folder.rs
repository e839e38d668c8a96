//! The folder of the event store: a new database is complete and synced before it counts.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::database::{self, sync_tree};
use crate::events::store::OpenError;

/// Readable by the controller alone.
const PRIVATE: u32 = 0o700;
const NAME: &str = "db-1";
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
    let db = database::open(&place).map_err(|error| damaged(error.to_string()))?;
    Ok((db, file))
}

fn create(folder: &Path, place: &Path) -> io::Result<()> {
    let partial = folder.join(format!("{NAME}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    let db = database::open(&partial).map_err(io::Error::other)?;
    db.flush().map_err(io::Error::other)?;
    drop(db);
    sync_tree(&partial)?;
    fs::rename(&partial, place)?;
    File::open(folder)?.sync_all()
}

//! sled 0.34.7 as a medium, in the one shape in which it survives a power cut (ADR 0003).
//!
//! - One tree: `m` the numbers, `d…` the base, `l…` the log by revision. One writer.
//! - A group of revisions is one [`sled::Batch`], then `flush()`, then `sync_data()` on a handle of
//!   our own, as `flush()` alone is `sync_file_range` and keeps nothing through a power cut.
//! - sled moves items of 128 KiB and more into files that nobody syncs. A leaf holds 16 values, so
//!   all values here are cut into chunks of 4 KiB, and sled's keys are short whatever ours are.
//! - sled is read once, when it is opened; it never reports changes (`watch_prefix` stalls writers).
//! - Its files never shrink: [`Medium::replace`] writes a new database and renames it into place.

mod folder;
mod layout;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::folder::Folder;
pub use self::folder::OpenError;
use self::layout::Layout;
use super::medium::{Medium, MediumError};
use super::state::State;
use super::{Batch, Epoch};
use crate::database::{self, DatabaseError, sync_tree};

/// A database is written anew at start when it is larger than this many times its content …
const SHRINK_FACTOR: u64 = 4;
/// … and than this many bytes.
const SHRINK_FLOOR_BYTES: u64 = 64 << 20;
/// How the medium waits for the disk: replaced by tests that make disks fail.
type Sync = Box<dyn FnMut(&File) -> io::Result<()> + Send>;

/// A store's folder with its sled database.
pub(super) struct Disk {
    folder: Folder,
    open: Database,
    sync: Sync,
}

impl Disk {
    /// Opens the folder, or makes it, and reads the whole store.
    pub(super) fn open(path: &Path) -> Result<(Self, State), OpenError> {
        Self::open_with(path, Box::new(File::sync_data))
    }

    fn open_with(path: &Path, sync: Sync) -> Result<(Self, State), OpenError> {
        let folder = Folder::open(path)?;
        folder.discard_partial()?;
        let (open, state) = match folder.newest()? {
            Some(place) => Database::load(place)?,
            None => {
                let state = State::empty(Epoch::FIRST);
                (create(&folder, &state).map_err(|error| folder.refused(error))?, state)
            }
        };
        folder.discard_others(&open.path)?;
        let mut disk = Self { folder, open, sync };
        disk.shrink(&state).map_err(|error| disk.folder.refused(error))?;
        Ok((disk, state))
    }

    fn shrink(&mut self, state: &State) -> Result<(), MediumError> {
        let content = state.present_bytes() + state.log_bytes();
        let size = self.open.file.metadata().map_err(MediumError::from)?.len();
        if size > SHRINK_FLOOR_BYTES && size / SHRINK_FACTOR > content {
            tracing::info!(
                size,
                content,
                "writing the store anew, as its file has grown far over its content"
            );
            self.replace(state)?;
        }
        Ok(())
    }

    fn commit(&mut self, batch: sled::Batch) -> Result<(), MediumError> {
        self.open.db.apply_batch(batch)?;
        self.open.db.flush()?;
        (self.sync)(&self.open.file)?;
        Ok(())
    }
}

impl Medium for Disk {
    fn append(&mut self, batches: &[Arc<Batch>]) -> Result<(), MediumError> {
        let batch = self.open.layout.append(batches);
        self.commit(batch)
    }

    fn fold(&mut self, batches: &[Arc<Batch>]) -> Result<(), MediumError> {
        let batch = self.open.layout.fold(batches);
        self.commit(batch)
    }

    fn replace(&mut self, state: &State) -> Result<(), MediumError> {
        // The new database is complete and synced before the rename that makes it the newest.
        self.open = create(&self.folder, state)?;
        self.folder.discard_others(&self.open.path).map_err(|error| MediumError(error.to_string()))
    }
}

/// Writes a new database and makes it the newest of the folder.
fn create(folder: &Folder, state: &State) -> Result<Database, MediumError> {
    let place = folder.next_place()?;
    let written = Database::write(&place.partial, state).and_then(|()| Ok(sync_tree(&place.partial)?));
    if let Err(error) = written {
        // Half a database only fills the disk further; the error that matters is the first.
        let _ = std::fs::remove_dir_all(&place.partial);
        return Err(error);
    }
    folder.publish(&place)?;
    let db = database::open(&place.path)?;
    let file = File::open(place.path.join("db"))?;
    Ok(Database { path: place.path, db, file, layout: Layout::of(state) })
}

/// An open database.
struct Database {
    path: PathBuf,
    db: sled::Db,
    /// A handle of our own to the file that sled writes.
    file: File,
    layout: Layout,
}

impl Database {
    /// Fills a new database, and closes it.
    fn write(path: &Path, state: &State) -> Result<(), MediumError> {
        let db = database::open(path)?;
        let layout = Layout::of(state);
        for batch in layout::base(state) {
            db.apply_batch(batch)?;
        }
        for batches in state.log().iter().collect::<Vec<_>>().chunks(64) {
            let batches: Vec<Arc<Batch>> = batches.iter().map(|batch| Arc::clone(batch)).collect();
            db.apply_batch(layout.clone().append(&batches))?;
        }
        db.apply_batch(layout.numbers())?;
        db.flush()?;
        Ok(())
    }

    fn load(path: PathBuf) -> Result<(Self, State), OpenError> {
        let damaged = |cause: String| OpenError::Damaged { path: path.clone(), cause };
        // sled would make an empty database of a folder without its file.
        let file = File::open(path.join("db")).map_err(|error| damaged(format!("its file `db`: {error}")))?;
        let db = database::open(&path).map_err(|error| damaged(error.to_string()))?;
        let state = layout::read(&db).map_err(|error| damaged(error.to_string()))?;
        let layout = Layout::of(&state);
        Ok((Self { path, db, file, layout }, state))
    }
}

impl From<sled::Error> for MediumError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => error.into(),
            error @ (sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Corruption { .. }) => Self(error.to_string()),
        }
    }
}

impl From<DatabaseError> for MediumError {
    fn from(error: DatabaseError) -> Self {
        Self(error.to_string())
    }
}

impl From<io::Error> for MediumError {
    fn from(error: io::Error) -> Self {
        // sled keeps an error of the system as the text of its `Debug` form, which is for nobody's eyes; its kind it keeps whole.
        let is_sleds = error.raw_os_error().is_none() && error.kind() != io::ErrorKind::Other;
        Self(if is_sleds { error.kind().to_string() } else { error.to_string() })
    }
}

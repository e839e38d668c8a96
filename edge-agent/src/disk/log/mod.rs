//! The ledger: the agent's write-ahead log.
//!
//! Every durable change (a lease, an order's state, an event, an acknowledgement) is
//! [appended](Ledger::append) as a record, and one [commit](Ledger::commit) makes a whole group of records durable with
//! one `fdatasync` before the packets that rest on them leave (DESIGN §3). Opening replays the records in
//! order. When [`Ledger::needs_snapshot`] says so the owner hands over the records that re-create its live
//! state, and they take the place of all that came before ([`Ledger::compact`]).
//!
//! A ledger is a directory of segment files `ledger-<16 hex>.log` (see `segment` and `frame` for the bytes),
//! a lock file and a [reserve](Ledger::reserve_state). After a crash or a power cut at any moment it opens
//! with all that was committed; damage to what was committed is a typed error, and then nothing is changed.
//!
//! A failed sync is never tried again: the kernel may have dropped the pages and would report success. The
//! ledger is then poisoned, what was not durable is said to be not durable, and a restart reads what is.

mod commit;
mod compact;
mod error;
mod fault;
mod frame;
mod lock;
mod open;
mod replay;
mod reserve;
mod segment;
#[cfg(test)]
mod tests;
mod zeros;

use std::fs::File;
use std::path::{Path, PathBuf};

use proto::Incarnation;

pub use compact::Snapshot;
pub use error::{AppendError, CommitError, CompactError, Damage, OpenError};
#[cfg(test)]
pub(crate) use fault::Step;
pub use frame::{MAX_RECORD_BYTES, Problem, Record, Tag};
pub use open::{Salvaged, salvage};
pub use replay::{Refusal, Visitor};
pub use segment::FORMAT_VERSION;

use crate::disk::DiskError;
use crate::disk::space::ReserveState;
use commit::{Batch, Beside};
use fault::Faults;
use lock::Lock;
pub(crate) use lock::is_held as is_in_use;
use reserve::Reserve;
use segment::{Header, Unborn};

/// The most that one commit may carry, in bytes of frames.
pub const MAX_BATCH_BYTES: usize = 8 << 20;

/// How a ledger is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The identity of the ledger if it is made now; drawn at random by the shell.
    pub incarnation_if_new: Incarnation,
    /// A live segment beyond this many bytes is sealed and followed by the next.
    pub segment_bytes: u64,
    /// Beyond this many bytes since the last snapshot [`Ledger::needs_snapshot`] asks for one.
    pub snapshot_after_bytes: u64,
    /// How much room is set aside for times when the disk is full, in bytes.
    pub reserve_bytes: u64,
    /// How much room the live segment claims from the file system at a time, in bytes.
    pub growth_bytes: u64,
    /// How many bytes of zeros are written ahead of the records at a time, within that room: a commit that then overwrites
    /// some changes nothing else of the file.
    pub zeros_bytes: u64,
    faults: Faults,
}

impl Options {
    /// Segments of 4 MiB, a snapshot after 16 MiB, a reserve of 16 MiB, growth by 1 MiB, zeros by 256 KiB.
    #[must_use]
    pub fn new(incarnation_if_new: Incarnation) -> Self {
        Self {
            incarnation_if_new,
            segment_bytes: 4 << 20,
            snapshot_after_bytes: 16 << 20,
            reserve_bytes: 16 << 20,
            growth_bytes: 1 << 20,
            zeros_bytes: 256 << 10,
            faults: Faults::default(),
        }
    }

    /// `hook` is asked before each step that changes the disk; an error takes the place of the step.
    #[cfg(test)]
    pub(crate) fn with_hook(
        self,
        hook: impl Fn(Step) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { faults: Faults::hooked(hook), ..self }
    }
}

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Records that were replayed.
    pub records: u64,
    /// Bytes behind the last whole frame that were cut off: what a crash left of a commit that had not
    /// returned. Zero after a clean stop.
    pub torn_bytes: u64,
    /// Whether there was no ledger and a new one was made.
    pub created: bool,
}

/// An open ledger. One owner, one thread.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    options: Options,
    content: Content,
    batch: Batch,
    reserve: Reserve,
    exhausted: bool,
    poisoned: bool,
    beside: Beside,
    _lock: Lock,
}

/// The segments that count.
#[derive(Debug)]
struct Content {
    live: Live,
    /// Number of the segment that begins with the last snapshot.
    oldest: u64,
    /// Bytes of that segment and all after it, without the live one.
    sealed_bytes: u64,
    /// How many of the bytes are the last snapshot.
    snapshot_bytes: u64,
}

/// The segment that grows.
#[derive(Debug)]
struct Live {
    file: File,
    header: Header,
    path: PathBuf,
    /// Durable bytes.
    length: u64,
    /// How far the file may grow before room must be claimed again, in bytes from its start.
    room: u64,
    /// How far it was written, zeros included.
    written: u64,
}

impl Live {
    /// The segment that was just given its name.
    fn of(unborn: Unborn) -> Self {
        let path = unborn.path().to_path_buf();
        let Unborn { header, length, file, .. } = unborn;
        Self { header, length, room: length, written: length, path, file }
    }
}

impl Ledger {
    /// Opens the ledger in `directory`, or makes it, and shows `visit` every record, oldest first.
    ///
    /// What was replayed is durable when this returns.
    ///
    /// # Errors
    /// [`OpenError`] names the file and the place; nothing was changed, unless it is a
    /// [`OpenError::Disk`], which may come while leftovers of a crash are tidied up.
    pub fn open(
        directory: &Path,
        options: Options,
        visit: &mut Visitor<'_>,
    ) -> Result<(Self, Opened), OpenError> {
        open::open(directory, options, visit)
    }

    fn assemble(directory: &Path, lock: Lock, options: Options, content: Content, reserve: Reserve) -> Self {
        let directory = directory.to_path_buf();
        let batch = Batch::default();
        Self {
            directory,
            options,
            content,
            batch,
            reserve,
            exhausted: false,
            poisoned: false,
            beside: Beside::default(),
            _lock: lock,
        }
    }

    /// The identity that was made with the ledger.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.content.live.header.incarnation
    }

    /// Whether so much was written since the last snapshot that the owner should [compact](Self::compact).
    ///
    /// A snapshot that is itself large asks for the next one only when as much again was written.
    #[must_use]
    pub fn needs_snapshot(&self) -> bool {
        if !matches!(self.beside, Beside::Nothing) {
            return false;
        }
        let Content { live, sealed_bytes, snapshot_bytes, .. } = &self.content;
        let since = (sealed_bytes + live.length).saturating_sub(*snapshot_bytes);
        since > self.options.snapshot_after_bytes.max(*snapshot_bytes)
    }

    /// What is left of the room set aside; see [`Pressure::judge`](crate::disk::space::Pressure::judge).
    #[must_use]
    pub fn reserve_state(&self) -> ReserveState {
        match (self.exhausted, self.reserve.is_whole()) {
            (true, _) => ReserveState::Exhausted,
            (false, false) => ReserveState::InUse,
            (false, true) => ReserveState::Whole,
        }
    }

    /// Sets the missing room aside again if there is more than that free. To be called now and then while
    /// the reserve is not whole.
    ///
    /// # Errors
    /// [`DiskError`] if the file system fails; a lack of room is no error but the state returned.
    pub fn refill_reserve(&mut self) -> Result<ReserveState, DiskError> {
        let whole = self.reserve.refill(self.options.growth_bytes)?;
        self.exhausted &= !whole;
        Ok(self.reserve_state())
    }

    /// Whether an earlier failure stopped this ledger.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

//! How opening, appending, committing and compacting a ledger fail.

use std::path::{Path, PathBuf};

use proto::Incarnation;

use super::frame::{MAX_RECORD_BYTES, Problem};
use super::segment::FORMAT_VERSION;
use crate::disk::DiskError;

/// Why a ledger was not opened. Nothing was deleted, cut or overwritten.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, holds the ledger.
    #[error("lock {}: another process holds this ledger", file.display())]
    Locked {
        /// The lock file.
        file: PathBuf,
    },
    /// Something that had been durable is no longer what was written.
    #[error(
        "{} is damaged at byte {offset}: restore the state directory, or salvage what is readable",
        file.display()
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where the first unreadable frame begins, in bytes.
        offset: u64,
        /// What is wrong there.
        source: Damage,
    },
    /// A segment between the last snapshot and the end is not there.
    #[error(
        "segment {} is missing: restore the state directory, or salvage what is readable",
        file.display()
    )]
    MissingSegment {
        /// The segment that should be there.
        file: PathBuf,
    },
    /// A segment belongs to another ledger.
    #[error("{} belongs to another ledger: incarnation {found} instead of {expected}", file.display())]
    WrongIncarnation {
        /// The segment.
        file: PathBuf,
        /// The incarnation of the segments before it.
        expected: Incarnation,
        /// Its own.
        found: Incarnation,
    },
    /// A later version of the agent wrote the segment.
    #[error(
        "{} has format {found}, and this agent reads {FORMAT_VERSION}: start the version that wrote it",
        file.display()
    )]
    Version {
        /// The segment.
        file: PathBuf,
        /// Its format version.
        found: u32,
    },
    /// The owner could not make sense of a whole record.
    #[error("{} has a record at byte {offset} that is not understood", file.display())]
    Refused {
        /// The segment.
        file: PathBuf,
        /// Where the record's frame begins, in bytes.
        offset: u64,
        /// What the owner said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file system failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl OpenError {
    pub(crate) fn damaged(file: &Path, offset: u64, source: Damage) -> Self {
        Self::Damaged { file: file.to_path_buf(), offset, source }
    }
}

/// What is wrong with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The header is short, or its magic or checksum is wrong.
    #[error("the header does not hold")]
    Header,
    /// The file's name and its header disagree.
    #[error("the header says segment {found:#018x}")]
    Number {
        /// The number in the header.
        found: u64,
    },
    /// A frame that had been durable does not hold.
    #[error(transparent)]
    Frame(Problem),
    /// A frame holds whose kind this version does not know.
    #[error("the frame has the unknown kind {0:#04x}")]
    UnknownKind(u8),
    /// A mark stands where it cannot.
    #[error("a mark of the ledger stands where it cannot")]
    MisplacedMark,
    /// A segment that others follow, or a snapshot, ends before its end.
    #[error("the file ends too early")]
    EndsEarly,
}

/// Why a record was not taken into the batch.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The record is longer than the format permits.
    #[error("a record of {bytes} bytes exceeds the limit of {MAX_RECORD_BYTES}")]
    TooLong {
        /// The record's length with its tag.
        bytes: usize,
    },
    /// The batch is full: commit first.
    #[error("the batch already holds {bytes} bytes: commit first")]
    BatchFull {
        /// What it holds.
        bytes: usize,
    },
    /// An earlier failure left the end of the ledger uncertain.
    #[error("the ledger stopped after an earlier failure to write: restart the agent")]
    Poisoned,
}

/// Why a batch is not known to be durable.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// No room, not even in the reserve. The batch stays and goes first with the next commit.
    #[error("{records} records wait for space")]
    Full {
        /// How many records are not durable.
        records: usize,
        /// The write that found no room.
        source: DiskError,
    },
    /// Writing or syncing failed. The batch is lost to this process and the ledger is poisoned.
    #[error("{records} records are not durable and the ledger is stopped")]
    Lost {
        /// How many records are not durable.
        records: usize,
        /// What failed.
        source: DiskError,
    },
    /// An earlier failure left the end of the ledger uncertain.
    #[error("the ledger stopped after an earlier failure to write: restart the agent")]
    Poisoned,
}

/// Why a snapshot did not take the place of the segments before it.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// Too much was appended while it was written. The ledger goes on as it was.
    #[error("the snapshot was given up: too much was written meanwhile")]
    GivenUp,
    /// Whoever wrote it ended, or never began, before all of it was written. The ledger goes on as it was.
    #[error("the snapshot was not written to its end")]
    Unfinished,
    /// Another one is being written. The ledger goes on as it was.
    #[error("another snapshot is under way")]
    UnderWay,
    /// A record of the snapshot is longer than the format permits. The ledger goes on as it was.
    #[error("a snapshot record of {bytes} bytes exceeds the limit of {MAX_RECORD_BYTES}")]
    TooLong {
        /// The record's length with its tag.
        bytes: usize,
    },
    /// The new segment could not be written. The ledger goes on as it was.
    #[error("the snapshot was not written")]
    NotWritten(#[source] DiskError),
    /// The new segment may or may not survive a crash: the ledger is poisoned; either way a restart
    /// finds a whole ledger.
    #[error("the snapshot's name is not durable and the ledger is stopped")]
    Uncertain(#[source] DiskError),
    /// The snapshot is durable and in use, but an older segment could not be removed. The next open does.
    #[error("an older segment stays behind")]
    OldRemains(#[source] DiskError),
    /// An earlier failure left the end of the ledger uncertain.
    #[error("the ledger stopped after an earlier failure to write: restart the agent")]
    Poisoned,
}

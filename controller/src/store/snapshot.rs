//! A whole store at one revision, as one file: for backups, restores and moving between engines.

use std::io::{Read, Write};

use super::Epoch;
use super::state::State;

/// A whole store at one revision, with its history since compaction.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) state: State,
}

impl Snapshot {
    /// Writes the snapshot: versioned header, length-prefixed records, SHA-256 of it all.
    pub fn write_to(&self, _writer: impl Write) -> std::io::Result<()> {
        todo!()
    }

    /// Reads and verifies a whole snapshot; a truncated or damaged one is refused.
    pub fn read_from(_reader: impl Read) -> Result<Self, SnapshotError> {
        todo!()
    }
}

/// What a snapshot becomes where it is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportAs {
    /// The same store in a new place: keeps its epoch. Only where the old one is gone for good.
    Moved,
    /// A past state that becomes the present: the epoch rises above the snapshot's, the replaced
    /// store's, and `at_least`. Pass the wall clock in seconds, so that restoring one backup twice
    /// gives two epochs.
    Restored {
        /// The new epoch is not below this.
        at_least: Epoch,
    },
}

/// Why a file is not a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file could not be read.
    #[error("snapshot cannot be read")]
    Io(#[from] std::io::Error),
}

/// Why an import did not happen. The store is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The medium failed while it took the snapshot.
    #[error("the snapshot could not be written: {cause}")]
    Failed {
        /// What the medium said.
        cause: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

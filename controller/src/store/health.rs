//! Whether the store takes writes.

/// The store's alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Reads and writes.
    Writable,
    /// The medium failed: reads go on, every write is refused until [`super::Store::reopen`].
    ReadOnly {
        /// What the medium said.
        cause: String,
    },
    /// The store was closed: reads go on from memory, nothing is written any more.
    Closed,
}

/// Why a store stays read-only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReopenError {
    /// The medium still fails. The store is as read-only as before, and nothing is lost.
    #[error("the store is still not writable: {cause}")]
    StillFailing {
        /// What the medium said this time.
        cause: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

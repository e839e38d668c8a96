//! What the engine tells about transfers: input of a boot's timeline, not of an alarm.

use std::net::SocketAddr;
use std::time::Duration;

use super::packet::ErrorCode;

/// Something happened to a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TftpEvent {
    /// The machine's address and port.
    pub peer: SocketAddr,
    /// The name it asked for: the cleaned one where there is one, else what was sent, made printable.
    pub name: String,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The file was found and the first reply is on its way.
    Began {
        /// The file's size in bytes.
        size: u64,
        /// Granted bytes in a block.
        block_size: u16,
        /// Granted blocks in a window.
        window: u16,
    },
    /// The machine wanted only the size (QUIRKS 38).
    Probed,
    /// The machine stopped it (QUIRKS 39) or asked anew from the same port: neither fault nor attack.
    Aborted {
        /// Bytes that it had acknowledged.
        bytes: u64,
    },
    /// The machine acknowledged the last block.
    Completed {
        /// The file's size.
        bytes: u64,
        /// Blocks in it.
        blocks: u64,
        /// Blocks that were sent again.
        retransmissions: u64,
        /// From the request to the last acknowledgement.
        duration: Duration,
    },
    /// The request was answered with an ERROR. Loaders probe for dozens of names that need not exist (QUIRKS 44).
    Refused {
        /// The code in the answer.
        code: ErrorCode,
        /// The text in the answer.
        message: String,
    },
    /// The transfer ended before the last block was acknowledged.
    Failed {
        /// What ended it.
        why: Why,
        /// Bytes that the machine had acknowledged.
        bytes: u64,
        /// Blocks that were sent again.
        retransmissions: u64,
    },
}

impl EventKind {
    /// Is the transfer over?
    #[must_use]
    pub fn is_end(&self) -> bool {
        match self {
            Self::Began { .. } => false,
            Self::Probed
            | Self::Aborted { .. }
            | Self::Completed { .. }
            | Self::Refused { .. }
            | Self::Failed { .. } => true,
        }
    }
}

/// What ended a transfer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Nothing was heard from the machine any more.
    #[error("machine fell silent")]
    Silent,
    /// The machine never acknowledged anything.
    #[error("machine never acknowledged the first reply")]
    NeverAcknowledged,
    /// The machine sent an ERROR that is no ordinary abort.
    #[error("machine reported error {}: {message}", code.0)]
    PeerError {
        /// Its code.
        code: ErrorCode,
        /// Its text.
        message: String,
    },
    /// The file could not be opened in time.
    #[error("file was not opened in time")]
    OpenTimedOut,
    /// The file's bytes stopped arriving.
    #[error("file stopped arriving")]
    SourceStalled,
    /// The file could not be read.
    #[error("file could not be read: {0}")]
    SourceFailed(String),
    /// It took longer than any transfer may.
    #[error("transfer took too long")]
    TooLong,
}

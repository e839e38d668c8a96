//! One error for one failed file operation: what was tried, on which path, and what the system said.
//!
//! A full disk is a variant of its own, because it has a remedy and callers treat it differently.

use std::io;
use std::path::{Path, PathBuf};

/// A file operation that failed. The system's own words are the source.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// No space or no quota is left on the file system that holds `path`.
    #[error(
        "{operation} {}: disk full, free space on its file system or lower the cache budget",
        path.display()
    )]
    Full {
        /// What was tried, as a verb: "write", "rename".
        operation: &'static str,
        /// The file or directory it was tried on.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// Anything else.
    #[error("{operation} {}", path.display())]
    Io {
        /// What was tried, as a verb: "write", "rename".
        operation: &'static str,
        /// The file or directory it was tried on.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
}

impl DiskError {
    /// For `map_err`: wraps what the system said about `operation` on `path`.
    pub(crate) fn at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match is_full(&source) {
            true => Self::Full { operation, path, source },
            false => Self::Io { operation, path, source },
        }
    }

    /// Whether the operation failed for want of space.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

/// Whether the system refused for want of space: a full file system (ENOSPC) or quota (EDQUOT).
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_with_its_remedy() {
        let enospc = io::Error::from_raw_os_error(libc::ENOSPC);
        let error = DiskError::at("write", Path::new("/state/x"))(enospc);
        assert!(error.is_full());
        let text = error.to_string();
        assert!(text.starts_with("write /state/x: disk full, free space"), "{text}");
    }

    #[test]
    fn other_failures_are_not_called_full() {
        let eio = io::Error::from_raw_os_error(libc::EIO);
        let error = DiskError::at("sync", Path::new("/state/x"))(eio);
        assert!(!error.is_full());
        assert_eq!(error.to_string(), "sync /state/x");
    }
}

//! The store's folder. (Being written.)

/// Why a store's folder does not open. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be read or written.
    #[error("{path} cannot be used")]
    Io {
        /// The place that failed.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

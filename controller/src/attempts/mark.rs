//! Up to when a controller has looked at its boots: a small file that outlives a restart.
//!
//! It is written without a sync: after a power cut it may be older than it was, and then some boots are counted again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proto::Wall;

/// The file. One that cannot be written or read is as good as none.
#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
}

impl Mark {
    /// In the folder of state.
    pub(crate) fn within(state: &Path) -> Self {
        Self { path: state.join("boots-counted") }
    }

    /// None: nobody has looked yet.
    pub(super) fn read(&self) -> Option<Wall> {
        fs::read_to_string(&self.path).ok()?.trim().parse().ok().map(Wall)
    }

    pub(super) fn write(&self, looked: Wall) {
        if let Err(error) = self.replace(looked) {
            tracing::debug!(%error, "it is not noted which boots were counted");
        }
    }

    /// Whole or not at all.
    fn replace(&self, looked: Wall) -> io::Result<()> {
        let next = self.path.with_extension("next");
        fs::write(&next, format!("{}\n", looked.0))?;
        fs::rename(next, &self.path)
    }
}

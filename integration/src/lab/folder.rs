//! Where the lab keeps things: built media and packages (kept), and one folder per run (logs).

use std::path::{Path, PathBuf};

/// The environment variable that moves the lab's folder.
pub const LAB_DIR_VARIABLE: &str = "BOOTLANE_LAB_DIR";

/// The lab's folder: `$BOOTLANE_LAB_DIR`, else `lab` in cargo's target folder.
#[derive(Debug, Clone)]
pub struct LabFolder {
    root: PathBuf,
}

impl LabFolder {
    /// The folder that the environment names. Nothing is created yet.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::at(std::env::var_os(LAB_DIR_VARIABLE).map_or_else(default_root, PathBuf::from))
    }

    /// A lab folder at `root`, made absolute so that processes in other working folders find it.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Unpacked Debian packages, by name and version.
    #[must_use]
    pub fn packages(&self) -> PathBuf {
        self.root.join("packages")
    }

    /// Built kernels, initramfs and disk images, by content key.
    #[must_use]
    pub fn media(&self) -> PathBuf {
        self.root.join("media")
    }

    /// One folder for each run.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }
}

fn default_root() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("lab")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_root_becomes_absolute() {
        let folder = LabFolder::at("somewhere");
        assert!(folder.root().is_absolute());
        assert_eq!(folder.media(), folder.root().join("media"));
    }
}

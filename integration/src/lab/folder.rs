//! Where the lab keeps things: built media and packages (kept), and one folder per run (logs).

use std::fs::{self, File};
use std::io;
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

    /// Waits until nobody else builds media or fetches packages; others wait until the file is closed.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(&self.root)?;
        let file = File::create(self.root.join("building.lock"))?;
        file.lock()?;
        Ok(file)
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
    fn one_builds_at_a_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lab = LabFolder::at(folder.path().join("lab"));
        let first = lab.lock().expect("locked");
        let other = File::open(lab.root().join("building.lock")).expect("there");
        assert!(other.try_lock().is_err(), "it is held");
        drop(first);
        other.lock().expect("free again");
    }

    #[test]
    fn a_relative_root_becomes_absolute() {
        let folder = LabFolder::at("somewhere");
        assert!(folder.root().is_absolute());
        assert_eq!(folder.media(), folder.root().join("media"));
    }
}

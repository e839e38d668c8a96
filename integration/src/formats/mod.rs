//! Every stored and sent format, recorded once so that every later build is seen to read it.
//!
//! `fixtures/formats-N` holds set N. `cargo run -p integration --example record-formats` writes the next set and
//! never touches an older one; do that when a format gains something, and let `tests/formats.rs` read what it gained.
//! What a set contains is in [`samples`] (chosen values) and [`record`] (what only running code can write). The keys
//! in a set speak for a fleet that exists nowhere else.

pub mod record;
pub mod samples;

use std::io;
use std::path::{Path, PathBuf};

/// The passphrase that backups of all sets are sealed with.
pub const PASSPHRASE: &str = "recorded for later builds";
/// What the names of sets begin with.
const PREFIX: &str = "formats-";

/// Where the sets are.
#[must_use]
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The recorded sets by their numbers, in order.
///
/// # Errors
/// When the folder cannot be read.
pub fn sets(fixtures: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut sets = Vec::new();
    for entry in std::fs::read_dir(fixtures)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        sets.extend(name.strip_prefix(PREFIX).and_then(|number| number.parse().ok()).map(|n: u32| (n, path)));
    }
    sets.sort();
    Ok(sets)
}

/// The number and folder of the set after the last one.
///
/// # Errors
/// When the folder cannot be read.
pub fn next(fixtures: &Path) -> io::Result<(u32, PathBuf)> {
    let number = sets(fixtures)?.last().map_or(0, |(number, _)| *number) + 1;
    Ok((number, fixtures.join(format!("{PREFIX}{number}"))))
}

/// Copies a folder, readable by its owner alone as programs want their state to be and a checkout is not.
///
/// # Errors
/// When the disk fails.
pub fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    std::fs::create_dir_all(to)?;
    mode(to, 0o700)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_private(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
            mode(&target, 0o600)?;
        }
    }
    Ok(())
}

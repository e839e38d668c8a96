//! What sled 0.34.7 leaves behind when it is stopped while it writes a snapshot, and then cannot open.

use std::path::Path;
use std::{fs, io};

/// Removes snapshots that sled had not finished when its process ended or its disk was full.
///
/// sled writes `snap.LSN.generating` and renames it once it is synced; at the next start it takes an unfinished one for
/// the newest and calls the database corrupt. A snapshot only saves reading the log: without it nothing is lost.
pub(crate) fn discard_unfinished_snapshots(database: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(database) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::info!(path = %path.display(), "removing a snapshot that was not finished");
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

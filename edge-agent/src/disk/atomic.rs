//! Replaces a file as a whole: after a crash at any moment its path holds the old or the new content.
//!
//! The new content goes to a temporary file in the same directory, is synced, takes the path by rename,
//! and the directory is synced. One writer per path is assumed: a temporary file that a crash left is
//! overwritten by the next write.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::DiskError;

/// Makes `path` hold exactly `content` with the permission bits `mode`, durably.
///
/// # Errors
/// [`DiskError`] names the step and the file; the old content is then untouched, but for a failed sync
/// of the directory, after which either content may be found.
pub fn write_file(path: &Path, mode: u32, content: &[u8]) -> Result<(), DiskError> {
    let temporary = temporary_for(path)?;
    let written = write_synced(&temporary, mode, content)
        .and_then(|()| fs::rename(&temporary, path).map_err(DiskError::at("rename to", path)));
    if let Err(error) = written {
        // The space is given back if that is possible; the failure to report is the first one.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_directory(parent(path))
}

/// Makes entries that were created, renamed or removed in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), DiskError> {
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(DiskError::at("sync", directory))
}

/// Makes `directory` and its missing parents, with mode 0750 where they are new, and makes it durable.
pub(crate) fn make_directory(directory: &Path) -> Result<(), DiskError> {
    use std::os::unix::fs::DirBuilderExt;
    if directory.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(directory)
        .map_err(DiskError::at("create", directory))?;
    sync_directory(parent(directory))
}

fn write_synced(path: &Path, mode: u32, content: &[u8]) -> Result<(), DiskError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(DiskError::at("create", path))?;
    // Before the content, since a file that a crash left, or a umask, may have set other bits.
    file.set_permissions(Permissions::from_mode(mode)).map_err(DiskError::at("set the mode of", path))?;
    file.write_all(content).map_err(DiskError::at("write", path))?;
    file.sync_all().map_err(DiskError::at("sync", path))
}

fn temporary_for(path: &Path) -> Result<PathBuf, DiskError> {
    let name = path.file_name().ok_or_else(|| {
        DiskError::at("write", path)(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))
    })?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".tmp");
    Ok(path.with_file_name(hidden))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::tiny_tmpfs;

    #[test]
    fn replaces_content_and_mode_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("plan");
        write_file(&path, 0o644, b"old").expect("first write");
        write_file(&path, 0o600, b"new").expect("second write");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1);
    }

    #[test]
    fn a_leftover_of_a_crash_neither_hinders_nor_shines_through() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("plan");
        let leftover = dir.path().join(".plan.tmp");
        fs::write(&leftover, b"longer than the new content").expect("leftover");
        fs::set_permissions(&leftover, Permissions::from_mode(0o666)).expect("mode");
        write_file(&path, 0o600, b"new").expect("write");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_failed_rename_keeps_the_old_and_removes_the_temporary() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("plan");
        fs::create_dir(&path).expect("a directory where the file should go");
        let error = write_file(&path, 0o600, b"new").expect_err("cannot replace a directory");
        assert_eq!(error.to_string(), format!("rename to {}", path.display()));
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1);
    }

    #[test]
    fn errors_name_the_path() {
        let error = write_file(Path::new("/nonexistent/plan"), 0o600, b"").expect_err("no directory");
        assert_eq!(error.to_string(), "create /nonexistent/.plan.tmp");
        write_file(Path::new("/"), 0o600, b"").expect_err("names no file");
    }

    #[test]
    fn directories_are_made_with_their_parents() {
        let dir = tempfile::tempdir().expect("tempdir");
        let deep = dir.path().join("a/b");
        make_directory(&deep).expect("made");
        make_directory(&deep).expect("again");
        let mode = fs::metadata(&deep).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o7777 & !0o750, 0, "nobody else reads the state");
    }

    #[test]
    fn a_full_disk_keeps_the_old_content() {
        tiny_tmpfs::run("disk::atomic::tests::child_on_a_tiny_tmpfs");
    }

    /// Not a test of its own: the test above runs it.
    #[test]
    fn child_on_a_tiny_tmpfs() {
        let Some(mount) = tiny_tmpfs::mounted() else { return };
        let path = mount.join("plan");
        write_file(&path, 0o600, b"old").expect("room");
        let error = write_file(&path, 0o600, &vec![1; 2 << 20]).expect_err("no room");
        assert!(error.is_full(), "{error:?}");
        assert_eq!(fs::read(&path).expect("read"), b"old");
        write_file(&path, 0o600, b"new").expect("the room of the temporary file was given back");
        tiny_tmpfs::passed();
    }
}

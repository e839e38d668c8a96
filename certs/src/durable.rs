//! Files that are whole or absent, and readable by their owner alone.
//!
//! A file is written beside its place, synced, renamed over it, and the folder is synced: after a power cut
//! there is the old content or the new. Modes are set on the open file, so no umask widens or narrows them.
//! A crash may leave a temporary file behind; [`sweep`] removes those.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// What group and others must not have on a file with a private key (S16).
const OTHERS: u32 = 0o077;
/// End of the names of files that are being written.
const UNFINISHED: &str = ".unfinished";

/// Why a file of this crate could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others than the owner may read or write it.
    #[error("{} holds a private key but has mode {mode:04o}: others can reach it, run chmod 600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than such a file can be.
    #[error("{} is larger than {limit} bytes and so not a file of ours", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Most bytes it may have.
        limit: u64,
    },
    /// The bytes are not UTF-8.
    #[error("{} is not text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// No random name for a temporary file.
    #[error(transparent)]
    Randomness(#[from] crate::NoRandomness),
}

impl FileError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// The file is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Replaces `path` by a file of mode 0600 with these bytes, durable when this returns.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let unfinished = unfinished_name(path)?;
    let written = write_unfinished(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, path).map_err(FileError::io("rename a new file to", path)));
    if let Err(error) = written {
        // The first error is the one to tell; what cannot be removed now, `sweep` will.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    sync_folder(folder_of(path))
}

fn write_unfinished(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(FileError::io("create", path))?;
    // `open` lets the umask take bits away; the owner must be able to read what was written.
    file.set_permissions(Permissions::from_mode(0o600)).map_err(FileError::io("set the mode of", path))?;
    file.write_all(bytes).map_err(FileError::io("write", path))?;
    file.sync_all().map_err(FileError::io("sync", path))
}

fn unfinished_name(path: &Path) -> Result<PathBuf, FileError> {
    let random = u64::from_le_bytes(crate::random()?);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{random:016x}{UNFINISHED}")))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|dir| dir.sync_all()).map_err(FileError::io("sync the folder", folder))
}

/// Makes a folder of mode 0700; one that exists gets that mode.
pub(crate) fn create_private_folder(folder: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(FileError::io("create the folder", folder))?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
        .map_err(FileError::io("set the mode of the folder", folder))?;
    sync_folder(folder_of(folder))
}

/// Removes what a crash left half written in `folder`.
pub(crate) fn sweep(folder: &Path) -> Result<(), FileError> {
    let entries = fs::read_dir(folder).map_err(FileError::io("list the folder", folder))?;
    for entry in entries {
        let path = entry.map_err(FileError::io("list the folder", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(UNFINISHED) {
            fs::remove_file(&path).map_err(FileError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// The text of a file that only its owner can reach, of at most `limit` bytes.
pub(crate) fn read_private(path: &Path, limit: u64) -> Result<Zeroizing<String>, FileError> {
    let bytes = read_private_bytes(path, limit)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(FileError::NotText { path: path.to_owned() }),
    }
}

fn read_private_bytes(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(FileError::io("open", path))?;
    let about = file.metadata().map_err(FileError::io("look at", path))?;
    let mode = about.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(FileError::Exposed { path: path.to_owned(), mode });
    }
    let too_large = || FileError::TooLarge { path: path.to_owned(), limit };
    let expected = usize::try_from(about.len().min(limit)).map_err(|_| too_large())?;
    // Room at once: growing would leave copies of a key behind in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected + 1));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(FileError::io("read", path))?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// Removes a file; one that is not there is as good.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::io("remove", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("exists").permissions().mode() & 0o7777
    }

    #[test]
    fn files_and_folders_are_their_owner_s_alone() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = root.path().join("a/b");
        fs::create_dir_all(&folder).expect("made");
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("changed");
        create_private_folder(&folder).expect("kept");
        assert_eq!(mode(&folder), 0o700);
        let file = folder.join("key");
        fs::write(&file, "old").expect("written");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("changed");
        write_private(&file, b"new").expect("replaced");
        assert_eq!((mode(&file), fs::read(&file).expect("read").as_slice()), (0o600, b"new".as_slice()));
        assert_eq!(fs::read_dir(&folder).expect("listed").count(), 1, "no temporary file stays");
    }

    #[test]
    fn an_exposed_a_large_and_a_binary_file_are_refused() {
        let root = tempfile::tempdir().expect("temporary folder");
        let file = root.path().join("key");
        write_private(&file, b"12345").expect("written");
        assert_eq!(read_private(&file, 5).expect("fits").as_str(), "12345");
        assert!(matches!(read_private(&file, 4), Err(FileError::TooLarge { limit: 4, .. })));
        write_private(&file, &[0xff]).expect("written");
        assert!(matches!(read_private(&file, 5), Err(FileError::NotText { .. })));
        fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("changed");
        assert!(matches!(read_private(&file, 5), Err(FileError::Exposed { mode: 0o640, .. })));
        assert!(read_private(&root.path().join("none"), 5).expect_err("absent").is_not_found());
    }

    #[test]
    fn what_a_crash_left_is_swept_and_nothing_else() {
        let root = tempfile::tempdir().expect("temporary folder");
        write_unfinished(&unfinished_name(&root.path().join("key")).expect("named"), b"half")
            .expect("written");
        write_private(&root.path().join("key"), b"whole").expect("written");
        fs::write(root.path().join(".hidden"), "kept").expect("written");
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 3);
        sweep(root.path()).expect("swept");
        let left: Vec<_> =
            fs::read_dir(root.path()).expect("listed").map(|e| e.expect("entry").file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let root = tempfile::tempdir().expect("temporary folder");
        let taken = root.path().join("taken");
        fs::create_dir(&taken).expect("made");
        write_private(&taken, b"x").expect_err("a folder cannot be replaced by a file");
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 1, "no temporary file stays");
    }
}

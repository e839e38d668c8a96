//! What an image is imported from: a folder, an ISO image, or one file.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::debian::Gathered;
use super::folder::Folder;
use super::iso::Iso;

/// The most entries of media that are looked at.
pub(super) const ENTRIES: usize = 100_000;
/// The deepest folder that is looked into.
pub(super) const DEPTH: usize = 32;
/// The longest path, in bytes.
pub(super) const PATH: usize = 255;

/// Why media cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaError {
    /// No such packages are known here.
    #[error("nothing is known of the Debian packages {name:?}, expected one of {known}")]
    NoRecipe {
        /// What was named.
        name: String,
        /// What could be.
        known: String,
    },
    /// Packages are missing.
    #[error("there is no {}: install the Debian packages {packages}", path.display())]
    NotInstalled {
        /// The file.
        path: PathBuf,
        /// What has it.
        packages: &'static str,
    },
    /// The operating system refused.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Neither a folder nor a file.
    #[error("{} is neither a folder nor a file", path.display())]
    Kind {
        /// What was named.
        path: PathBuf,
    },
    /// It should be an ISO image.
    #[error("{} is no ISO 9660 image, or is cut off before byte 32774", path.display())]
    NoIso {
        /// The file.
        path: PathBuf,
    },
    /// The ISO image cannot be understood.
    #[error("{} is a damaged ISO image: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        why: String,
    },
    /// The ISO image ends early.
    #[error("{} is truncated: it says that it has {declared} bytes, there are {actual}; fetch it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// As its descriptor says.
        declared: u64,
        /// As the file is.
        actual: u64,
    },
    /// A name that could lead elsewhere.
    #[error("{name:?} is no name that an image may hold")]
    Name {
        /// The path so far.
        name: String,
    },
    /// More entries than are looked at.
    #[error("there are more than {ENTRIES} entries")]
    TooMany,
    /// Deeper than is looked into.
    #[error("{path:?} is more than {DEPTH} folders deep")]
    TooDeep {
        /// The folder.
        path: String,
    },
    /// A file changed between listing and reading, or its media is damaged.
    #[error("{path} has another size than its folder says: expected {expected} bytes")]
    Size {
        /// Within the media.
        path: String,
        /// As it was listed.
        expected: u64,
    },
    /// A file of the media cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Within the media.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// A file of media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Relative, with `/`.
    pub(crate) path: String,
    /// In bytes.
    pub(crate) size: u64,
}

/// Listed media.
#[derive(Debug)]
pub(crate) enum Media {
    /// A folder, or one file of it.
    Folder(Folder),
    /// An ISO image.
    Iso(Iso),
    /// Files of Debian packages.
    Debian(Gathered),
}

impl Media {
    /// A file as it is, whatever it holds; else a folder.
    ///
    /// # Errors
    /// [`MediaError`].
    pub(crate) fn whole(path: &Path, name: &str) -> Result<Self, MediaError> {
        let about = path.metadata().map_err(|source| MediaError::Read { path: path.to_owned(), source })?;
        match about.is_file() {
            true => Ok(Self::Folder(Folder::single(path, name, about.len())?)),
            false => Self::open(path, name),
        }
    }

    /// Gathers what the Debian packages of this name have put below `root`.
    ///
    /// # Errors
    /// [`MediaError`].
    pub(crate) fn debian(root: &Path, name: &str) -> Result<Self, MediaError> {
        Gathered::open(root, name).map(Self::Debian)
    }

    /// Opens and lists; `name` is what a single file is called, and decides whether it should be an ISO image.
    ///
    /// # Errors
    /// [`MediaError`].
    pub(crate) fn open(path: &Path, name: &str) -> Result<Self, MediaError> {
        let read = |source| MediaError::Read { path: path.to_owned(), source };
        let about = path.metadata().map_err(read)?;
        if about.is_dir() {
            return Ok(Self::Folder(Folder::list(path)?));
        }
        if !about.is_file() {
            return Err(MediaError::Kind { path: path.to_owned() });
        }
        let lower = name.to_ascii_lowercase();
        let raw = lower.ends_with(".img") || lower.ends_with(".raw");
        match (raw, lower.ends_with(".iso"), has_iso_magic(path).map_err(read)?) {
            (false, _, true) => Ok(Self::Iso(Iso::open(path, about.len())?)),
            (_, true, false) => Err(MediaError::NoIso { path: path.to_owned() }),
            (true, _, _) | (false, false, false) => {
                Ok(Self::Folder(Folder::single(path, name, about.len())?))
            }
        }
    }

    /// Its files, in the order of their paths.
    pub(crate) fn files(&self) -> &[Found] {
        match self {
            Self::Folder(folder) => folder.files(),
            Self::Iso(iso) => iso.files(),
            Self::Debian(gathered) => gathered.files(),
        }
    }

    /// The bytes of one of its files.
    ///
    /// # Errors
    /// [`MediaError::File`].
    pub(crate) fn read(&self, path: &str) -> Result<Box<dyn Read + Send>, MediaError> {
        let file = |source| MediaError::File { path: path.to_owned(), source };
        match self {
            Self::Folder(folder) => folder.read(path).map_err(file),
            Self::Iso(iso) => iso.read(path).map_err(file),
            Self::Debian(gathered) => gathered.read(path).map_err(file),
        }
    }
}

/// ECMA-119 §8.1.2: the standard identifier of the first volume descriptor, in sector 16.
fn has_iso_magic(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(16 * 2_048 + 1))?;
    let mut magic = [0; 5];
    match file.read_exact(&mut magic) {
        Ok(()) => Ok(magic == *b"CD001"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Joins a name to the path of its folder, if it can stand in an image.
pub(super) fn join(folder: &str, name: &str) -> Result<String, MediaError> {
    let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let leads_elsewhere = name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\']);
    if leads_elsewhere || name.chars().any(char::is_control) || path.len() > PATH {
        return Err(MediaError::Name { name: path });
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        assert_eq!(join("a", "b").expect("plain"), "a/b");
        for name in ["..", ".", "", "a/b", "a\\b", "a\nb", &"x".repeat(300)] {
            assert!(matches!(join("a", name), Err(MediaError::Name { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_file_that_should_be_an_iso_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cut.iso");
        std::fs::write(&path, [0; 40_000]).expect("written");
        assert!(matches!(Media::open(&path, "cut.iso"), Err(MediaError::NoIso { .. })));
        assert!(matches!(Media::open(&path, "disk.raw"), Ok(Media::Folder(_))));
    }
}

//! What an image is imported from: a folder, an ISO 9660 or UDF image, or one file.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::debian::Gathered;
use super::folder::Folder;
use super::tree::{Disc, Tree};
use super::{iso, udf};

/// The most entries of media that are looked at.
pub(super) const ENTRIES: usize = 100_000;
/// The deepest folder that is looked into.
pub(super) const DEPTH: usize = 32;
/// The longest path, in bytes.
pub(super) const PATH: usize = 255;
/// The most bytes that one image takes of its media: 1 TiB.
const TAKEN: u64 = 1 << 40;

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
    #[error("{} is no ISO 9660 image, nor one of UDF, or it is cut off before byte 32774", path.display())]
    NoIso {
        /// The file.
        path: PathBuf,
    },
    /// The image or archive cannot be understood.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where within it.
        why: String,
    },
    /// A folder that holds itself.
    #[error("the folder {path:?} lies where another one lies already")]
    Loop {
        /// The folder.
        path: String,
    },
    /// Two files of one path.
    #[error("{path} is there twice")]
    Twice {
        /// Within the media.
        path: String,
    },
    /// Two files that clients whose names are case-blind cannot tell apart.
    #[error("{one} and {other} differ in case only, and there are clients that cannot tell them apart")]
    Case {
        /// Within the media.
        one: String,
        /// The other.
        other: String,
    },
    /// More bytes than an image may have.
    #[error("an image would have more than {TAKEN} bytes with {path}")]
    TooLarge {
        /// The file that is too much.
        path: String,
    },
    /// The bytes of a file are not there.
    #[error("the bytes of {path} lie behind the end: there are {actual} in all")]
    Behind {
        /// Within the media.
        path: String,
        /// The bytes of the whole image.
        actual: u64,
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
    /// The files of an ISO 9660 or UDF image.
    Disc(Tree),
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
        if !raw && let Some(tree) = disc(Disc::open(path)?)? {
            return Ok(Self::Disc(tree));
        }
        match lower.ends_with(".iso") {
            true => Err(MediaError::NoIso { path: path.to_owned() }),
            false => Ok(Self::Folder(Folder::single(path, name, about.len())?)),
        }
    }

    /// Its files, in the order of their paths.
    pub(crate) fn files(&self) -> &[Found] {
        match self {
            Self::Folder(folder) => folder.files(),
            Self::Disc(tree) => tree.files(),
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
            Self::Disc(tree) => tree.read(path).map_err(file),
            Self::Debian(gathered) => gathered.read(path).map_err(file),
        }
    }
}

/// Of an image that has both trees the richer one: Windows' media say in ISO 9660 only that they are of UDF.
fn disc(disc: Disc) -> Result<Option<Tree>, MediaError> {
    let iso = iso::is_iso(&disc).then(|| iso::list(disc.clone())).transpose()?;
    let udf = udf::is_udf(&disc).then(|| udf::list(disc)).transpose()?;
    Ok(match (iso, udf) {
        (Some(iso), Some(udf)) if iso.riches() >= udf.riches() => Some(iso),
        (iso, udf) => udf.or(iso),
    })
}

/// Can what is taken of media be one image?
///
/// # Errors
/// [`MediaError::Case`], [`MediaError::TooLarge`].
pub(crate) fn check_taken(taken: &[Found]) -> Result<(), MediaError> {
    let mut names = BTreeMap::new();
    let mut left = TAKEN;
    for Found { path, size } in taken {
        let smaller = left.checked_sub(*size);
        left = smaller.ok_or_else(|| MediaError::TooLarge { path: path.clone() })?;
        if let Some(one) = names.insert(path.to_lowercase(), path) {
            return Err(MediaError::Case { one: one.clone(), other: path.clone() });
        }
    }
    Ok(())
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
    fn what_is_taken_differs_in_more_than_case_and_has_a_bound() {
        let found = |path: &str, size| Found { path: path.to_owned(), size };
        check_taken(&[found("a/b", 1), found("a/c", TAKEN - 1)]).expect("as much as may be");
        let error = check_taken(&[found("a/B", 1), found("a/b", 1)]).expect_err("case").to_string();
        assert!(error.starts_with("a/B and a/b differ in case only"), "{error}");
        let error = check_taken(&[found("a", 1), found("b", u64::MAX)]).expect_err("absurd").to_string();
        assert!(error.ends_with("with b"), "{error}");
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

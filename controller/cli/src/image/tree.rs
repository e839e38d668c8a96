//! Files that lie in one image file, as extents of it: what the readers of ISO 9660, UDF and tar make.
//!
//! Nothing in such an image is trusted. Each reader gathers what it finds through [`Gathering`], which bounds entries,
//! folders, extents and names, and refuses what lies behind the end of the image; a reader that lists without failing
//! has therefore nothing left that could read elsewhere or without end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::media::{ENTRIES, Found, MediaError};

/// The most extents of all files together.
const EXTENTS: usize = 1_000_000;
/// The most bytes of all folders together: 256 MiB.
const FOLDERS: u64 = 256 << 20;
/// As much is read of an image at once, in bytes: the beginning of a folder, a descriptor, a table.
const MOST: u64 = 64 << 20;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// So many bytes of the image, from there.
    Bytes {
        /// From the beginning of the image.
        at: u64,
        /// In bytes.
        length: u64,
    },
    /// So many zeros, which no image holds.
    Hole {
        /// In bytes.
        length: u64,
    },
}

impl Extent {
    /// In bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Bytes { length, .. } | Self::Hole { length } => *length,
        }
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// These pieces, in order.
    Extents(Vec<Extent>),
    /// It is stored in a way that is not read; the media as a whole is.
    Unread(&'static str),
}

/// An image file that is read at any place, and not behind its end.
#[derive(Debug, Clone)]
pub(super) struct Disc {
    file: Arc<File>,
    path: PathBuf,
    length: u64,
}

impl Disc {
    /// Opens it.
    ///
    /// # Errors
    /// [`MediaError::Read`].
    pub(super) fn open(path: &Path) -> Result<Self, MediaError> {
        let read = |source| MediaError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        Ok(Self { file: Arc::new(file), path: path.to_owned(), length })
    }

    /// In bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It cannot be understood.
    pub(super) fn damaged(&self, why: impl Into<String>) -> MediaError {
        MediaError::Damaged { path: self.path.clone(), why: why.into() }
    }

    /// Exactly `length` bytes from `at`, which are `what`.
    ///
    /// # Errors
    /// [`MediaError::Damaged`] if they are not all there, or more than is read at once.
    pub(super) fn read(&self, at: u64, length: u64, what: &str) -> Result<Vec<u8>, MediaError> {
        if !self.holds(at, length) {
            return Err(self.damaged(format!("{what} lies behind its end")));
        }
        let size = usize::try_from(length.min(MOST + 1)).ok().filter(|_| length <= MOST);
        let size = size.ok_or_else(|| self.damaged(format!("{what} has {length} bytes")))?;
        let mut bytes = vec![0; size];
        let read = |source| MediaError::Read { path: self.path.clone(), source };
        self.file.read_exact_at(&mut bytes, at).map_err(read)?;
        Ok(bytes)
    }

    /// All bytes of these pieces, which are `what`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn gather(&self, extents: &[Extent], what: &str) -> Result<Vec<u8>, MediaError> {
        let mut bytes = Vec::new();
        for extent in extents {
            match extent {
                Extent::Bytes { at, length } => bytes.extend(self.read(*at, *length, what)?),
                Extent::Hole { .. } => return Err(self.damaged(format!("{what} has holes"))),
            }
            if bytes.len() as u64 > MOST {
                return Err(self.damaged(format!("{what} has more than {MOST} bytes")));
            }
        }
        Ok(bytes)
    }

    fn holds(&self, at: u64, length: u64) -> bool {
        at.checked_add(length).is_some_and(|end| end <= self.length)
    }
}

/// A listing that grows, within its bounds.
#[derive(Debug)]
pub(super) struct Gathering {
    disc: Disc,
    entries: usize,
    extents: usize,
    folders: BTreeSet<u64>,
    folder_bytes: u64,
    files: BTreeMap<String, Content>,
}

impl Gathering {
    /// Of an image.
    pub(super) fn new(disc: Disc) -> Self {
        let (entries, extents, folder_bytes) = (0, 0, 0);
        Self { disc, entries, extents, folders: BTreeSet::new(), folder_bytes, files: BTreeMap::new() }
    }

    /// The image.
    pub(super) fn disc(&self) -> &Disc {
        &self.disc
    }

    /// One entry more, whatever it is.
    ///
    /// # Errors
    /// [`MediaError::TooMany`].
    pub(super) fn count(&mut self) -> Result<(), MediaError> {
        self.entries += 1;
        if self.entries > ENTRIES { Err(MediaError::TooMany) } else { Ok(()) }
    }

    /// One folder more, whose own bytes begin at `at`.
    ///
    /// # Errors
    /// [`MediaError::Loop`] if it was entered before, [`MediaError::Damaged`] if folders are absurdly large.
    pub(super) fn enter(&mut self, path: &str, at: u64, length: u64) -> Result<(), MediaError> {
        if !self.folders.insert(at) {
            return Err(MediaError::Loop { path: path.to_owned() });
        }
        self.folder_bytes = self.folder_bytes.saturating_add(length);
        if self.folder_bytes > FOLDERS {
            return Err(self
                .disc
                .damaged(format!("its folders have more than {FOLDERS} bytes, at {path:?}")));
        }
        Ok(())
    }

    /// A file.
    ///
    /// # Errors
    /// [`MediaError::Behind`], [`MediaError::Twice`], or too many extents.
    pub(super) fn add(&mut self, path: String, content: Content) -> Result<(), MediaError> {
        if let Content::Extents(extents) = &content {
            self.extents += extents.len();
            if self.extents > EXTENTS {
                return Err(self
                    .disc
                    .damaged(format!("its files lie in more than {EXTENTS} pieces, at {path}")));
            }
            self.check(&path, extents)?;
        }
        match self.files.insert(path.clone(), content) {
            None => Ok(()),
            Some(_) => Err(MediaError::Twice { path }),
        }
    }

    fn check(&self, path: &str, extents: &[Extent]) -> Result<(), MediaError> {
        let mut size = 0_u64;
        for extent in extents {
            let end = size.checked_add(extent.length());
            size = end.filter(|size| *size <= i64::MAX as u64).ok_or_else(|| self.behind(path))?;
            match extent {
                Extent::Bytes { at, length } if !self.disc.holds(*at, *length) => {
                    return Err(self.behind(path));
                }
                Extent::Bytes { .. } | Extent::Hole { .. } => {}
            }
        }
        Ok(())
    }

    fn behind(&self, path: &str) -> MediaError {
        MediaError::Behind { path: path.to_owned(), actual: self.disc.length }
    }

    /// What was gathered.
    pub(super) fn finish(self) -> Tree {
        let found = |(path, content): (&String, &Content)| Found { path: path.clone(), size: size(content) };
        Tree { files: self.files.iter().map(found).collect(), contents: self.files, disc: self.disc }
    }
}

fn size(content: &Content) -> u64 {
    match content {
        Content::Extents(extents) => extents.iter().map(Extent::length).sum(),
        Content::Unread(_) => 0,
    }
}

/// The listed files of an image.
pub(crate) struct Tree {
    disc: Disc,
    files: Vec<Found>,
    contents: BTreeMap<String, Content>,
}

impl Tree {
    /// The bytes of its files, and of their paths: of two trees of an image one may lack files, or the ends of names.
    pub(super) fn riches(&self) -> (u64, usize) {
        let bytes = self.files.iter().map(|found| found.size).fold(0, u64::saturating_add);
        (bytes, self.files.iter().map(|found| found.path.len()).sum())
    }

    pub(super) fn files(&self) -> &[Found] {
        &self.files
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        match self.contents.get(path) {
            Some(Content::Extents(extents)) => {
                let file = Arc::clone(&self.disc.file);
                Ok(Box::new(Reading { file, extents: extents.clone().into_iter(), current: None }))
            }
            Some(Content::Unread(why)) => Err(io::Error::new(io::ErrorKind::Unsupported, *why)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tree").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

/// A file that is being read.
struct Reading {
    file: Arc<File>,
    extents: std::vec::IntoIter<Extent>,
    /// What is left of the extent that is being read.
    current: Option<Extent>,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let current = self.current.take().or_else(|| self.extents.next());
            let Some(extent) = current else { return Ok(0) };
            let wanted = usize::try_from(extent.length()).unwrap_or(usize::MAX).min(buffer.len());
            if wanted == 0 && !buffer.is_empty() {
                continue;
            }
            let (read, rest) = self.piece(extent, &mut buffer[..wanted])?;
            self.current = Some(rest);
            return Ok(read);
        }
    }
}

impl Reading {
    /// Fills the buffer, which is no longer than the extent; what is left of that.
    fn piece(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<(usize, Extent)> {
        match extent {
            Extent::Bytes { at, length } => {
                let read = self.file.read_at(buffer, at)?;
                // The image has become shorter since it was listed.
                if read == 0 && !buffer.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok((read, Extent::Bytes { at: at + read as u64, length: length - read as u64 }))
            }
            Extent::Hole { length } => {
                buffer.fill(0);
                Ok((buffer.len(), Extent::Hole { length: length - buffer.len() as u64 }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathering(bytes: &[u8]) -> (tempfile::NamedTempFile, Gathering) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        let disc = Disc::open(file.path()).expect("open");
        (file, Gathering::new(disc))
    }

    #[test]
    fn a_file_in_pieces_is_read_as_one() {
        let (_file, mut gathering) = gathering(b"0123456789");
        let extents = vec![
            Extent::Bytes { at: 7, length: 3 },
            Extent::Bytes { at: 0, length: 0 },
            Extent::Hole { length: 2 },
            Extent::Bytes { at: 0, length: 2 },
        ];
        gathering.add("a".into(), Content::Extents(extents)).expect("within");
        gathering.add("b".into(), Content::Unread("it is odd")).expect("taken");
        let tree = gathering.finish();
        let mut bytes = Vec::new();
        tree.read("a").expect("there").read_to_end(&mut bytes).expect("readable");
        assert_eq!((bytes.as_slice(), tree.files()[0].size), (&b"789\0\x0001"[..], 7));
        assert_eq!(tree.read("b").err().expect("refused").to_string(), "it is odd");
        assert!(tree.read("c").is_err());
    }

    #[test]
    fn what_lies_behind_the_end_is_named() {
        let (_file, mut gathering) = gathering(b"0123456789");
        for (at, length) in [(7, 4), (11, 0), (u64::MAX, 2), (0, u64::MAX)] {
            let content = Content::Extents(vec![Extent::Bytes { at, length }]);
            let error = gathering.add("a/b".into(), content).expect_err("behind the end");
            assert!(matches!(&error, MediaError::Behind { path, .. } if path == "a/b"), "{error}");
        }
        let holes = vec![Extent::Hole { length: u64::MAX }; 2];
        gathering.add("a/c".into(), Content::Extents(holes)).expect_err("absurd");
    }

    #[test]
    fn entries_and_folders_are_bounded_and_nothing_is_there_twice() {
        let (_file, mut gathering) = gathering(b"");
        (0..ENTRIES).for_each(|_| gathering.count().expect("within"));
        assert!(matches!(gathering.count(), Err(MediaError::TooMany)));
        gathering.enter("a", 1, 10).expect("new");
        assert!(matches!(gathering.enter("a/b", 1, 10), Err(MediaError::Loop { path }) if path == "a/b"));
        assert!(matches!(gathering.enter("b", 2, u64::MAX), Err(MediaError::Damaged { .. })));
        gathering.add("x".into(), Content::Extents(vec![])).expect("new");
        let again = gathering.add("x".into(), Content::Extents(vec![]));
        assert!(matches!(again, Err(MediaError::Twice { .. })));
    }

    #[test]
    fn no_more_is_read_at_once_than_is_stated() {
        let (file, gathering) = gathering(b"");
        file.as_file().set_len(MOST + 1).expect("sparse");
        let disc = Disc::open(file.path()).expect("open");
        assert!(disc.read(0, MOST + 1, "a table").is_err());
        assert!(gathering.disc().read(0, 1, "a table").is_err());
    }
}

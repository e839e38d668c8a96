//! Media in a folder, or a single file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::media::{DEPTH, ENTRIES, Found, MediaError, join};

/// A listed folder. Links to files within it are followed, all others are left out, so that foreign media
/// cannot make us read what is beside it.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    /// A single file is read from here, whatever it is called.
    single: Option<PathBuf>,
    files: Vec<Found>,
}

impl Folder {
    pub(super) fn list(root: &Path) -> Result<Self, MediaError> {
        let read = |source| MediaError::Read { path: root.to_owned(), source };
        let root = root.canonicalize().map_err(read)?;
        let mut listing = Listing { root: &root, entries: 0, files: Vec::new() };
        listing.walk("", 0)?;
        let mut files = listing.files;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root, single: None, files })
    }

    pub(super) fn single(path: &Path, name: &str, size: u64) -> Result<Self, MediaError> {
        let files = vec![Found { path: join("", name)?, size }];
        Ok(Self { root: PathBuf::new(), single: Some(path.to_owned()), files })
    }

    pub(super) fn files(&self) -> &[Found] {
        &self.files
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let path = self.single.clone().unwrap_or_else(|| self.root.join(path));
        Ok(Box::new(File::open(path)?))
    }
}

struct Listing<'a> {
    root: &'a Path,
    entries: usize,
    files: Vec<Found>,
}

impl Listing<'_> {
    fn walk(&mut self, folder: &str, depth: usize) -> Result<(), MediaError> {
        if depth > DEPTH {
            return Err(MediaError::TooDeep { path: folder.to_owned() });
        }
        let at = self.root.join(folder);
        let read = |source| MediaError::Read { path: at.clone(), source };
        for entry in fs::read_dir(&at).map_err(read)? {
            let entry = entry.map_err(read)?;
            self.entries += 1;
            if self.entries > ENTRIES {
                return Err(MediaError::TooMany);
            }
            let path = join(folder, &entry.file_name().to_string_lossy())?;
            if entry.file_type().map_err(read)?.is_dir() {
                self.walk(&path, depth + 1)?;
            } else {
                self.files.extend(self.file(path));
            }
        }
        Ok(())
    }

    /// None for what is no file of this folder: devices, dangling links, links that lead out.
    fn file(&self, path: String) -> Option<Found> {
        let real = self.root.join(&path).canonicalize().ok()?;
        let about = real.metadata().ok()?;
        (real.starts_with(self.root) && about.is_file()).then_some(Found { path, size: about.len() })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_within_are_followed_and_links_out_are_not() {
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("secret"), "x").expect("written");
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("a")).expect("made");
        fs::write(root.path().join("a/linux"), "kernel").expect("written");
        symlink("a/linux", root.path().join("linux")).expect("made");
        symlink(outside.path().join("secret"), root.path().join("initrd.gz")).expect("made");
        symlink("..", root.path().join("a/up")).expect("made");
        symlink("nowhere", root.path().join("dangling")).expect("made");
        let folder = Folder::list(root.path()).expect("listed");
        let found: Vec<_> = folder.files().iter().map(|found| (found.path.as_str(), found.size)).collect();
        assert_eq!(found, [("a/linux", 6), ("linux", 6)]);
    }
}

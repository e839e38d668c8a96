//! Finding the files that `-f` names, within limits.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Source;

/// The largest file, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;
/// The most files of one call.
const FILES: usize = 10_000;
/// The deepest folder below one that was named.
const DEPTH: usize = 16;

/// Why the input cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// The operating system refused.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Too large to be documents.
    #[error("{} has more than {LARGEST} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Too many.
    #[error("{} and what was named before hold more than {FILES} files", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
    /// Too deep.
    #[error("{} is more than {DEPTH} folders deep", path.display())]
    TooDeep {
        /// The folder.
        path: PathBuf,
    },
    /// A folder without documents is a mistake more often than an intention.
    #[error("{} holds no file that ends in .yaml, .yml or .json", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// What `-f` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// `-`.
    Standard,
    /// A file, or a folder with all below it.
    Path(PathBuf),
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        if text == "-" { Self::Standard } else { Self::Path(text.into()) }
    }
}

/// Reads all of these, the files of a folder in the order of their names.
///
/// # Errors
/// [`FilesError`] of the first that cannot be read.
pub(crate) fn read_inputs(inputs: &[Input]) -> Result<Vec<Arc<Source>>, FilesError> {
    let mut paths = Vec::new();
    let mut sources = Vec::new();
    for input in inputs {
        match input {
            Input::Standard => sources.push(Arc::new(read("-".as_ref(), io::stdin())?)),
            Input::Path(path) => find(path, &mut paths)?,
        }
    }
    for path in paths {
        let file = fs::File::open(&path).map_err(|source| FilesError::Read { path: path.clone(), source })?;
        sources.push(Arc::new(read(&path, file)?));
    }
    Ok(sources)
}

fn find(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), FilesError> {
    let before = found.len();
    let about = fs::metadata(path).map_err(|source| FilesError::Read { path: path.to_owned(), source })?;
    if !about.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    walk(path, 0, found)?;
    if found.len() == before { Err(FilesError::Empty { path: path.to_owned() }) } else { Ok(()) }
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), FilesError> {
    if depth > DEPTH {
        return Err(FilesError::TooDeep { path: folder.to_owned() });
    }
    let error = |source| FilesError::Read { path: folder.to_owned(), source };
    let mut entries = fs::read_dir(folder)
        .and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()
        })
        .map_err(error)?;
    entries.sort();
    for path in entries.into_iter().filter(|path| !is_hidden(path)) {
        if path.is_dir() {
            walk(&path, depth + 1, found)?;
        } else if is_document(&path) {
            found.push(path);
        }
        if found.len() > FILES {
            return Err(FilesError::TooMany { path: folder.to_owned() });
        }
    }
    Ok(())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn is_document(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end.eq_ignore_ascii_case(known)))
}

fn read(path: &Path, from: impl io::Read) -> Result<Source, FilesError> {
    let mut text = String::new();
    from.take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(|source| FilesError::Read { path: path.to_owned(), source })?;
    if text.len() as u64 > LARGEST {
        return Err(FilesError::TooLarge { path: path.to_owned() });
    }
    Ok(Source { name: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_names_and_without_what_is_no_document() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("b")).expect("made");
        for name in ["b/z.yaml", "a.yml", "c.JSON", "notes.txt", ".hidden.yaml"] {
            fs::write(root.path().join(name), name).expect("written");
        }
        let read = read_inputs(&[Input::Path(root.path().to_owned())]).expect("readable");
        let texts: Vec<_> = read.iter().map(|source| source.text.as_str()).collect();
        assert_eq!(texts, ["a.yml", "b/z.yaml", "c.JSON"]);
    }

    #[test]
    fn a_folder_without_documents_is_a_mistake() {
        let root = tempfile::tempdir().expect("a folder");
        let error = read_inputs(&[Input::Path(root.path().to_owned())]).expect_err("empty");
        assert!(matches!(error, FilesError::Empty { .. }), "{error}");
    }
}

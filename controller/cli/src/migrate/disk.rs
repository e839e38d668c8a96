//! What is migrated, from the disk: bounded, and below a root where a copy of another machine stands.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Files;

/// The largest file, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;
/// The most names of a folder.
const NAMES: usize = 10_000;

/// Files of this machine, or of another one's copy.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Where absolute paths within files begin.
    pub(crate) root: PathBuf,
    /// The files that the command line names, which are no paths within files.
    pub(crate) named: Vec<String>,
}

impl Disk {
    fn place(&self, path: &str) -> PathBuf {
        let is_within = |named: &String| Path::new(path).starts_with(named);
        match path.strip_prefix('/') {
            Some(below) if !self.named.iter().any(is_within) => self.root.join(below),
            Some(_) | None => path.into(),
        }
    }
}

impl Files for Disk {
    /// What is no UTF-8 is replaced: old files have comments in Latin-1.
    fn text(&self, path: &str) -> io::Result<String> {
        let file = File::open(self.place(path))?;
        // A device or a pipe could be read for ever.
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
        }
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
    }

    fn names(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.place(folder))? {
            // A name that is no text can be named in no configuration.
            names.extend(entry?.file_name().into_string().ok());
            if names.len() > NAMES {
                return Err(io::Error::other(format!("it has more than {NAMES} names")));
            }
        }
        names.sort();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_within_files_are_below_the_root_and_named_ones_are_not() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("etc")).expect("made");
        fs::write(root.path().join("etc/more.conf"), b"interface=\xe9th0\n").expect("written");
        let named = root.path().join("etc").display().to_string();
        let disk = Disk { root: root.path().into(), named: vec![named.clone()] };
        assert_eq!(disk.text("/etc/more.conf").expect("there"), "interface=\u{fffd}th0\n");
        assert_eq!(disk.names(&named).expect("there"), ["more.conf"]);
        assert!(disk.text("/etc").is_err(), "a folder is no file");
    }
}

//! The folder of captures: a file for each boot, `ATTEMPT-MAC.pcap`, within bounds; the oldest go first.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use proto::{AttemptId, Mac};

use crate::disk::{DiskError, atomic};

/// Captures of one machine: one that fails again and again does not push out others.
const OF_ONE: usize = 8;
/// Captures in all.
const FILES: usize = 10_000;
/// A longer file is none of ours.
const LONGEST: u64 = 1 << 20;
/// Readable by the agent alone: packets tell more of a machine than logs do.
const MODE: u32 = 0o600;

/// The files, and what they take.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    budget: u64,
    /// The oldest first.
    kept: BTreeMap<u64, Kept>,
    next: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    attempt: AttemptId,
    mac: Mac,
    bytes: u64,
}

impl Folder {
    /// Opens it, makes it where it is missing, and lets go what is beyond its bounds.
    pub(super) fn open(path: &Path, budget: u64) -> Result<Self, DiskError> {
        atomic::make_directory(path)?;
        let mut folder = Self { path: path.into(), budget, kept: BTreeMap::new(), next: 0, bytes: 0 };
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(DiskError::at("list", path))? {
            let entry = entry.map_err(DiskError::at("list", path))?;
            let metadata = entry.metadata().map_err(DiskError::at("look at", &entry.path()))?;
            let name = entry.file_name();
            if let Some((attempt, mac)) = name.to_str().and_then(parse) {
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((modified, Kept { attempt, mac, bytes: metadata.len() }));
            } else if name.as_encoded_bytes().ends_with(b".pcap.tmp") {
                // What a crash left of a file that was being written.
                drop(fs::remove_file(entry.path()));
            }
        }
        found.sort_by_key(|(modified, kept)| (*modified, kept.attempt));
        found.into_iter().for_each(|(_, kept)| folder.enter(kept));
        folder.make_room(None)?;
        Ok(folder)
    }

    /// Keeps a capture in place of an earlier one of the same attempt. False: it is larger than all that may be kept.
    pub(super) fn keep(&mut self, mac: Mac, attempt: AttemptId, pcap: &[u8]) -> Result<bool, DiskError> {
        let bytes = pcap.len() as u64;
        if bytes > self.budget.min(LONGEST) {
            return Ok(false);
        }
        self.forget(|kept| kept.attempt == attempt)?;
        self.make_room(Some(Kept { attempt, mac, bytes }))?;
        atomic::write_file(&self.path.join(name(attempt, mac)), MODE, pcap)?;
        self.enter(Kept { attempt, mac, bytes });
        Ok(true)
    }

    /// The capture of this attempt.
    pub(super) fn read(&self, attempt: AttemptId) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(kept) = self.kept.values().find(|kept| kept.attempt == attempt) else { return Ok(None) };
        let path = self.path.join(name(attempt, kept.mac));
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
            .map_err(DiskError::at("read", &path))?;
        Ok(Some(bytes))
    }

    fn enter(&mut self, kept: Kept) {
        self.kept.insert(self.next, kept);
        self.next += 1;
        self.bytes += kept.bytes;
    }

    /// Lets go the oldest until `more` fits.
    fn make_room(&mut self, more: Option<Kept>) -> Result<(), DiskError> {
        if let Some(Kept { mac, .. }) = more {
            while self.kept.values().filter(|kept| kept.mac == mac).count() >= OF_ONE {
                self.forget_first(|kept| kept.mac == mac)?;
            }
        }
        let more = more.map_or(0, |more| more.bytes);
        while self.bytes + more > self.budget || self.kept.len() >= FILES {
            if !self.forget_first(|_| true)? {
                break;
            }
        }
        Ok(())
    }

    /// False: there is none.
    fn forget_first(&mut self, which: impl Fn(&Kept) -> bool) -> Result<bool, DiskError> {
        let Some((number, kept)) = self.kept.iter().find(|(_, kept)| which(kept)) else { return Ok(false) };
        let (number, bytes, path) = (*number, kept.bytes, self.path.join(name(kept.attempt, kept.mac)));
        match fs::remove_file(&path) {
            // It takes its room still.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(DiskError::at("remove", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        self.kept.remove(&number);
        self.bytes -= bytes;
        Ok(true)
    }

    fn forget(&mut self, which: impl Fn(&Kept) -> bool) -> Result<(), DiskError> {
        while self.forget_first(&which)? {}
        Ok(())
    }
}

fn name(attempt: AttemptId, Mac([a, b, c, d, e, f]): Mac) -> String {
    format!("{attempt}-{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}.pcap")
}

fn parse(name: &str) -> Option<(AttemptId, Mac)> {
    let (attempt, mac) = name.strip_suffix(".pcap")?.split_once('-')?;
    let mut bytes = [0; 6];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(mac.get(at..at + 2)?, 16).ok()?;
    }
    (mac.len() == 12).then_some((attempt.parse().ok()?, Mac(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u8) -> AttemptId {
        AttemptId([number; 16])
    }

    fn mac(number: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, number])
    }

    fn there(folder: &Folder) -> Vec<u8> {
        (0..200).filter(|n| folder.read(attempt(*n)).expect("readable").is_some()).collect()
    }

    #[test]
    fn a_capture_is_read_again_also_after_a_restart() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("captures");
        let mut folder = Folder::open(&path, 1_000).expect("made");
        assert!(folder.keep(mac(1), attempt(1), b"first").expect("room"));
        assert!(folder.keep(mac(1), attempt(1), b"again").expect("room"));
        fs::write(path.join(".x.pcap.tmp"), b"half").expect("what a crash leaves");
        let folder = Folder::open(&path, 1_000).expect("there");
        assert_eq!(folder.read(attempt(1)).expect("readable").as_deref(), Some(&b"again"[..]));
        assert_eq!(fs::read_dir(&path).expect("there").count(), 1);
        assert_eq!(folder.bytes, 5);
    }

    #[test]
    fn the_oldest_go_first() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut folder = Folder::open(dir.path(), 1_000).expect("there");
        for number in 0..30 {
            assert!(folder.keep(mac(number), attempt(number), &[0; 100]).expect("room"));
        }
        assert_eq!(there(&folder), (20..30).collect::<Vec<_>>());
        assert_eq!(there(&Folder::open(dir.path(), 300).expect("a smaller budget")).len(), 3);
        assert!(!folder.keep(mac(1), attempt(99), &[0; 1_001]).expect("no mistake"), "more than the whole");
    }

    #[test]
    fn one_machine_does_not_push_out_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut folder = Folder::open(dir.path(), 10_000).expect("there");
        folder.keep(mac(1), attempt(100), b"x").expect("room");
        for number in 0..50 {
            folder.keep(mac(2), attempt(number), &[0; 100]).expect("room");
        }
        assert_eq!(there(&folder), (42..50).chain([100]).collect::<Vec<_>>());
    }

    #[test]
    fn names_there_and_back() {
        assert_eq!(parse(&name(attempt(7), mac(9))), Some((attempt(7), mac(9))));
        for other in ["x.pcap", "00-11.pcap", &name(attempt(7), mac(9))[1..], ".tmp"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}

//! Segment files: their names, their header, and how one is born.
//!
//! ```text
//!  0         8         12     16        24            40       44
//! ┌─────────┬─────────┬──────┬─────────┬─────────────┬────────┐
//! │"BOOTLEDG"│ version │ kind │ number  │ incarnation │ crc32c │ frames …
//! └─────────┴─────────┴──────┴─────────┴─────────────┴────────┘   integers are LE; crc over 0..40
//! ```
//!
//! A segment is written under a temporary name, synced and renamed. So under its own name its header and
//! the snapshot that it may begin with are always whole, and anything wrong there is damage.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use proto::Incarnation;

use super::error::{Damage, OpenError};
use super::fault::{Faults, Step};
use crate::disk::{DiskError, atomic};

/// The version of header and frames that this code writes.
pub const FORMAT_VERSION: u32 = 1;

pub(crate) const HEADER_BYTES: usize = 44;
const MAGIC: [u8; 8] = *b"BOOTLEDG";
const SUFFIX: &str = ".log";
const PREFIX: &str = "ledger-";
const TEMPORARY: &str = ".log.tmp";

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// It follows the segment with the number before.
    Continues,
    /// The mark of a snapshot: nothing before this segment is needed.
    Snapshot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) beginning: Beginning,
    pub(crate) number: u64,
    pub(crate) incarnation: Incarnation,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&u32::from(self.beginning == Beginning::Snapshot).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.incarnation.0);
        let crc = crc32c::crc32c(&bytes[..40]);
        bytes[40..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The seed of the segment's frames: its own checksum, which no other segment shares.
    pub(crate) fn seed(&self) -> u32 {
        let [.., a, b, c, d] = self.encode();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Reads the header at the start of `file`, which `path` names in errors.
    pub(crate) fn read(file: &File, path: &Path) -> Result<Self, OpenError> {
        let mut bytes = [0; HEADER_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Self::decode(&bytes, path),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(OpenError::damaged(path, 0, Damage::Header))
            }
            Err(error) => Err(DiskError::at("read", path)(error).into()),
        }
    }

    fn decode(bytes: &[u8; HEADER_BYTES], path: &Path) -> Result<Self, OpenError> {
        let damaged = || OpenError::damaged(path, 0, Damage::Header);
        let (checked, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if checked[..8] != MAGIC || crc32c::crc32c(checked) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        let number_at = |at: usize| checked[at..at + 4].iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
        let found = number_at(8);
        if found != FORMAT_VERSION {
            return Err(OpenError::Version { file: path.to_path_buf(), found });
        }
        let beginning = match number_at(12) {
            0 => Beginning::Continues,
            1 => Beginning::Snapshot,
            _ => return Err(damaged()),
        };
        let number = u64::from(number_at(20)) << 32 | u64::from(number_at(16));
        let incarnation = Incarnation(checked[24..].try_into().map_err(|_| damaged())?);
        Ok(Self { beginning, number, incarnation })
    }
}

/// Where the segment with this number lies.
pub(crate) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{number:016x}{SUFFIX}"))
}

/// What a listing of the ledger's directory shows; other names are not its business.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Numbers of segments, rising.
    pub(crate) segments: Vec<u64>,
    /// Segments that were never given their name.
    pub(crate) temporary: Vec<PathBuf>,
}

/// Lists the segments in `directory`.
pub(crate) fn list(directory: &Path) -> Result<Listing, DiskError> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(directory).map_err(DiskError::at("list", directory))? {
        let entry = entry.map_err(DiskError::at("list", directory))?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        if rest.strip_suffix(TEMPORARY).is_some() {
            listing.temporary.push(entry.path());
        } else if let Some(number) = rest.strip_suffix(SUFFIX).and_then(parse_number) {
            listing.segments.push(number);
        }
    }
    listing.segments.sort_unstable();
    Ok(listing)
}

fn parse_number(text: &str) -> Option<u64> {
    let canonical = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    canonical.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// A segment under its temporary name, which nobody reads before [`Unborn::publish`].
#[derive(Debug)]
pub(crate) struct Unborn {
    pub(crate) file: File,
    pub(crate) header: Header,
    /// Bytes written so far, the header included.
    pub(crate) length: u64,
    temporary: PathBuf,
    path: PathBuf,
    faults: Faults,
}

impl Unborn {
    /// Creates the temporary file and writes the header.
    pub(crate) fn create(directory: &Path, header: Header, faults: &Faults) -> Result<Self, DiskError> {
        let path = path_of(directory, header.number);
        let temporary = path.with_extension("log.tmp");
        let create = || {
            faults.before(Step::CreateSegment)?;
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o640).open(&temporary)
        };
        let file = create().map_err(DiskError::at("create", &temporary))?;
        let mut unborn = Self { file, header, length: 0, temporary, path, faults: faults.clone() };
        match unborn.write(&header.encode()) {
            Ok(()) => Ok(unborn),
            Err(error) => {
                unborn.abandon();
                Err(error)
            }
        }
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.faults
            .before(Step::WriteSegment)
            .and_then(|()| self.file.write_all_at(bytes, self.length))
            .map_err(DiskError::at("write", &self.temporary))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Makes the content durable, which must precede [`Unborn::publish`].
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.faults
            .before(Step::SyncSegment)
            .and_then(|()| self.file.sync_all())
            .map_err(DiskError::at("sync", &self.temporary))
    }

    /// Gives the segment its name. Until the directory is synced a crash may take the name back.
    pub(crate) fn publish(&self) -> Result<(), DiskError> {
        self.faults
            .before(Step::RenameSegment)
            .and_then(|()| fs::rename(&self.temporary, &self.path))
            .map_err(DiskError::at("rename to", &self.path))
    }

    /// Removes the temporary file of a segment that is not wanted after all; the next open does it
    /// otherwise.
    pub(crate) fn abandon(self) {
        let _ = remove(&self.temporary, &self.faults);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Syncs the ledger's directory.
pub(crate) fn sync_directory(directory: &Path, faults: &Faults) -> Result<(), DiskError> {
    faults.before(Step::SyncDirectory).map_err(DiskError::at("sync", directory))?;
    atomic::sync_directory(directory)
}

/// Removes a file of the ledger.
pub(crate) fn remove(path: &Path, faults: &Faults) -> Result<(), DiskError> {
    faults
        .before(Step::RemoveFile)
        .and_then(|()| fs::remove_file(path))
        .map_err(DiskError::at("remove", path))
}

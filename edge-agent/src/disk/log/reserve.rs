//! Room set aside for the ledger: a file of zeros that is given up piece by piece when the disk is full.
//!
//! DESIGN §6: room for order and lease records is set aside. A piece that is given up is claimed by the
//! ledger in the next moment; that nobody else takes it is up to the owner, who stops cache fills and
//! grants under [`Pressure::Tight`](crate::disk::space::Pressure).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::fault::{Faults, Step};
use super::zeros::write_zeros;
use crate::disk::DiskError;
use crate::disk::error::is_full;
use crate::disk::space::Space;

/// The file `reserve` in the ledger's directory.
#[derive(Debug)]
pub(crate) struct Reserve {
    file: File,
    path: PathBuf,
    wanted: u64,
    held: u64,
    faults: Faults,
}

impl Reserve {
    /// Opens or makes the reserve and fills it to `wanted` bytes as far as there is room.
    pub(crate) fn open(directory: &Path, wanted: u64, faults: &Faults) -> Result<Self, DiskError> {
        let path = directory.join("reserve");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(&path)
            .map_err(DiskError::at("open", &path))?;
        let held = file.metadata().map_err(DiskError::at("open", &path))?.len();
        let mut reserve = Self { file, path, wanted, held, faults: faults.clone() };
        reserve.refill(0)?;
        Ok(reserve)
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.held == self.wanted
    }

    /// Gives up at least `bytes`, or what is left. False when nothing was left.
    pub(crate) fn give(&mut self, bytes: u64) -> Result<bool, DiskError> {
        if self.held == 0 {
            return Ok(false);
        }
        let rest = self.held.saturating_sub(bytes);
        // Synced, because file systems with a journal free blocks only when the removal is committed.
        self.faults
            .before(Step::GiveReserve)
            .and_then(|()| self.file.set_len(rest))
            .and_then(|()| self.file.sync_all())
            .map_err(DiskError::at("shrink", &self.path))?;
        self.held = rest;
        Ok(true)
    }

    /// Takes back what is missing, if `spare` more bytes than that are free. True when it is whole.
    pub(crate) fn refill(&mut self, spare: u64) -> Result<bool, DiskError> {
        if self.held == self.wanted {
            return Ok(true);
        }
        let missing = self.wanted.saturating_sub(self.held);
        if Space::of(&self.path)?.free_bytes < missing.saturating_add(spare) {
            return Ok(false);
        }
        match self.resize() {
            Ok(()) => {
                self.held = self.wanted;
                Ok(true)
            }
            Err(error) if is_full(&error) => {
                self.file.set_len(self.held).map_err(DiskError::at("shrink", &self.path))?;
                Ok(false)
            }
            Err(error) => Err(DiskError::at("extend", &self.path)(error)),
        }
    }

    /// Makes the file `wanted` bytes of real blocks.
    fn resize(&self) -> io::Result<()> {
        self.faults.before(Step::Allocate)?;
        if self.wanted < self.held {
            self.file.set_len(self.wanted)?;
        } else if !allocate(&self.file, FallocateFlags::empty(), self.held, self.wanted - self.held)? {
            write_zeros(&self.file, self.held, self.wanted)?;
        }
        self.file.sync_all()
    }
}

/// Sets blocks aside. False when the file system cannot.
fn allocate(file: &File, flags: FallocateFlags, from: u64, bytes: u64) -> io::Result<bool> {
    loop {
        match fallocate(file, flags, from, bytes) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Makes sure that `file`, of which `from` bytes are in use, can grow by `needed` bytes: sets aside
/// `chunk` where there is room, else takes from the reserve, else just what is needed.
///
/// Returns how far the file may grow, which is `from` where the file system cannot say beforehand.
pub(crate) fn make_room(
    file: &File,
    from: u64,
    needed: u64,
    chunk: u64,
    reserve: &mut Reserve,
) -> io::Result<u64> {
    let mut want = needed.max(chunk);
    loop {
        let tried = reserve
            .faults
            .before(Step::Allocate)
            .and_then(|()| allocate(file, FallocateFlags::KEEP_SIZE, from, want));
        match tried {
            Ok(true) => return Ok(from + want),
            Ok(false) => return Ok(from),
            Err(error) if is_full(&error) => {
                let given = reserve.give(want).map_err(io::Error::other)?;
                if !given && want == needed {
                    return Err(error);
                }
                if !given {
                    want = needed;
                }
            }
            Err(error) => return Err(error),
        }
    }
}

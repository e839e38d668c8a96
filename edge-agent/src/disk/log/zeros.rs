//! Zeros ahead of the records: the live segment is written once before it is needed.
//!
//! A commit that makes a file longer, or writes where blocks are only set aside, changes the file's size and extents, and a sync
//! waits for that as well: twice the time and twice the CPU time on ext4 (docs/adr/0012). One that overwrites zeros changes its
//! own pages alone. So every so many bytes a commit writes zeros behind itself, and its sync makes both durable.
//!
//! No frame begins with zeros, so a reader takes them for the end. A seal is always the last of its file, also after a crash:
//! they are cut off, durably, before it is written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Ledger;
use super::commit::Failure;
use super::fault::Step;
use crate::disk::error::is_full;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Writes zeros from one place of a file up to another.
pub(super) fn write_zeros(file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let piece = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS.len());
        file.write_all_at(&ZEROS[..piece], at)?;
        at += piece as u64;
    }
    Ok(())
}

impl Ledger {
    /// Behind the batch that was just written: what the next ones overwrite, as far as there is room for that.
    pub(super) fn zeros_behind(&mut self) -> Result<(), Failure> {
        let live = &mut self.content.live;
        let end = live.length + self.batch.len();
        if end <= live.written {
            return Ok(());
        }
        live.written = end;
        let to = (end + self.options.zeros_bytes).min(live.room);
        if to <= end {
            return Ok(());
        }
        match self.options.faults.before(Step::WriteZeros).and_then(|()| write_zeros(&live.file, end, to)) {
            Ok(()) => live.written = to,
            Err(error) if is_full(&error) => {}
            Err(error) => return Err(Failure::Uncertain("write", error)),
        }
        Ok(())
    }

    /// Cuts the zeros off, and with them the room that was claimed: only a mark is to follow, which fits the last block or finds
    /// room as any write that could not claim it. Nothing may be pending. Not durable before the next sync.
    pub(super) fn cut_zeros(&mut self) -> io::Result<()> {
        let live = &mut self.content.live;
        if live.written > live.length {
            self.options.faults.before(Step::CutZeros)?;
            live.file.set_len(live.length)?;
            live.written = live.length;
        }
        Ok(())
    }
}

//! Compaction: a snapshot of the owner's live state takes the place of all segments before it.
//!
//! It is written by the owner's thread ([`Ledger::compact`]), or by another one while the ledger goes on
//! ([`Ledger::begin_snapshot`]): what is appended meanwhile is kept, and stands behind the snapshot in the same segment. A
//! snapshot is written to a new segment under a temporary name, synced, renamed, and the directory is
//! synced; only then are the older segments removed. A crash in between leaves either the old segments,
//! or the new one with leftovers that the next open removes.

use super::commit::{Beside, Since};
use super::error::CompactError;
use super::frame::{self, Kind, MAX_RECORD_BYTES, Mark, Tag};
use super::reserve::{Reserve, make_room};
use super::segment::{self, Beginning, HEADER_BYTES, Header, Unborn};
use super::{Ledger, Live};
use crate::disk::DiskError;

/// Frames of a snapshot are gathered into writes of about this many bytes.
const WRITE_BYTES: usize = 256 << 10;

impl Ledger {
    /// Replaces the ledger's content by `snapshot`: the records that re-create the owner's live state, with
    /// everything that was ever appended, committed or not.
    ///
    /// When this returns the snapshot is durable, and so is the pending batch, which it contains.
    ///
    /// # Errors
    /// [`CompactError`] says which content the ledger goes on with.
    pub fn compact<B: AsRef<[u8]>>(
        &mut self,
        snapshot: impl IntoIterator<Item = (Tag, B)>,
    ) -> Result<(), CompactError> {
        if self.poisoned {
            return Err(CompactError::Poisoned);
        }
        self.is_free()?;
        let mut next = self.unborn_from_reserve()?;
        let growth = self.options.growth_bytes;
        match next.write(snapshot, Some((&mut self.reserve, growth))) {
            Ok(()) => self.replace_by(next),
            Err(error) => {
                next.unborn.abandon();
                Err(error)
            }
        }
    }

    /// Begins a snapshot of what was appended and committed until now, to be written beside the ledger and then handed to
    /// [`Ledger::finish_snapshot`] or [`Ledger::give_up_snapshot`].
    ///
    /// # Errors
    /// [`CompactError`]; the ledger goes on as it was.
    pub fn begin_snapshot(&mut self) -> Result<Snapshot, CompactError> {
        if self.poisoned {
            return Err(CompactError::Poisoned);
        }
        self.is_free()?;
        let next = self.unborn_snapshot()?;
        self.beside = Beside::Kept(Since::default());
        Ok(next)
    }

    /// A snapshot that was begun is not to be; the ledger goes on as it was.
    pub fn give_up_snapshot(&mut self, snapshot: Snapshot) {
        snapshot.unborn.abandon();
        self.beside = Beside::Nothing;
    }

    /// Puts a snapshot that was written in place of everything before it; what was committed since it was begun stands
    /// behind it. Nothing may be pending.
    ///
    /// # Errors
    /// [`CompactError`] says which content the ledger goes on with.
    pub fn finish_snapshot(&mut self, mut snapshot: Snapshot) -> Result<(), CompactError> {
        let appended = match &self.beside {
            Beside::Kept(since) if !self.poisoned => snapshot.append(since).map_err(CompactError::NotWritten),
            Beside::Kept(_) => Err(CompactError::Poisoned),
            Beside::Outgrown | Beside::Nothing => Err(CompactError::GivenUp),
        };
        match appended {
            Ok(()) => {
                self.beside = Beside::Nothing;
                self.replace_by(snapshot)
            }
            Err(error) => {
                self.give_up_snapshot(snapshot);
                Err(error)
            }
        }
    }

    /// There is one next segment, and so one snapshot at a time.
    fn is_free(&self) -> Result<(), CompactError> {
        if matches!(self.beside, Beside::Nothing) { Ok(()) } else { Err(CompactError::UnderWay) }
    }

    fn unborn_snapshot(&self) -> Result<Snapshot, CompactError> {
        let number = self.content.live.header.number.saturating_add(1);
        let header = Header { beginning: Beginning::Snapshot, number, ..self.content.live.header };
        let unborn = Unborn::create(&self.directory, header, &self.options.faults);
        let unborn = unborn.map_err(CompactError::NotWritten)?;
        Ok(Snapshot { bytes: unborn.length, unborn, room: 0, frames: Vec::new() })
    }

    /// Where there is no room for the header even, the reserve gives some.
    fn unborn_from_reserve(&mut self) -> Result<Snapshot, CompactError> {
        match self.unborn_snapshot() {
            Err(CompactError::NotWritten(error)) if error.is_full() => {
                let given = self.reserve.give(self.options.growth_bytes).map_err(CompactError::NotWritten)?;
                if given { self.unborn_snapshot() } else { Err(CompactError::NotWritten(error)) }
            }
            tried => tried,
        }
    }

    fn replace_by(&mut self, next: Snapshot) -> Result<(), CompactError> {
        let Snapshot { unborn, bytes, .. } = next;
        if let Err(error) = unborn.publish() {
            unborn.abandon();
            return Err(CompactError::NotWritten(error));
        }
        if let Err(error) = segment::sync_directory(&self.directory, &self.options.faults) {
            self.poison();
            return Err(CompactError::Uncertain(error));
        }
        let superseded = self.content.oldest..unborn.header.number;
        self.content.oldest = unborn.header.number;
        self.content.sealed_bytes = 0;
        self.content.snapshot_bytes = bytes;
        self.content.live = Live::of(unborn);
        self.batch.clear();
        self.exhausted = false;
        self.remove_superseded(superseded).map_err(CompactError::OldRemains)
    }

    fn remove_superseded(&self, numbers: std::ops::Range<u64>) -> Result<(), DiskError> {
        for number in numbers {
            segment::remove(&segment::path_of(&self.directory, number), &self.options.faults)?;
        }
        Ok(())
    }
}

/// A snapshot on its way to disk, in the segment that will hold it.
#[derive(Debug)]
pub struct Snapshot {
    unborn: Unborn,
    /// Of the snapshot alone.
    bytes: u64,
    room: u64,
    frames: Vec<u8>,
}

impl Snapshot {
    /// Writes all of it, and syncs it. Room is taken where there is some.
    ///
    /// # Errors
    /// [`CompactError`]; it is to be dropped.
    pub fn write_beside<B: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = (Tag, B)>,
    ) -> Result<(), CompactError> {
        self.write(records, None)
    }

    fn write<B: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = (Tag, B)>,
        mut reserve: Option<(&mut Reserve, u64)>,
    ) -> Result<(), CompactError> {
        let mut count: u64 = 0;
        for (tag, body) in records {
            let bytes = body.as_ref().len().saturating_add(1);
            if bytes > MAX_RECORD_BYTES {
                return Err(CompactError::TooLong { bytes });
            }
            self.push(Kind::Record(tag), body.as_ref());
            count += 1;
            if self.frames.len() >= WRITE_BYTES {
                self.write_out(&mut reserve).map_err(CompactError::NotWritten)?;
            }
        }
        self.push(Kind::Mark(Mark::SnapshotEnd), &count.to_le_bytes());
        self.write_out(&mut reserve).and_then(|()| self.unborn.sync()).map_err(CompactError::NotWritten)?;
        self.bytes = self.unborn.length;
        Ok(())
    }

    /// What was committed after the snapshot, as one commit.
    fn append(&mut self, since: &Since) -> Result<(), DiskError> {
        for (number, (tag, body)) in since.iter().enumerate() {
            let place = self.unborn.length + self.frames.len() as u64;
            let (seed, kind) = (self.unborn.header.seed(), Kind::Record(tag));
            frame::encode(&mut self.frames, seed, place, kind, number == 0, body);
        }
        if self.frames.is_empty() {
            return Ok(());
        }
        self.write_out(&mut None).and_then(|()| self.unborn.sync())
    }

    fn push(&mut self, kind: Kind, body: &[u8]) {
        let place = self.unborn.length + self.frames.len() as u64;
        let first = place == HEADER_BYTES as u64;
        frame::encode(&mut self.frames, self.unborn.header.seed(), place, kind, first, body);
    }

    /// Room comes from the reserve too, where that is at hand: under pressure a snapshot is what gives space back.
    fn write_out(&mut self, reserve: &mut Option<(&mut Reserve, u64)>) -> Result<(), DiskError> {
        let end = self.unborn.length + self.frames.len() as u64;
        if let Some((reserve, growth)) = reserve.as_mut().filter(|_| end > self.room) {
            let needed = self.frames.len() as u64;
            self.room = make_room(&self.unborn.file, self.unborn.length, needed, *growth, reserve)
                .map_err(DiskError::at("write", self.unborn.path()))?;
        }
        self.unborn.write(&self.frames)?;
        self.frames.clear();
        Ok(())
    }
}

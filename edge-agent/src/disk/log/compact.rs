//! Compaction: a snapshot of the owner's live state takes the place of all segments before it.
//!
//! The snapshot is written to a new segment under a temporary name, synced, renamed, and the directory is
//! synced; only then are the older segments removed. A crash in between leaves either the old segments,
//! or the new one with leftovers that the next open removes.

use super::error::CompactError;
use super::frame::{self, Kind, MAX_RECORD_BYTES, Mark, Tag};
use super::reserve::make_room;
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
        let next = self.write_snapshot(snapshot)?;
        if let Err(error) = next.publish() {
            next.abandon();
            return Err(CompactError::NotWritten(error));
        }
        if let Err(error) = segment::sync_directory(&self.directory, &self.options.faults) {
            self.poison();
            return Err(CompactError::Uncertain(error));
        }
        let superseded = self.content.oldest..next.header.number;
        self.adopt(next);
        self.remove_superseded(superseded).map_err(CompactError::OldRemains)
    }

    fn write_snapshot<B: AsRef<[u8]>>(
        &mut self,
        snapshot: impl IntoIterator<Item = (Tag, B)>,
    ) -> Result<Unborn, CompactError> {
        let number = self.content.live.header.number.saturating_add(1);
        let header = Header { beginning: Beginning::Snapshot, number, ..self.content.live.header };
        let unborn = Unborn::create(&self.directory, header, &self.options.faults);
        let mut writer = Writer {
            ledger: self,
            unborn: unborn.map_err(CompactError::NotWritten)?,
            room: 0,
            frames: Vec::new(),
            records: 0,
        };
        match writer.write_all(snapshot) {
            Ok(()) => Ok(writer.unborn),
            Err(error) => {
                writer.unborn.abandon();
                Err(error)
            }
        }
    }

    fn adopt(&mut self, next: Unborn) {
        self.content.oldest = next.header.number;
        self.content.sealed_bytes = 0;
        self.content.snapshot_bytes = next.length;
        self.content.live = Live::of(next);
        self.batch.clear();
        self.exhausted = false;
    }

    fn remove_superseded(&self, numbers: std::ops::Range<u64>) -> Result<(), DiskError> {
        for number in numbers {
            segment::remove(&segment::path_of(&self.directory, number), &self.options.faults)?;
        }
        Ok(())
    }
}

/// Writes the records of a snapshot to the segment that will hold it.
struct Writer<'l> {
    ledger: &'l mut Ledger,
    unborn: Unborn,
    room: u64,
    frames: Vec<u8>,
    records: u64,
}

impl Writer<'_> {
    fn write_all<B: AsRef<[u8]>>(
        &mut self,
        snapshot: impl IntoIterator<Item = (Tag, B)>,
    ) -> Result<(), CompactError> {
        for (tag, body) in snapshot {
            let bytes = body.as_ref().len().saturating_add(1);
            if bytes > MAX_RECORD_BYTES {
                return Err(CompactError::TooLong { bytes });
            }
            self.push(Kind::Record(tag), body.as_ref());
            self.records += 1;
            if self.frames.len() >= WRITE_BYTES {
                self.write_out().map_err(CompactError::NotWritten)?;
            }
        }
        self.push(Kind::Mark(Mark::SnapshotEnd), &self.records.to_le_bytes());
        self.write_out().and_then(|()| self.unborn.sync()).map_err(CompactError::NotWritten)
    }

    fn push(&mut self, kind: Kind, body: &[u8]) {
        let place = self.unborn.length + self.frames.len() as u64;
        let first = place == HEADER_BYTES as u64;
        frame::encode(&mut self.frames, self.unborn.header.seed(), place, kind, first, body);
    }

    /// Room comes from the reserve too: under pressure a snapshot is what gives space back.
    fn write_out(&mut self) -> Result<(), DiskError> {
        let end = self.unborn.length + self.frames.len() as u64;
        if end > self.room {
            let growth = self.ledger.options.growth_bytes;
            let needed = self.frames.len() as u64;
            let reserve = &mut self.ledger.reserve;
            self.room = make_room(&self.unborn.file, self.unborn.length, needed, growth, reserve)
                .map_err(DiskError::at("write", self.unborn.path()))?;
        }
        self.unborn.write(&self.frames)?;
        self.frames.clear();
        Ok(())
    }
}

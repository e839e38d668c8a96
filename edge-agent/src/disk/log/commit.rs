//! Appending and group commit.

use std::io;
use std::os::unix::fs::FileExt;

use super::error::{AppendError, CommitError};
use super::fault::Step;
use super::frame::{self, Kind, MAX_RECORD_BYTES, Mark, Tag};
use super::reserve::make_room;
use super::segment::{self, Beginning, Header, Unborn};
use super::{Ledger, Live, MAX_BATCH_BYTES};
use crate::disk::DiskError;
use crate::disk::error::is_full;

/// Frames that were appended and not yet committed.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    records: usize,
}

impl Batch {
    fn push(&mut self, live: &Live, kind: Kind, body: &[u8]) {
        let place = live.length + self.bytes.len() as u64;
        let first = self.bytes.is_empty();
        frame::encode(&mut self.bytes, live.header.seed(), place, kind, first, body);
        self.records += usize::from(matches!(kind, Kind::Record(_)));
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Forgets what it held, and keeps its memory for the next commit.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.records = 0;
    }
}

/// What a snapshot that is written beside the ledger needs of it.
#[derive(Debug, Default)]
pub(super) enum Beside {
    /// There is none.
    #[default]
    Nothing,
    /// What was appended since it was begun.
    Kept(Since),
    /// That has become too much: the snapshot will be given up.
    Outgrown,
}

/// Records that were appended since a snapshot was begun.
#[derive(Debug, Default)]
pub(super) struct Since {
    bytes: Vec<u8>,
    /// The tag of each, and where it ends.
    records: Vec<(Tag, usize)>,
}

/// The most of them, in bytes.
const MAX_SINCE_BYTES: usize = 64 << 20;

impl Since {
    fn push(&mut self, tag: Tag, body: &[u8]) {
        self.bytes.extend_from_slice(body);
        self.records.push((tag, self.bytes.len()));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Tag, &[u8])> {
        let starts = std::iter::once(0).chain(self.records.iter().map(|(_, end)| *end));
        starts.zip(&self.records).map(|(start, (tag, end))| (*tag, &self.bytes[start..*end]))
    }
}

/// How the two steps of a commit fail.
pub(super) enum Failure {
    /// Nothing of the batch is in the file.
    NoRoom(io::Error),
    /// The file may hold part of the batch.
    Uncertain(&'static str, io::Error),
}

impl Ledger {
    /// Takes a record into the batch, in memory. It is durable when the next [`Ledger::commit`] returns.
    ///
    /// # Errors
    /// [`AppendError`]; the batch is as it was.
    pub fn append(&mut self, tag: Tag, body: &[u8]) -> Result<(), AppendError> {
        let bytes = body.len().saturating_add(1);
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        if bytes > MAX_RECORD_BYTES {
            return Err(AppendError::TooLong { bytes });
        }
        let held = self.batch.bytes.len();
        if held + frame::PREFIX_BYTES + bytes > MAX_BATCH_BYTES {
            return Err(AppendError::BatchFull { bytes: held });
        }
        self.batch.push(&self.content.live, Kind::Record(tag), body);
        if let Beside::Kept(since) = &mut self.beside {
            since.push(tag, body);
            if since.bytes.len() > MAX_SINCE_BYTES {
                self.beside = Beside::Outgrown;
            }
        }
        Ok(())
    }

    /// Makes all appended records durable, in order, with one `fdatasync`. An empty batch costs nothing.
    ///
    /// # Errors
    /// [`CommitError`] says how many records are not durable, and whether they wait or are lost. No packet
    /// may leave that rests on them.
    pub fn commit(&mut self) -> Result<(), CommitError> {
        if self.poisoned {
            return Err(CommitError::Poisoned);
        }
        if self.batch.bytes.is_empty() {
            return Ok(());
        }
        match self.write_batch().and_then(|()| self.zeros_behind()).and_then(|()| self.sync_batch()) {
            Ok(()) => self.exhausted = false,
            Err(failure) => return Err(self.failed(failure)),
        }
        self.content.live.length += self.batch.bytes.len() as u64;
        self.batch.clear();
        // The next number is the snapshot's, while one is under way.
        if self.content.live.length > self.options.segment_bytes && matches!(self.beside, Beside::Nothing) {
            self.follow_on();
        }
        Ok(())
    }

    /// Commits what is pending and marks the end as durable, so that any later damage is told from a torn
    /// tail. Without it the ledger is whole too: this is for a planned stop.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub fn close(mut self) -> Result<(), CommitError> {
        self.commit()?;
        self.cut_zeros().map_err(|error| self.lost(0, "cut", error))?;
        self.write_mark(Mark::Closed).map_err(|failure| self.failed(failure))
    }

    fn write_batch(&mut self) -> Result<(), Failure> {
        let end = self.content.live.length + self.batch.bytes.len() as u64;
        if end > self.content.live.room {
            let needed = end - self.content.live.length;
            let growth = self.options.growth_bytes;
            self.content.live.room = make_room(
                &self.content.live.file,
                self.content.live.length,
                needed,
                growth,
                &mut self.reserve,
            )
            .map_err(Failure::NoRoom)?;
        }
        loop {
            let written = self.options.faults.before(Step::WriteBatch).and_then(|()| {
                self.content.live.file.write_all_at(&self.batch.bytes, self.content.live.length)
            });
            match written {
                Ok(()) => return Ok(()),
                Err(error) if is_full(&error) => self.retreat(error)?,
                Err(error) => return Err(Failure::Uncertain("write", error)),
            }
        }
    }

    /// The write found no room although it was claimed, or could not be claimed beforehand: takes from the
    /// reserve, so that the same bytes are written again at the same place. They were never synced.
    fn retreat(&mut self, error: io::Error) -> Result<(), Failure> {
        match self.reserve.give(self.batch.bytes.len() as u64) {
            Ok(true) => Ok(()),
            Ok(false) => match self.cut_to_durable() {
                Ok(()) => Err(Failure::NoRoom(error)),
                Err(_) => Err(Failure::Uncertain("write", error)),
            },
            Err(_) => Err(Failure::Uncertain("write", error)),
        }
    }

    fn sync_batch(&mut self) -> Result<(), Failure> {
        self.options
            .faults
            .before(Step::SyncBatch)
            .and_then(|()| self.content.live.file.sync_data())
            .map_err(|error| Failure::Uncertain("sync", error))
    }

    fn failed(&mut self, failure: Failure) -> CommitError {
        let records = self.batch.records;
        match failure {
            Failure::NoRoom(error) if is_full(&error) => {
                self.exhausted = true;
                let source = DiskError::at("write", &self.content.live.path)(error);
                CommitError::Full { records, source }
            }
            Failure::NoRoom(error) => self.lost(records, "claim room for", error),
            Failure::Uncertain(operation, error) => self.lost(records, operation, error),
        }
    }

    /// Stops the ledger. What was not durable should not come to life at the next start either, so it is
    /// cut off if the disk still obeys.
    fn lost(&mut self, records: usize, operation: &'static str, error: io::Error) -> CommitError {
        self.poison();
        let _ = self.cut_to_durable();
        CommitError::Lost { records, source: DiskError::at(operation, &self.content.live.path)(error) }
    }

    pub(super) fn poison(&mut self) {
        self.poisoned = true;
        self.batch.clear();
    }

    fn cut_to_durable(&mut self) -> io::Result<()> {
        self.options.faults.before(Step::CutSegment)?;
        let live = &mut self.content.live;
        (live.room, live.written) = (live.length, live.length);
        live.file.set_len(live.length)
    }

    /// Seals the live segment and goes on in the next one.
    ///
    /// The commit before it has succeeded already. If the next segment cannot be made the live one grows
    /// on; if the seal or the rename fails the ledger is poisoned, and a restart finds its way.
    fn follow_on(&mut self) {
        let Some(number) = self.content.live.header.number.checked_add(1) else { return };
        let header = Header { beginning: Beginning::Continues, number, ..self.content.live.header };
        let Ok(next) = self.unborn(header) else { return };
        match self.seal() {
            Ok(()) => {}
            Err(Failure::NoRoom(_)) => {
                self.batch.clear();
                return next.abandon();
            }
            Err(Failure::Uncertain(..)) => return self.poison(),
        }
        let sealed = self.content.live.length + self.batch.bytes.len() as u64;
        self.batch.clear();
        let published =
            next.publish().and_then(|()| segment::sync_directory(&self.directory, &self.options.faults));
        if published.is_err() {
            return self.poison();
        }
        self.content.sealed_bytes += sealed;
        self.content.live = Live::of(next);
    }

    fn seal(&mut self) -> Result<(), Failure> {
        if self.content.live.written > self.content.live.length {
            self.cut_zeros().map_err(|error| Failure::Uncertain("cut", error))?;
            self.sync_batch()?;
        }
        self.write_mark(Mark::Sealed)
    }

    /// The last frame of the file, with nothing behind it.
    fn write_mark(&mut self, mark: Mark) -> Result<(), Failure> {
        self.batch.push(&self.content.live, Kind::Mark(mark), &[]);
        self.write_batch().and_then(|()| self.sync_batch())
    }

    /// An empty segment, synced, under its temporary name.
    fn unborn(&self, header: Header) -> Result<Unborn, DiskError> {
        let next = Unborn::create(&self.directory, header, &self.options.faults)?;
        match next.sync() {
            Ok(()) => Ok(next),
            Err(error) => {
                next.abandon();
                Err(error)
            }
        }
    }
}

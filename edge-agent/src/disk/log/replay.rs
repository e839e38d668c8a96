//! Reading a ledger back: which segments count, and what each record says.
//!
//! Nothing here writes. The last segment that begins with a snapshot is the base; those before it are
//! leftovers of an interrupted compaction. From the base on every number must be there, every segment but
//! the last must end sealed, and only behind the durable part of the last may a frame be bad.

use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::{Damage, OpenError};
use super::frame::{Frames, Kind, Mark, Next, Record, Tail};
use super::segment::{self, Beginning, HEADER_BYTES, Header, Listing};
use crate::disk::DiskError;

/// What the visitor answers when it cannot make sense of a record.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Called with each record, oldest first.
pub type Visitor<'v> = dyn FnMut(Record<'_>) -> Result<(), Refusal> + 'v;

/// A segment whose header holds.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) header: Header,
}

/// The segments that make up the ledger; those before are leftovers.
#[derive(Debug)]
pub(crate) struct Chain {
    /// From the base to the live one.
    pub(crate) segments: Vec<Found>,
}

/// How the replay of one segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Where the last whole frame ends.
    pub(crate) length: u64,
    /// Bytes of a torn tail after it; zeros alone are none.
    pub(crate) torn_bytes: u64,
    /// Whether the segment is sealed.
    pub(crate) sealed: bool,
}

/// Finds the chain in a listing. `None` when there is no segment at all.
pub(crate) fn find_chain(directory: &Path, listing: &Listing) -> Result<Option<Chain>, OpenError> {
    let (Some(&lowest), Some(&highest)) = (listing.segments.first(), listing.segments.last()) else {
        return Ok(None);
    };
    let mut segments: Vec<Found> = Vec::new();
    for number in (lowest..=highest).rev() {
        let found = open(directory, number)?;
        let is_base = found.header.beginning == Beginning::Snapshot;
        segments.push(found);
        if is_base {
            segments.reverse();
            same_incarnation(&segments)?;
            return Ok(Some(Chain { segments }));
        }
    }
    Err(OpenError::MissingSegment { file: segment::path_of(directory, lowest.saturating_sub(1)) })
}

fn open(directory: &Path, number: u64) -> Result<Found, OpenError> {
    let path = segment::path_of(directory, number);
    let file = match File::options().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OpenError::MissingSegment { file: path });
        }
        Err(error) => return Err(DiskError::at("open", &path)(error).into()),
    };
    let header = Header::read(&file, &path)?;
    if header.number != number {
        return Err(OpenError::damaged(&path, 0, Damage::Number { found: header.number }));
    }
    Ok(Found { path, file, header })
}

fn same_incarnation(segments: &[Found]) -> Result<(), OpenError> {
    let strangers = segments.windows(2).find(|pair| pair[0].header.incarnation != pair[1].header.incarnation);
    strangers.map_or(Ok(()), |pair| {
        Err(OpenError::WrongIncarnation {
            file: pair[1].path.clone(),
            expected: pair[0].header.incarnation,
            found: pair[1].header.incarnation,
        })
    })
}

/// What was visited, also when an error ends the replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Records, those of the snapshot included.
    pub(crate) records: u64,
    /// Where the snapshot ends in its segment.
    pub(crate) snapshot_bytes: u64,
}

/// Replays the whole chain. Returns how the last segment ended.
pub(crate) fn replay(chain: &Chain, tally: &mut Tally, visit: &mut Visitor<'_>) -> Result<End, OpenError> {
    let mut end = End { length: 0, torn_bytes: 0, sealed: false };
    for (index, found) in chain.segments.iter().enumerate() {
        let is_last = index + 1 == chain.segments.len();
        end = Replay::begin(found, is_last)?.run(tally, visit)?;
    }
    Ok(end)
}

/// The replay of one segment.
struct Replay<'s> {
    found: &'s Found,
    is_last: bool,
    file_length: u64,
    frames: Frames<BufReader<&'s File>>,
    /// Records since the header, while the snapshot that it announced has not ended.
    snapshot: Option<u64>,
}

impl<'s> Replay<'s> {
    fn begin(found: &'s Found, is_last: bool) -> Result<Self, OpenError> {
        let mut file = &found.file;
        file.seek(SeekFrom::Start(HEADER_BYTES as u64)).map_err(DiskError::at("read", &found.path))?;
        let file_length = file.metadata().map_err(DiskError::at("read", &found.path))?.len();
        let frames = Frames::new(BufReader::new(file), found.header.seed(), HEADER_BYTES as u64);
        let snapshot = (found.header.beginning == Beginning::Snapshot).then_some(0);
        Ok(Self { found, is_last, file_length, frames, snapshot })
    }

    fn run(mut self, tally: &mut Tally, visit: &mut Visitor<'_>) -> Result<End, OpenError> {
        let damaged = |at, damage| OpenError::damaged(&self.found.path, at, damage);
        loop {
            let at = self.frames.place();
            let next = self.frames.next().map_err(DiskError::at("read", &self.found.path))?;
            match next {
                Next::Frame(frame) => match frame.kind {
                    Kind::Record(tag) => {
                        self.snapshot = self.snapshot.map(|count| count + 1);
                        visit(Record { tag, body: frame.body }).map_err(|source| OpenError::Refused {
                            file: self.found.path.clone(),
                            offset: at,
                            source,
                        })?;
                        tally.records += 1;
                    }
                    Kind::Mark(Mark::SnapshotEnd) => match self.snapshot.take() {
                        Some(count) if frame.body == count.to_le_bytes() => {
                            tally.snapshot_bytes = self.frames.place();
                        }
                        Some(_) | None => return Err(damaged(at, Damage::MisplacedMark)),
                    },
                    Kind::Mark(Mark::Closed) => {}
                    Kind::Mark(Mark::Sealed) => return self.sealed(),
                },
                Next::End => return self.ended(),
                Next::Bad(problem) => return self.bad(Damage::Frame(problem)),
                Next::UnknownKind(kind) => return Err(damaged(at, Damage::UnknownKind(kind))),
            }
        }
    }

    /// The seal was read: nothing may follow, and no snapshot may be open.
    fn sealed(self) -> Result<End, OpenError> {
        let length = self.frames.place();
        if length == self.file_length && self.snapshot.is_none() {
            return Ok(End { length, torn_bytes: 0, sealed: true });
        }
        Err(OpenError::damaged(&self.found.path, length, Damage::MisplacedMark))
    }

    /// The file ended without a seal, which only the live segment may.
    fn ended(self) -> Result<End, OpenError> {
        let length = self.frames.place();
        if self.is_last && self.snapshot.is_none() {
            return Ok(End { length, torn_bytes: 0, sealed: false });
        }
        Err(OpenError::damaged(&self.found.path, length, Damage::EndsEarly))
    }

    /// A frame is bad: the tail that a crash left, or damage to what had been durable.
    fn bad(self, damage: Damage) -> Result<End, OpenError> {
        let length = self.frames.place();
        let path = &self.found.path;
        let damaged = Err(OpenError::damaged(path, length, damage));
        if !self.is_last || self.snapshot.is_some() {
            return damaged;
        }
        let torn_bytes = match self.frames.tail().map_err(DiskError::at("read", path))? {
            Tail::Zeros => 0,
            Tail::Torn => self.file_length.saturating_sub(length),
            Tail::Durable => return damaged,
        };
        Ok(End { length, torn_bytes, sealed: false })
    }
}

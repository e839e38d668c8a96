//! The frames of a segment: how a record is written, and how damage is told from a torn tail.
//!
//! ```text
//!  0        4        8    9
//! ┌────────┬────────┬────┬─────────────┐   length: u32 LE, of kind and body together, 1 ..= 1 MiB
//! │ length │ crc32c │kind│ body …      │   crc32c: u32 LE, over seed, place, length, kind and body
//! └────────┴────────┴────┴─────────────┘   kind:   bit 7 "first of a commit", bits 0–6 tag or mark
//! ```
//!
//! The checksum begins with the segment's seed and the frame's place in the file, so that a frame that
//! was moved, or bytes inside a record that look like a frame, are never taken for one.
//!
//! *First of a commit* means that everything before the frame was synced when it was written. After a
//! crash the unsynced pages of the last commit may be missing in any pattern, even with whole frames
//! behind a hole; but a first frame behind a bad one proves that the bad one had once been durable.

use std::io::{self, Read};

/// The longest record, tag included, in bytes.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// Bytes of a frame before its kind.
pub(crate) const PREFIX_BYTES: usize = 8;

const FIRST_OF_COMMIT: u8 = 0x80;
const MARKS: u8 = 0x70;

/// The owner's type tag of a record, 0 to 111.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u8);

impl Tag {
    /// A tag, unless `value` is in the range that the ledger keeps for its own marks.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value < MARKS { Some(Self(value)) } else { None }
    }

    /// The number behind the tag.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// One record as the visitor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What kind of record it is, in the owner's numbering.
    pub tag: Tag,
    /// The owner's bytes.
    pub body: &'a [u8],
}

/// What the ledger itself writes between records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The records since the header are the whole snapshot. Body: their count, u64 LE.
    SnapshotEnd,
    /// The segment is complete and another follows. No body.
    Sealed,
    /// Everything before was durable when the ledger was closed. No body.
    Closed,
}

/// What the kind of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Record(Tag),
    Mark(Mark),
}

impl Kind {
    fn encode(self) -> u8 {
        match self {
            Self::Record(tag) => tag.0,
            Self::Mark(Mark::SnapshotEnd) => MARKS,
            Self::Mark(Mark::Sealed) => MARKS + 1,
            Self::Mark(Mark::Closed) => MARKS + 2,
        }
    }

    fn decode(value: u8) -> Option<Self> {
        match value {
            tag if tag < MARKS => Some(Self::Record(Tag(tag))),
            0x70 => Some(Self::Mark(Mark::SnapshotEnd)),
            0x71 => Some(Self::Mark(Mark::Sealed)),
            0x72 => Some(Self::Mark(Mark::Closed)),
            _ => None,
        }
    }
}

/// Appends one frame to `out`, to stand at `place` in the segment.
///
/// The caller has checked the body against [`MAX_RECORD_BYTES`].
pub(crate) fn encode(out: &mut Vec<u8>, seed: u32, place: u64, kind: Kind, first: bool, body: &[u8]) {
    let length = u32::try_from(body.len() + 1).unwrap_or(u32::MAX).to_le_bytes();
    let kind = kind.encode() | if first { FIRST_OF_COMMIT } else { 0 };
    let start = out.len();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[0; 4]);
    out.push(kind);
    out.extend_from_slice(body);
    let crc = checksum(seed, place, length, &out[start + PREFIX_BYTES..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(seed: u32, place: u64, length: [u8; 4], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(seed, &place.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &length);
    crc32c::crc32c_append(crc, payload)
}

/// A frame that was read and holds.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) body: &'a [u8],
}

/// What a reader found next.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Frame(Frame<'a>),
    /// The file ends where a frame ends.
    End,
    /// No frame holds here.
    Bad(Problem),
    /// The checksum holds, and the kind is none that this version knows.
    UnknownKind(u8),
}

/// What stands behind the last whole frame of the live segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// What was written ahead, and nothing else.
    Zeros,
    /// What a crash left of the last commit.
    Torn,
    /// A later frame proves that the bad one had once been durable.
    Durable,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file ends inside the frame.
    #[error("the file ends inside a frame")]
    CutShort,
    /// The length is zero or beyond [`MAX_RECORD_BYTES`].
    #[error("a frame's length of {0} bytes is impossible")]
    Length(u32),
    /// The checksum does not match.
    #[error("a frame's checksum does not match")]
    Checksum,
}

/// Reads frames one after another, holding one in memory.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    source: R,
    seed: u32,
    /// Where the next frame begins in the file.
    place: u64,
    buffer: Vec<u8>,
}

impl<R: Read> Frames<R> {
    /// Reads from `source`, which stands at `place` of the segment with this `seed`.
    pub(crate) fn new(source: R, seed: u32, place: u64) -> Self {
        Self { source, seed, place, buffer: Vec::new() }
    }

    /// Where the next frame begins; after [`Next::Bad`], where the bad one does.
    pub(crate) fn place(&self) -> u64 {
        self.place
    }

    pub(crate) fn next(&mut self) -> io::Result<Next<'_>> {
        self.fill(PREFIX_BYTES)?;
        match self.buffer.len() {
            0 => return Ok(Next::End),
            short if short < PREFIX_BYTES => return Ok(Next::Bad(Problem::CutShort)),
            _ => {}
        }
        let length = match payload_length(&self.buffer) {
            Ok(length) => length,
            Err(problem) => return Ok(Next::Bad(problem)),
        };
        self.extend(length)?;
        match check(&self.buffer, self.seed, self.place) {
            Ok(()) => {}
            Err(problem) => return Ok(Next::Bad(problem)),
        }
        let byte = self.buffer[PREFIX_BYTES] & !FIRST_OF_COMMIT;
        let Some(kind) = Kind::decode(byte) else { return Ok(Next::UnknownKind(byte)) };
        self.place += self.buffer.len() as u64;
        Ok(Next::Frame(Frame { kind, body: &self.buffer[PREFIX_BYTES + 1..] }))
    }

    /// After [`Next::Bad`]: what the bad frame and everything behind it are.
    pub(crate) fn tail(mut self) -> io::Result<Tail> {
        self.source.read_to_end(&mut self.buffer)?;
        let rest = &self.buffer;
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(Tail::Zeros);
        }
        let was_durable = (1..rest.len()).any(|at| {
            let from_here = &rest[at..];
            let Ok(length) = payload_length(from_here) else { return false };
            let Some(frame) = from_here.get(..PREFIX_BYTES + length) else { return false };
            let first = frame[PREFIX_BYTES] & FIRST_OF_COMMIT != 0;
            first && check(frame, self.seed, self.place + at as u64).is_ok()
        });
        Ok(if was_durable { Tail::Durable } else { Tail::Torn })
    }

    fn fill(&mut self, bytes: usize) -> io::Result<()> {
        self.buffer.clear();
        self.extend(bytes)
    }

    fn extend(&mut self, bytes: usize) -> io::Result<()> {
        self.source.by_ref().take(bytes as u64).read_to_end(&mut self.buffer).map(drop)
    }
}

/// The length of kind and body that a prefix announces.
fn payload_length(bytes: &[u8]) -> Result<usize, Problem> {
    let (length, _) = bytes.split_first_chunk::<4>().ok_or(Problem::CutShort)?;
    let length = u32::from_le_bytes(*length);
    match usize::try_from(length) {
        Ok(bytes @ 1..=MAX_RECORD_BYTES) => Ok(bytes),
        Ok(_) | Err(_) => Err(Problem::Length(length)),
    }
}

/// Checks that `bytes` are exactly one whole frame that stands at `place`.
fn check(bytes: &[u8], seed: u32, place: u64) -> Result<(), Problem> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(Problem::CutShort)?;
    let (crc, payload) = rest.split_first_chunk::<4>().ok_or(Problem::CutShort)?;
    if payload.len() < payload_length(bytes)? {
        return Err(Problem::CutShort);
    }
    let holds = checksum(seed, place, *length, payload) == u32::from_le_bytes(*crc);
    holds.then_some(()).ok_or(Problem::Checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u32 = 7;
    const PLACE: u64 = 100;

    fn record(value: u8) -> Kind {
        Kind::Record(Tag::new(value).expect("an owner's tag"))
    }

    fn two_frames(second_is_first_of_commit: bool) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        encode(&mut bytes, SEED, PLACE, record(3), true, b"one");
        let boundary = bytes.len();
        let place = PLACE + boundary as u64;
        encode(&mut bytes, SEED, place, record(4), second_is_first_of_commit, b"");
        (bytes, boundary)
    }

    #[test]
    fn the_layout_is_as_drawn() {
        let mut bytes = Vec::new();
        encode(&mut bytes, SEED, PLACE, record(3), true, b"ab");
        assert_eq!(bytes[..4], [3, 0, 0, 0]);
        assert_eq!(bytes[8..], [0x83, b'a', b'b']);
        let seeded = [&PLACE.to_le_bytes()[..], &[3, 0, 0, 0, 0x83, b'a', b'b']].concat();
        assert_eq!(bytes[4..8], crc32c::crc32c_append(SEED, &seeded).to_le_bytes());
    }

    #[test]
    fn frames_come_back_in_order() {
        let (bytes, _) = two_frames(true);
        let mut frames = Frames::new(&bytes[..], SEED, PLACE);
        let next = frames.next().expect("read");
        assert!(matches!(next, Next::Frame(Frame { kind, body: b"one" }) if kind == record(3)), "{next:?}");
        let next = frames.next().expect("read");
        assert!(matches!(next, Next::Frame(Frame { kind, body: b"" }) if kind == record(4)), "{next:?}");
        assert!(matches!(frames.next().expect("read"), Next::End));
        assert_eq!(frames.place(), PLACE + bytes.len() as u64);
    }

    #[test]
    fn another_place_or_seed_is_another_frame() {
        let (bytes, _) = two_frames(true);
        for (seed, place) in [(SEED + 1, PLACE), (SEED, PLACE + 1)] {
            let mut frames = Frames::new(&bytes[..], seed, place);
            assert!(matches!(frames.next().expect("read"), Next::Bad(Problem::Checksum)));
        }
    }

    #[test]
    fn only_a_first_frame_proves_that_what_precedes_was_durable() {
        for proof in [true, false] {
            let (mut bytes, boundary) = two_frames(proof);
            for at in 0..boundary {
                bytes[at] ^= 0x10;
                let mut frames = Frames::new(&bytes[..], SEED, PLACE);
                assert!(matches!(frames.next().expect("read"), Next::Bad(_)), "flip at {at}");
                assert_eq!(frames.place(), PLACE);
                let expected = if proof { Tail::Durable } else { Tail::Torn };
                assert_eq!(frames.tail().expect("read"), expected, "flip at {at}");
                bytes[at] ^= 0x10;
            }
        }
    }

    #[test]
    fn impossible_lengths_are_not_followed() {
        for length in [0, MAX_RECORD_BYTES as u32 + 1, u32::MAX] {
            let bytes = [&length.to_le_bytes()[..], &[0; 60]].concat();
            let mut frames = Frames::new(&bytes[..], SEED, PLACE);
            let next = frames.next().expect("read");
            assert!(matches!(next, Next::Bad(Problem::Length(found)) if found == length), "{next:?}");
        }
    }

    #[test]
    fn tags_end_where_marks_begin() {
        assert_eq!(Tag::new(0x6f).map(Tag::value), Some(0x6f));
        assert_eq!(Tag::new(0x70), None);
        assert_eq!(Tag::new(0xff), None);
        for mark in [Mark::SnapshotEnd, Mark::Sealed, Mark::Closed] {
            assert_eq!(Kind::decode(Kind::Mark(mark).encode()), Some(Kind::Mark(mark)));
        }
    }
}

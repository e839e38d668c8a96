//! Several ranges of a blob in one answer: `multipart/byteranges` (RFC 9110 §14.6), read as it comes.
//!
//! The parts must be those that were asked for, in their order: the heads say so, and lengths are counted. Boundaries are
//! not looked for.

use std::ops::Range;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::error::SourceError;

/// The most bytes of a part's head, and of what stands behind the last part.
const HEAD: usize = 1 << 10;

/// The bytes of an answer, range by range.
pub(super) enum Body {
    /// One range, which is all of it.
    One(Incoming),
    /// Several.
    Parts(Incoming, Parts),
}

impl Body {
    /// The next bytes of the range that has its turn. None: it has ended, and the next one has its turn.
    /// Dropped and called again it goes on where it was.
    pub(super) async fn data(&mut self) -> Option<Result<Bytes, SourceError>> {
        loop {
            if let Self::Parts(_, parts) = self
                && let Some(found) = parts.next().transpose()
            {
                return found.map(Found::bytes).transpose();
            }
            let (Self::One(body) | Self::Parts(body, _)) = self;
            let data = match body.frame().await {
                Some(Ok(frame)) => frame.into_data(),
                Some(Err(error)) => return Some(Err(error.into())),
                None => return self.ended().map(Err),
            };
            match (&mut *self, data) {
                (Self::One(_), Ok(data)) => return Some(Ok(data)),
                (Self::Parts(_, parts), Ok(data)) => parts.rest = data,
                (Self::One(_) | Self::Parts(..), Err(_)) => {}
            }
        }
    }

    fn ended(&self) -> Option<SourceError> {
        match self {
            Self::One(_) => None,
            Self::Parts(_, parts) => parts.missing().map(SourceError::TooFew),
        }
    }

    /// Reads what stands behind the last range, so that the connection can be used again.
    pub(super) async fn finish(mut self) -> Result<(), SourceError> {
        let mut behind = 0;
        let (Self::One(body) | Self::Parts(body, _)) = &mut self;
        while let Some(frame) = body.frame().await {
            behind += frame?.into_data().map_or(0, |data| data.len());
            if behind > HEAD {
                return Err(SourceError::TooMany);
            }
        }
        Ok(())
    }
}

/// Where the reader of a multipart answer stands. Moves no byte itself.
#[derive(Debug)]
pub(super) struct Parts {
    size: u64,
    ranges: Vec<Range<u64>>,
    /// The range that has its turn.
    turn: usize,
    state: State,
    rest: Bytes,
}

#[derive(Debug)]
enum State {
    /// Before the bytes of the range: what has come of its head.
    Head(Vec<u8>),
    /// So many bytes of the range are still to come.
    Content(u64),
}

/// What was found in the bytes that have come.
enum Found {
    Bytes(Bytes),
    EndOfRange,
}

impl Found {
    fn bytes(self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::EndOfRange => None,
        }
    }
}

impl Parts {
    /// These ranges of a blob of `size` bytes were asked for.
    pub(super) fn new(size: u64, ranges: Vec<Range<u64>>) -> Self {
        Self { size, ranges, turn: 0, state: State::Head(Vec::new()), rest: Bytes::new() }
    }

    /// None: more must come.
    fn next(&mut self) -> Result<Option<Found>, SourceError> {
        loop {
            match &mut self.state {
                State::Content(0) => {
                    self.turn += 1;
                    self.state = State::Head(Vec::new());
                    return Ok(Some(Found::EndOfRange));
                }
                _ if self.rest.is_empty() => return Ok(None),
                State::Content(left) => {
                    let take =
                        usize::try_from(*left).map_or(self.rest.len(), |left| left.min(self.rest.len()));
                    *left -= take as u64;
                    return Ok(Some(Found::Bytes(self.rest.split_to(take))));
                }
                State::Head(head) => {
                    head.push(self.rest.get_u8());
                    if head.ends_with(b"\r\n\r\n") {
                        let range = self.ranges.get(self.turn).ok_or(SourceError::TooMany)?;
                        check_head(head, range, self.size)?;
                        self.state = State::Content(range.end - range.start);
                    } else if head.len() > HEAD {
                        return Err(SourceError::NoParts);
                    }
                }
            }
        }
    }

    /// Bytes of the ranges that have not come; None: all have.
    fn missing(&self) -> Option<u64> {
        let begun = match self.state {
            State::Head(_) => 0,
            State::Content(left) => left,
        };
        let later = self.turn + usize::from(matches!(self.state, State::Content(_)));
        let rest: u64 = self.ranges.iter().skip(later).map(|range| range.end - range.start).sum();
        Some(begun + rest).filter(|missing| *missing > 0)
    }
}

fn check_head(head: &[u8], range: &Range<u64>, size: u64) -> Result<(), SourceError> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let found = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-range").then(|| value.trim().to_owned())
    });
    let expected = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
    match found {
        Some(found) if found == expected => Ok(()),
        Some(_) | None => {
            Err(SourceError::OtherRange { expected, found: found.and_then(|found| found.parse().ok()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"\r\n--b\r\nContent-Type: x/y\r\nContent-Range: bytes 0-2/20\r\n\r\nabc\
        \r\n--b\r\ncontent-range: bytes 5-5/20\r\n\r\nf\r\n--b--\r\n";

    fn read(answer: &[u8], piece: usize) -> Result<(Vec<Vec<u8>>, Option<u64>), SourceError> {
        let mut parts = Parts::new(20, vec![0..3, 5..6]);
        let mut ranges = vec![Vec::new()];
        for piece in answer.chunks(piece) {
            parts.rest = Bytes::copy_from_slice(piece);
            while parts.turn < 2
                && let Some(found) = parts.next()?
            {
                match found.bytes() {
                    Some(bytes) => ranges.last_mut().expect("one at least").extend_from_slice(&bytes),
                    None => ranges.push(Vec::new()),
                }
            }
        }
        Ok((ranges, parts.missing()))
    }

    #[test]
    fn ranges_come_one_by_one_in_whatever_pieces() {
        for piece in 1..ANSWER.len() {
            let (ranges, missing) = read(ANSWER, piece).expect("legal");
            assert_eq!(ranges, [&b"abc"[..], b"f", b""], "{piece}");
            assert_eq!(missing, None);
        }
    }

    #[test]
    fn other_ranges_than_those_asked_for_are_refused() {
        let other = String::from_utf8_lossy(ANSWER).replace("5-5", "6-6");
        assert!(matches!(read(other.as_bytes(), 9), Err(SourceError::OtherRange { .. })));
        let endless = [b'x'; 2_000];
        assert!(matches!(read(&endless, 100), Err(SourceError::NoParts)));
        assert_eq!(read(&ANSWER[..59], 9).expect("legal so far").1, Some(1 + 1));
        assert_eq!(read(b"", 9).expect("nothing yet").1, Some(4));
    }
}

//! How a new blob is put together from what the agent holds: which chunks are copied, and what is fetched.
//!
//! Pure: it is told the lists of chunks and hands out [`Step`]s, in order from the blob's start to its end, so that it
//! streams to waiting machines while it grows. Whoever performs them checks each chunk's name before it counts, and
//! fetches one that does not hold; the whole blob's SHA-256 has the last word.

use std::ops::Range;

use proto::chunks::{Chunk, ChunkList};

/// What a request of its own costs, in bytes of the link: heads and records are some 600 bytes, and each end has work.
/// A piece that is held and is not longer is fetched along with its neighbours, rather than splitting their request.
pub const REQUEST_COST: u64 = 4 << 10;

/// Where a chunk is copied from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The held blob of this number, as [`Assembly::offer`] was told.
    Held(u32),
    /// What was written of the new blob itself: zeros, and files that it has twice.
    Itself,
}

/// The next bytes of the new blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Copy chunks, which lie one behind the other where they come from.
    Copy {
        /// Which blob.
        from: Source,
        /// Where the first chunk begins there, in bytes.
        offset: u64,
        /// Which chunks of the new blob's list.
        chunks: Range<usize>,
    },
    /// Fetch these bytes of the new blob.
    Fetch(Range<u64>),
}

/// The new blob's chunks, and where they were found so far.
#[derive(Debug)]
pub struct Assembly {
    list: ChunkList,
    /// Numbers of chunks by name; among equals, in order: the first stands for all.
    by_name: Vec<u32>,
    /// By place in `by_name`, for the first of each name.
    found: Vec<Option<Place>>,
    /// May chunks be copied from what was written of the blob itself?
    trusts_itself: bool,
    /// Names that were not found.
    missing: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    held: u32,
    offset: u64,
}

impl Assembly {
    /// Begins with nothing held.
    #[must_use]
    pub fn new(list: ChunkList) -> Self {
        let chunks = list.chunks();
        let count = u32::try_from(chunks.len()).expect("lists are bounded");
        let mut by_name: Vec<u32> = (0..count).collect();
        by_name.sort_unstable_by_key(|number| (chunks[*number as usize].name, *number));
        let missing = by_name.chunk_by(|a, b| chunks[*a as usize].name == chunks[*b as usize].name).count();
        let found = vec![None; chunks.len()];
        Self { list, by_name, found, trusts_itself: true, missing }
    }

    /// The new blob's list.
    #[must_use]
    pub fn list(&self) -> &ChunkList {
        &self.list
    }

    /// A blob that is held has these chunks. What was found before in another stays with that.
    pub fn offer(&mut self, held: u32, list: &ChunkList) {
        if list.cut() != self.list.cut() {
            return;
        }
        let mut offset = 0;
        for chunk in list.chunks() {
            self.offer_chunk(Place { held, offset }, chunk);
            offset += u64::from(chunk.length);
        }
    }

    /// What this one was said to have does not hold: nothing is copied from it any more.
    pub fn distrust(&mut self, from: Source) {
        match from {
            Source::Itself => self.trusts_itself = false,
            Source::Held(number) => {
                self.found.iter_mut().for_each(|found| *found = found.filter(|place| place.held != number));
            }
        }
    }

    /// Is there nothing left to look for?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    fn offer_chunk(&mut self, place: Place, chunk: &Chunk) {
        if self.missing == 0 {
            return;
        }
        let at = self.rank(chunk);
        let same = self.by_name.get(at).map(|number| &self.list.chunks()[*number as usize]);
        if same == Some(chunk) && self.found[at].is_none() {
            self.found[at] = Some(place);
            self.missing -= 1;
        }
    }

    /// The place in `by_name` of the first chunk with this name, if there is one.
    fn rank(&self, chunk: &Chunk) -> usize {
        let name = |number: &u32| self.list.chunks()[*number as usize].name;
        self.by_name.partition_point(|number| name(number) < chunk.name)
    }

    /// What is to be done for the bytes from `resume` on.
    #[must_use]
    pub fn steps(&self, resume: u64) -> Vec<Step> {
        let mut steps = Steps::default();
        let offsets = self.offsets();
        for (number, chunk) in self.list.chunks().iter().enumerate() {
            let (start, end) = (offsets[number], offsets[number + 1]);
            if end <= resume {
                continue;
            }
            match self.source(number, chunk, &offsets) {
                Some((from, place)) if start >= resume => steps.copy(from, place, number, start),
                // What an earlier end left of a chunk cannot be checked by its name.
                Some(_) | None => steps.fetch(start.max(resume)..end),
            }
        }
        steps.done
    }

    /// Where each chunk begins, and the end of the last.
    fn offsets(&self) -> Vec<u64> {
        let ends = self.list.chunks().iter().scan(0, |end, chunk| {
            *end += u64::from(chunk.length);
            Some(*end)
        });
        std::iter::once(0).chain(ends).collect()
    }

    fn source(&self, number: usize, chunk: &Chunk, offsets: &[u64]) -> Option<(Source, u64)> {
        let rank = self.rank(chunk);
        let first = self.by_name[rank] as usize;
        match self.found[rank] {
            // Two lengths under one name: nothing that was ever cut.
            _ if self.list.chunks()[first] != *chunk => None,
            Some(Place { held, offset }) => Some((Source::Held(held), offset)),
            None => (first < number && self.trusts_itself).then(|| (Source::Itself, offsets[first])),
        }
    }
}

/// Steps as they come, each joined to the former where that goes on.
#[derive(Default)]
struct Steps {
    done: Vec<Step>,
    /// The last fetch among them.
    fetch: Option<usize>,
    /// Where the chunks of the last copy begin in the new blob.
    copy: u64,
}

impl Steps {
    fn copy(&mut self, source: Source, place: u64, number: usize, start: u64) {
        if let Some(Step::Copy { from, offset, chunks }) = self.done.last_mut()
            && (*from, *offset + (start - self.copy)) == (source, place)
        {
            chunks.end = number + 1;
            return;
        }
        self.copy = start;
        self.done.push(Step::Copy { from: source, offset: place, chunks: number..number + 1 });
    }

    /// A gap that is not worth a request is fetched too.
    fn fetch(&mut self, range: Range<u64>) {
        if let Some(at) = self.fetch
            && let Some(Step::Fetch(former)) = self.done.get_mut(at)
            && range.start - former.end <= REQUEST_COST
        {
            former.end = range.end;
            self.done.truncate(at + 1);
            return;
        }
        self.fetch = Some(self.done.len());
        self.done.push(Step::Fetch(range));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::chunks::{ChunkName, Cut};

    use super::*;

    /// A piece of content: `length` bytes that only this number has.
    fn piece((number, length): (u8, u32)) -> Vec<u8> {
        (0..length).map(|at| number ^ (at % 251) as u8).collect()
    }

    fn content(pieces: &[(u8, u32)]) -> Vec<u8> {
        pieces.iter().flat_map(|of| piece(*of)).collect()
    }

    fn list(pieces: &[(u8, u32)]) -> ChunkList {
        let chunk = |of: &(u8, u32)| Chunk { name: ChunkName::of(&piece(*of)), length: of.1 };
        ChunkList::new(Cut::Coarse, pieces.iter().map(chunk).collect()).expect("legal")
    }

    /// Performs steps as the agent does.
    fn perform(
        new: &[u8],
        held: &[Vec<u8>],
        list: &ChunkList,
        steps: &[Step],
        resume: u64,
    ) -> (Vec<u8>, u64) {
        let at = |number: u64| usize::try_from(number).expect("small");
        let mut written = new[..at(resume)].to_vec();
        let mut fetched = 0;
        for step in steps {
            match step {
                Step::Fetch(range) => {
                    assert_eq!(range.start, written.len() as u64);
                    assert!(!range.is_empty());
                    fetched += range.end - range.start;
                    written.extend_from_slice(&new[at(range.start)..at(range.end)]);
                }
                Step::Copy { from, offset, chunks } => {
                    assert!(!chunks.is_empty());
                    let mut offset = at(*offset);
                    for chunk in &list.chunks()[chunks.clone()] {
                        let source = match from {
                            Source::Held(number) => &held[*number as usize],
                            Source::Itself => &written,
                        };
                        let bytes = source[offset..offset + chunk.length as usize].to_vec();
                        assert_eq!(ChunkName::of(&bytes), chunk.name);
                        offset += bytes.len();
                        written.extend(bytes);
                    }
                }
            }
        }
        (written, fetched)
    }

    fn pieces() -> impl Strategy<Value = Vec<(u8, u32)>> {
        // Some shorter than the cost of a request, some longer.
        prop::collection::vec((0u8..12, prop::sample::select(vec![1u32, 900, 3_000, 5_000])), 0..24)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn the_steps_give_the_bytes_whatever_is_held(
            new in pieces(),
            held in prop::collection::vec(pieces(), 0..4),
            cut in 0.0..1.0f64,
        ) {
            let (bytes, list) = (content(&new), self::list(&new));
            let mut assembly = Assembly::new(list.clone());
            for (number, pieces) in (0..).zip(&held) {
                assembly.offer(number, &self::list(pieces));
            }
            let resume = (bytes.len() as f64 * cut) as u64;
            let steps = assembly.steps(resume);
            let blobs: Vec<_> = held.iter().map(|pieces| content(pieces)).collect();
            let (written, fetched) = perform(&bytes, &blobs, &list, &steps, resume);
            prop_assert!(written == bytes);
            // No more than what is new, once each, and what was cut or lies in small gaps.
            let known = |piece: &(u8, u32)| held.iter().flatten().any(|other| other == piece);
            let mut strange: Vec<_> = new.iter().filter(|piece| !known(piece)).copied().collect();
            strange.sort_unstable();
            strange.dedup();
            let novel: u64 = strange.iter().map(|piece| u64::from(piece.1)).sum();
            let requests = steps.iter().filter(|step| matches!(step, Step::Fetch(_))).count();
            let gaps = new.len() as u64 * REQUEST_COST;
            prop_assert!(fetched <= novel + gaps + 5_000, "{fetched} of {novel}, {requests} requests");
            if strange.is_empty() && resume == 0 {
                prop_assert!(assembly.is_complete());
                prop_assert_eq!(fetched, 0);
            }
        }
    }

    #[test]
    fn neighbours_are_copied_in_one_go_and_fetched_by_one_request() {
        let old = list(&[(1, 9_000), (2, 9_000), (3, 900), (4, 9_000), (5, 9_000)]);
        let new = list(&[(9, 9_000), (2, 9_000), (3, 900), (4, 9_000), (7, 900), (8, 900)]);
        let mut assembly = Assembly::new(new);
        assembly.offer(0, &old);
        let copy = Step::Copy { from: Source::Held(0), offset: 9_000, chunks: 1..4 };
        let expected = [Step::Fetch(0..9_000), copy, Step::Fetch(27_900..29_700)];
        assert_eq!(assembly.steps(0), expected);
        assert_eq!(assembly.steps(27_901), [Step::Fetch(27_901..29_700)]);
        assert!(!assembly.is_complete());
    }

    #[test]
    fn a_gap_that_is_not_worth_a_request_is_fetched_too() {
        let short = u32::try_from(REQUEST_COST).expect("small");
        for (gap, requests) in [(short, 1), (short + 1, 2)] {
            let mut assembly = Assembly::new(list(&[(1, 9_000), (2, gap), (3, 9_000)]));
            assembly.offer(0, &list(&[(2, gap)]));
            let steps = assembly.steps(0);
            assert_eq!(steps.iter().filter(|step| matches!(step, Step::Fetch(_))).count(), requests);
        }
    }

    #[test]
    fn what_the_blob_repeats_is_fetched_once() {
        let new = list(&[(0, 9_000), (0, 9_000), (0, 9_000)]);
        let steps = Assembly::new(new).steps(0);
        let copy = |number| Step::Copy { from: Source::Itself, offset: 0, chunks: number..number + 1 };
        assert_eq!(steps, [Step::Fetch(0..9_000), copy(1), copy(2)]);
    }

    #[test]
    fn lists_of_another_cut_have_nothing_in_common() {
        let fine = ChunkList::new(Cut::Fine, list(&[(1, 9_000)]).chunks().to_vec()).expect("legal");
        let mut assembly = Assembly::new(list(&[(1, 9_000)]));
        assembly.offer(0, &fine);
        assert_eq!(assembly.steps(0), [Step::Fetch(0..9_000)]);
    }
}

//! Where a file is cut: FastCDC as published in 2020, with fixed sizes, so that every build cuts alike.
//!
//! The sizes were chosen by measurement (docs/benchmarks.md): the files inside of an initial RAM disk or of a disk's
//! file system are small, and larger chunks lose most of what two versions have in common.

use fastcdc::v2020::{FastCDC, Normalization};

use super::list::{Chunk, ChunkList, ChunkName, MAX_CHUNKS};

/// How long chunks are. The sizes of a cut never change: a new cut gets a new number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cut {
    /// 2, 8 and 32 KiB at least, about, and at most: for files of at most 4 GiB.
    Fine,
    /// 16, 64 and 256 KiB: for larger ones, whose lists would be too long.
    Coarse,
}

/// Smaller files are fetched whole: their list would save less than a request costs. In bytes.
const SMALLEST: u64 = 1 << 20;
/// The largest file that is cut finely, in bytes.
const LARGEST_FINE: u64 = 4 << 30;
/// The largest file that is cut at all, in bytes.
const LARGEST: u64 = 32 << 30;

impl Cut {
    /// The cut of a file of `size` bytes; None where chunks are not worth it.
    #[must_use]
    pub const fn of_size(size: u64) -> Option<Self> {
        if size < SMALLEST || size > LARGEST {
            None
        } else if size <= LARGEST_FINE {
            Some(Self::Fine)
        } else {
            Some(Self::Coarse)
        }
    }

    /// The most bytes of one chunk.
    #[must_use]
    pub const fn longest(self) -> u32 {
        4 * self.usual()
    }

    const fn usual(self) -> u32 {
        match self {
            Self::Fine => 8 << 10,
            Self::Coarse => 64 << 10,
        }
    }

    const fn shortest(self) -> u32 {
        self.usual() / 4
    }

    fn chunker(self, bytes: &[u8]) -> FastCDC<'_> {
        FastCDC::with_level(bytes, self.shortest(), self.usual(), self.longest(), Normalization::Level1)
    }
}

/// Cuts a file that arrives piece by piece.
#[derive(Debug)]
pub struct Cutter {
    cut: Cut,
    size: u64,
    /// Not cut yet: less than the longest chunk between two calls.
    rest: Vec<u8>,
    chunks: Vec<Chunk>,
}

impl Cutter {
    /// For a file of `size` bytes; None where chunks are not worth it.
    #[must_use]
    pub fn for_size(size: u64) -> Option<Self> {
        Cut::of_size(size).map(|cut| Self { cut, size, rest: Vec::new(), chunks: Vec::new() })
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        // With so many bytes ahead, a cut does not depend on what comes later.
        let decided = self.cut.longest() as usize;
        self.take_while(|left| left >= decided);
    }

    /// The list; None if the bytes were not as many as announced, or cut too often for a list.
    #[must_use]
    pub fn finish(mut self) -> Option<ChunkList> {
        self.take_while(|left| left > 0);
        ChunkList::new(self.cut, self.chunks).ok().filter(|list| list.size() == self.size)
    }

    fn take_while(&mut self, goes_on: impl Fn(usize) -> bool) {
        let mut start = 0;
        let chunker = self.cut.chunker(&self.rest);
        while goes_on(self.rest.len() - start) && self.chunks.len() <= MAX_CHUNKS {
            let (_, end) = chunker.cut(start, self.rest.len() - start);
            let bytes = &self.rest[start..end];
            let length = u32::try_from(bytes.len()).expect("no chunk is longer than the longest");
            self.chunks.push(Chunk { name: ChunkName::of(bytes), length });
            start = end;
        }
        self.rest.drain(..start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that do not repeat, the same for one seed.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn list(bytes: &[u8], piece: usize) -> ChunkList {
        let mut cutter = Cutter::for_size(bytes.len() as u64).expect("large enough");
        bytes.chunks(piece).for_each(|piece| cutter.push(piece));
        cutter.finish().expect("all of it came")
    }

    #[test]
    fn the_pieces_in_which_it_arrives_play_no_part() {
        let bytes = noise(1, 3 << 20);
        let whole = list(&bytes, bytes.len());
        for piece in [999, 32 << 10, (1 << 20) + 1] {
            assert_eq!(list(&bytes, piece), whole, "{piece}");
        }
        let reference = Cut::Fine.chunker(&bytes).map(|chunk| chunk.length).collect::<Vec<_>>();
        let lengths: Vec<_> = whole.chunks().iter().map(|chunk| chunk.length as usize).collect();
        assert_eq!(lengths, reference);
    }

    /// Lists of two builds are compared: whoever changes a cut must give it a new number.
    #[test]
    fn the_cuts_never_change() {
        let list = list(&noise(7, 1 << 20), 4096);
        let first: Vec<_> = list.chunks().iter().take(4).map(|chunk| chunk.length).collect();
        assert_eq!(first, [18_224, 2_656, 7_795, 6_800]);
    }

    #[test]
    fn an_insertion_changes_the_chunks_around_it_alone() {
        let old = noise(1, 2 << 20);
        let mut new = old.clone();
        new.splice(1_000_000..1_000_000, noise(2, 777));
        let names = |bytes: &[u8]| list(bytes, 1 << 16).chunks().to_vec();
        let (old, new) = (names(&old), names(&new));
        let strange = new.iter().filter(|chunk| !old.contains(chunk)).count();
        assert!((1..=4).contains(&strange), "{strange} of {}", new.len());
    }

    #[test]
    fn small_files_and_false_announcements_have_no_list() {
        assert!(Cutter::for_size(SMALLEST - 1).is_none());
        assert!(Cutter::for_size(LARGEST + 1).is_none());
        assert_eq!(Cut::of_size(LARGEST_FINE + 1), Some(Cut::Coarse));
        let mut cutter = Cutter::for_size(SMALLEST).expect("large enough");
        cutter.push(&[0; 100]);
        assert_eq!(cutter.finish(), None);
    }
}

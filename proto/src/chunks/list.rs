//! The list of a file's chunks, and how it is written.
//!
//! ```text
//! 0       4        5     6        8            16           20
//! │ "BLCL" │ version │ cut │ 0 0   │ size (u64) │ count (u32) │ count × { length (u24) │ name (16 bytes) } │ end
//! ```
//!
//! All numbers are big-endian. `version` is 1; `cut` is 1 (fine) or 2 (coarse); `size` is the sum of the lengths, in
//! bytes. A reader refuses whatever deviates: there is one way to write a list, so its bytes can be named by a digest.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::Cut;

/// The most chunks of a list: some 10 MiB.
pub(super) const MAX_CHUNKS: usize = 1 << 19;

const MAGIC: &[u8; 4] = b"BLCL";
const VERSION: u8 = 1;
const HEAD: usize = 20;
const RECORD: usize = 19;

/// Names a chunk: the first 16 bytes of its SHA-256. Half of it is enough for what is checked again as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkName(pub [u8; 16]);

impl ChunkName {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        Self(std::array::from_fn(|index| digest[index]))
    }
}

/// A chunk of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Of its bytes.
    pub name: ChunkName,
    /// In bytes, at least 1.
    pub length: u32,
}

/// A file's chunks, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkList {
    cut: Cut,
    size: u64,
    chunks: Vec<Chunk>,
}

/// Why bytes are no list of chunks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Something else, or a version that this build does not know.
    #[error("the bytes are no list of chunks of version {VERSION}")]
    Foreign,
    /// Not as many bytes as the head says.
    #[error("the list has {actual} bytes instead of {expected}")]
    Length {
        /// As its head says.
        expected: u64,
        /// As counted.
        actual: u64,
    },
    /// Too many chunks.
    #[error("the list has {0} chunks, expected at most {MAX_CHUNKS}")]
    TooMany(usize),
    /// A chunk is empty, or longer than its cut allows.
    #[error("chunk {0} of the list is empty or too long")]
    Chunk(usize),
    /// The lengths do not add up.
    #[error("the chunks have {actual} bytes together instead of {expected}")]
    Size {
        /// As the head says.
        expected: u64,
        /// The sum.
        actual: u64,
    },
}

impl ChunkList {
    /// The most bytes that a written list has.
    pub const MAX_BYTES: u64 = (HEAD + MAX_CHUNKS * RECORD) as u64;

    /// A list of these chunks.
    ///
    /// # Errors
    /// [`ListError`] if there are too many, or one is empty or too long.
    pub fn new(cut: Cut, chunks: Vec<Chunk>) -> Result<Self, ListError> {
        if chunks.len() > MAX_CHUNKS {
            return Err(ListError::TooMany(chunks.len()));
        }
        let legal = |chunk: &Chunk| (1..=cut.longest()).contains(&chunk.length);
        if let Some(bad) = chunks.iter().position(|chunk| !legal(chunk)) {
            return Err(ListError::Chunk(bad));
        }
        let size = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
        Ok(Self { cut, size, chunks })
    }

    /// Reads a list.
    ///
    /// # Errors
    /// [`ListError`]; no more is allocated than the bytes ask for.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListError> {
        let (head, records) = bytes.split_at_checked(HEAD).ok_or(ListError::Foreign)?;
        let (cut, size, count) = parse_head(head)?;
        if count > MAX_CHUNKS {
            return Err(ListError::TooMany(count));
        }
        if records.len() != count * RECORD {
            let expected = (HEAD + count * RECORD) as u64;
            return Err(ListError::Length { expected, actual: bytes.len() as u64 });
        }
        let list = Self::new(cut, records.chunks_exact(RECORD).map(parse_chunk).collect())?;
        match list.size == size {
            true => Ok(list),
            false => Err(ListError::Size { expected: size, actual: list.size }),
        }
    }

    /// The list as it is kept and sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.chunks.len() * RECORD);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[VERSION, number(self.cut), 0, 0]);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        let count = u32::try_from(self.chunks.len()).expect("bounded when it was made");
        bytes.extend_from_slice(&count.to_be_bytes());
        for Chunk { name, length } in &self.chunks {
            bytes.extend_from_slice(&length.to_be_bytes()[1..]);
            bytes.extend_from_slice(&name.0);
        }
        bytes
    }

    /// How it was cut. Only lists of one cut have chunks in common.
    #[must_use]
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// The file's size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The chunks, in order.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The bytes of all chunks that no earlier chunk of the same file equals: what a reader that holds nothing needs.
    #[must_use]
    pub fn distinct_bytes(&self) -> u64 {
        let mut seen = HashSet::with_capacity(self.chunks.len());
        self.chunks.iter().filter(|chunk| seen.insert(chunk.name)).map(|chunk| u64::from(chunk.length)).sum()
    }
}

fn number(cut: Cut) -> u8 {
    match cut {
        Cut::Fine => 1,
        Cut::Coarse => 2,
    }
}

fn parse_head(head: &[u8]) -> Result<(Cut, u64, usize), ListError> {
    let (start, numbers) = head.split_at(8);
    let cut = [Cut::Fine, Cut::Coarse]
        .into_iter()
        .find(|cut| start[..4] == *MAGIC && start[4..] == [VERSION, number(*cut), 0, 0])
        .ok_or(ListError::Foreign)?;
    Ok((cut, big_endian(&numbers[..8]), usize::try_from(big_endian(&numbers[8..])).unwrap_or(usize::MAX)))
}

fn parse_chunk(record: &[u8]) -> Chunk {
    let (length, name) = record.split_at(3);
    let length = u32::try_from(big_endian(length)).expect("three bytes");
    Chunk { name: ChunkName(std::array::from_fn(|index| name[index])), length }
}

/// At most eight bytes.
fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(length: u32) -> Chunk {
        Chunk { name: ChunkName::of(&length.to_be_bytes()), length }
    }

    #[test]
    fn the_form_of_a_list() {
        let list = ChunkList::new(Cut::Fine, vec![chunk(2), chunk(0x1234)]).expect("legal");
        let bytes = list.encode();
        assert_eq!(&bytes[..20], b"BLCL\x01\x01\0\0\0\0\0\0\0\0\x12\x36\0\0\0\x02");
        assert_eq!((&bytes[20..23], &bytes[39..42]), (&[0, 0, 2][..], &[0, 0x12, 0x34][..]));
        assert_eq!(bytes[23..39], chunk(2).name.0);
        assert_eq!(ChunkList::parse(&bytes), Ok(list));
    }

    #[test]
    fn what_deviates_is_refused() {
        let list = ChunkList::new(Cut::Coarse, vec![chunk(9), chunk(9)]).expect("legal");
        assert_eq!(list.distinct_bytes(), 9);
        let bytes = list.encode();
        for (at, expected) in [
            (0, ListError::Foreign),
            (4, ListError::Foreign),
            (5, ListError::Foreign),
            (6, ListError::Foreign),
            (15, ListError::Size { expected: 18 ^ 0x80, actual: 18 }),
            (16, ListError::TooMany(0x8000_0002)),
            (19, ListError::Length { expected: 20 + (2 ^ 0x80) * 19, actual: 58 }),
            (39, ListError::Chunk(1)),
        ] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x80;
            assert_eq!(ChunkList::parse(&bytes), Err(expected), "byte {at}");
        }
        assert_eq!(ChunkList::parse(&bytes[..19]), Err(ListError::Foreign));
        assert!(matches!(ChunkList::parse(&bytes[..57]), Err(ListError::Length { .. })));
        assert_eq!(ChunkList::new(Cut::Fine, vec![chunk(0)]), Err(ListError::Chunk(0)));
        assert_eq!(ChunkList::new(Cut::Fine, vec![chunk(40_000)]), Err(ListError::Chunk(0)));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(ChunkList::parse(&bytes).is_err());
            // Behind a head that fits it gets further.
            let count = u32::try_from(bytes.len() / 19).expect("small");
            bytes.truncate(19 * count as usize);
            let size: u64 = bytes.chunks_exact(19).map(|record| big_endian(&record[..3])).sum();
            let mut whole = b"BLCL\x01\x02\0\0".to_vec();
            whole.extend_from_slice(&size.to_be_bytes());
            whole.extend_from_slice(&count.to_be_bytes());
            whole.append(&mut bytes);
            if let Ok(list) = ChunkList::parse(&whole) {
                prop_assert_eq!(list.encode(), whole);
            }
        }
    }
}

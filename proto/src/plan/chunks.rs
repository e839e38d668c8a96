//! Which blobs of a plan have a list of chunks, and where it is.

use std::collections::BTreeMap;

use super::BlobRef;
use crate::{
    Digest,
    chunks::ChunkList,
    v1,
    wire::{WireError, array, required},
};

/// The list of a blob's chunks, as far as a plan tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkListRef {
    /// The list, a blob by itself.
    pub list: BlobRef,
    /// Bytes of the blob without what it repeats: what is fetched where nothing of it is held.
    pub distinct_bytes: u64,
}

/// The lists of a plan, by the digests of the blobs that were cut.
pub type ChunkLists = BTreeMap<Digest, ChunkListRef>;

pub(super) fn to_wire(lists: &ChunkLists) -> v1::ChunkLists {
    let blob = |(digest, of): (&Digest, &ChunkListRef)| v1::ChunkedBlob {
        sha256: digest.0.to_vec().into(),
        list: Some(of.list.into()),
        distinct_bytes: of.distinct_bytes,
    };
    v1::ChunkLists { blobs: lists.iter().map(blob).collect() }
}

/// A list that is longer than any is left out: its blob is fetched whole.
pub(super) fn from_wire(message: v1::ChunkLists) -> Result<ChunkLists, WireError> {
    let blob = |blob: v1::ChunkedBlob| {
        let list: BlobRef = required("blobs.list", blob.list)?.try_into()?;
        let of = ChunkListRef { list, distinct_bytes: blob.distinct_bytes };
        Ok((Digest(array("blobs.sha256", &blob.sha256)?), of))
    };
    let lists: Vec<_> = message.blobs.into_iter().map(blob).collect::<Result<_, WireError>>()?;
    Ok(lists.into_iter().filter(|(_, of)| of.list.size <= ChunkList::MAX_BYTES).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_there_and_back_without_one_that_is_too_long() {
        let of = |size| ChunkListRef {
            list: BlobRef { digest: Digest::of(b"list"), size },
            distinct_bytes: 3 << 20,
        };
        let lists = ChunkLists::from([(Digest::of(b"initrd"), of(2_000))]);
        assert_eq!(from_wire(to_wire(&lists)), Ok(lists.clone()));
        let longer = ChunkLists::from([(Digest::of(b"disk"), of(ChunkList::MAX_BYTES + 1))]);
        assert_eq!(from_wire(to_wire(&longer)), Ok(ChunkLists::new()));
        let mut broken = to_wire(&lists);
        broken.blobs[0].list = None;
        assert!(from_wire(broken).is_err());
    }
}

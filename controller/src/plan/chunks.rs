//! Which blobs of a plan have a list of chunks, as the manifests of their images say.

use std::collections::{BTreeMap, BTreeSet};

use proto::Digest;
use proto::catalog::{FileEntry, Kind};
use proto::plan::{BlobRef, ChunkListRef, ChunkLists};

use super::view::Globals;

/// The lists of those `blobs` that come from images in `uses`. Two images that hold one file name one list: it follows
/// from the file's bytes.
pub(super) fn lists(
    globals: &Globals,
    uses: &BTreeSet<(Kind, String)>,
    blobs: &BTreeMap<Digest, u64>,
) -> ChunkLists {
    let images = uses.iter().filter(|(kind, _)| *kind == Kind::Image);
    let images = images.filter_map(|(_, name)| globals.images.get(name));
    let files = images.flat_map(|image| image.spec.files.values());
    files.filter(|file| blobs.contains_key(&file.sha256)).filter_map(list).collect()
}

fn list(file: &FileEntry) -> Option<(Digest, ChunkListRef)> {
    let chunks = file.chunks?;
    let list = BlobRef { digest: chunks.sha256, size: chunks.size };
    Some((file.sha256, ChunkListRef { list, distinct_bytes: chunks.distinct }))
}

//! Lists of chunks: what is read is written the same, and any two of them can be put together.

use netboot::cache::assembly::{Assembly, Source, Step};
use proto::chunks::ChunkList;

/// Reads `bytes` as the list of a new blob, and their second half as that of one which is held.
pub fn run(bytes: &[u8]) {
    let Ok(list) = ChunkList::parse(bytes) else { return };
    assert_eq!(list.encode(), bytes);
    let part = u64::from(bytes.last().copied().unwrap_or_default());
    let (size, resume) = (list.size(), part * list.size() / 256);
    let half = list.chunks()[list.chunks().len() / 2..].to_vec();
    let held = ChunkList::new(list.cut(), half).expect("chunks of a list make a list");
    let mut assembly = Assembly::new(list);
    assembly.offer(0, &held);
    let mut written = resume;
    for step in assembly.steps(resume) {
        written = match step {
            Step::Fetch(range) => {
                assert!(range.start == written && range.start < range.end);
                range.end
            }
            Step::Copy { from, offset, chunks } => {
                let length: u64 =
                    assembly.list().chunks()[chunks].iter().map(|chunk| u64::from(chunk.length)).sum();
                let there = match from {
                    Source::Held(_) => held.size(),
                    Source::Itself => written + length,
                };
                assert!(length > 0 && offset < written.max(there) && offset + length <= there);
                written + length
            }
        };
    }
    assert_eq!(written, size);
}

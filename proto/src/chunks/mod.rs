//! Content-defined chunks: what two versions of a file have in common (docs/adr/0014).
//!
//! A file is cut where its content says so, so that bytes that moved are cut in the same places. Its [`ChunkList`]
//! names the chunks; it is made at import, is itself a blob, and is named by the image's manifest. An agent that holds
//! chunks of a file under other files copies them and fetches the rest. The list is a hint and never a proof: what is
//! put together from it counts only once the whole file's SHA-256 holds (S15).

mod cut;
mod list;

pub use cut::{Cut, Cutter};
pub use list::{Chunk, ChunkList, ChunkName, ListError};

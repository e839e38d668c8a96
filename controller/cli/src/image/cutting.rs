//! Cutting a file into chunks while it is hashed, on another core: both read every byte and take about as long.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use proto::chunks::{ChunkList, Cutter};

/// As many pieces wait to be cut.
const WAITING: usize = 4;

/// A file that is being cut.
pub(super) struct Cutting {
    pieces: SyncSender<Vec<u8>>,
    cutter: JoinHandle<Option<ChunkList>>,
}

impl Cutting {
    /// Begins, unless a file of `size` bytes is not worth it.
    pub(super) fn begin(size: u64) -> Option<Self> {
        let mut cutter = Cutter::for_size(size)?;
        let (pieces, waiting) = sync_channel::<Vec<u8>>(WAITING);
        let cutter = std::thread::spawn(move || {
            waiting.iter().for_each(|piece| cutter.push(&piece));
            cutter.finish()
        });
        Some(Self { pieces, cutter })
    }

    /// Takes the next bytes.
    pub(super) fn push(&self, piece: &[u8]) {
        // Only a panic ends the other side early; the file then has no list.
        let _ = self.pieces.send(piece.to_vec());
    }

    /// The list of the file, if it has one.
    pub(super) fn finish(self) -> Option<ChunkList> {
        drop(self.pieces);
        self.cutter.join().ok().flatten()
    }
}

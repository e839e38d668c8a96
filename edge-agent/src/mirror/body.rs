//! The bytes of an answer: a few words, or ranges of a file, each of which is there to be sent.
//!
//! Nothing of a file is read here: whoever sends it does so from the page cache (docs/adr/0011), as it does with images.

use std::{fs::File, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    arriving::{Arriving, State},
    kept::Kept,
};

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// These; none, perhaps.
    Words(Bytes),
    /// Those of a file.
    File(Pieces),
}

/// Why a body ends before its end: the connection is then closed, which tells the machine.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The upstream gave it up, or what came is not what its name promises.
    #[error("the file stopped arriving")]
    Stopped,
    /// Nothing came for too long.
    #[error("the file stood still for {} s while it arrived", .0.as_secs())]
    StoodStill(Duration),
}

/// Where bytes are.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: Arc<File>,
    /// None: all of them are there.
    pub(super) arriving: Option<Arc<Arriving>>,
    /// How long it may stand still.
    pub(super) stall: Duration,
}

/// Bytes of a file that are still to be sent, as they arrive if they are still arriving.
#[derive(Debug)]
pub struct Pieces {
    source: Source,
    at: u64,
    /// None: the end of what arrives, wherever that is.
    end: Option<u64>,
    kept: Arc<Kept>,
}

impl Pieces {
    pub(super) fn new(source: Source, start: u64, end: Option<u64>, kept: Arc<Kept>) -> Self {
        Self { source, at: start, end, kept }
    }

    /// The file; only what [`Self::next`] gives may be read.
    #[must_use]
    pub fn file(&self) -> &Arc<File> {
        &self.source.file
    }

    /// So many bytes more were handed to the machine.
    pub fn sent(&self, bytes: u64) {
        self.kept.counters.machine_bytes.add(bytes);
    }

    /// The next range that is there to be sent; None: that was all.
    ///
    /// # Errors
    /// [`Broken`]: there will be no more of it.
    pub async fn next(&mut self) -> Result<Option<Range<u64>>, Broken> {
        if self.end.is_some_and(|end| self.at >= end) {
            return Ok(None);
        }
        let readable = self.readable().await?.min(self.end.unwrap_or(u64::MAX));
        if readable <= self.at {
            // The end of a file whose size was not known; one whose size was known cannot end here.
            return if self.end.is_none() { Ok(None) } else { Err(Broken::Stopped) };
        }
        let range = self.at..readable;
        self.at = readable;
        Ok(Some(range))
    }

    /// How far the file may be read: beyond where we are, unless it ends before.
    async fn readable(&self) -> Result<u64, Broken> {
        let Source { arriving, stall, .. } = &self.source;
        let Some(arriving) = arriving else { return Ok(self.end.unwrap_or(self.at)) };
        match tokio::time::timeout(*stall, arriving.beyond(self.at)).await {
            Ok(State::Coming(readable) | State::Whole(readable)) => Ok(readable),
            Ok(State::Broken) => Err(Broken::Stopped),
            Err(_) => Err(Broken::StoodStill(*stall)),
        }
    }
}

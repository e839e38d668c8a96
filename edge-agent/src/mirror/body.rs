//! The bytes of an answer: read by position, as they arrive if they are still arriving.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;

use super::{
    arriving::{Arriving, State},
    kept::Kept,
};

/// A piece of a file, in bytes.
const PIECE: u64 = 128 << 10;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Broken>;

/// Why a body ends before its end: the connection is then closed, which tells the machine.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The file cannot be read.
    #[error("failed to read the file")]
    Read(#[source] io::Error),
    /// The upstream gave it up, or what came is not what its name promises.
    #[error("the file stopped arriving")]
    Stopped,
    /// Nothing came for too long.
    #[error("the file stood still for {} s while it arrived", .0.as_secs())]
    StoodStill(Duration),
    /// The runtime is stopping.
    #[error("the agent is stopping")]
    Stopping,
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

/// No body.
pub(super) fn none() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A few words.
pub(super) fn words(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The bytes from `start` to `end`; None: to the end of what arrives, wherever that is.
pub(super) fn bytes(source: Source, start: u64, end: Option<u64>, kept: Arc<Kept>) -> Body {
    let rest = Rest { source, at: start, end, kept };
    let pieces = stream::try_unfold(rest, |mut rest| async move {
        let piece = rest.next().await?;
        Ok(piece.map(|piece| (Frame::data(piece), rest)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// What is still to be sent.
struct Rest {
    source: Source,
    at: u64,
    end: Option<u64>,
    kept: Arc<Kept>,
}

impl Rest {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        if self.end.is_some_and(|end| self.at >= end) {
            return Ok(None);
        }
        let readable = match &self.source.arriving {
            Some(arriving) => arrived(arriving, self.at, self.source.stall).await?,
            None => self.end.unwrap_or(self.at),
        };
        let until = readable.min(self.end.unwrap_or(u64::MAX)).min(self.at.saturating_add(PIECE));
        if until <= self.at {
            // The end of a file whose size was not known; one whose size was known cannot end here.
            return if self.end.is_none() { Ok(None) } else { Err(Broken::Stopped) };
        }
        let piece = read(Arc::clone(&self.source.file), self.at, until).await?;
        self.kept.counters.machine_bytes.add(piece.len() as u64);
        self.at = until;
        Ok(Some(piece.into()))
    }
}

/// How far the file may be read.
async fn arrived(arriving: &Arriving, at: u64, stall: Duration) -> Result<u64, Broken> {
    match tokio::time::timeout(stall, arriving.beyond(at)).await {
        Ok(State::Coming(readable) | State::Whole(readable)) => Ok(readable),
        Ok(State::Broken) => Err(Broken::Stopped),
        Err(_) => Err(Broken::StoodStill(stall)),
    }
}

/// In a thread that may block.
async fn read(file: Arc<File>, from: u64, until: u64) -> Result<Vec<u8>, Broken> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; usize::try_from(until - from).unwrap_or(0)];
        file.read_exact_at(&mut piece, from).map(|()| piece)
    });
    reading.await.map_err(|_| Broken::Stopping)?.map_err(Broken::Read)
}

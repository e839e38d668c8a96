//! The bodies of answers: the hot path, behind one function for bytes in memory and one for files.
//!
//! Files are read by position, in pieces, by a few threads that may block; a client that is slow holds a piece and no
//! thread. Large pieces come out of one allowance for all clients, so that thousands of slow ones hold little.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::sending::Sending;
use crate::{
    desk::Desk,
    disk::cache::{FillProgress, FillState},
    images::Opened,
};

/// A piece of a file, in bytes, while there is room for large ones.
const LARGE: u32 = 256 << 10;
/// A piece when there is not.
const SMALL: u32 = 16 << 10;
/// Large pieces at one time, over all clients: 32 MiB.
const LARGE_PIECES: usize = 128;
/// Reads at one time, each in a thread.
const READS: usize = 16;

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Broken>;

/// Why a body ends before its announced length: hyper then closes the connection, which tells the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The file cannot be read, or has shrunk.
    #[error("failed to read the file")]
    Read(#[source] io::Error),
    /// What arrived has another digest or size than the plan names.
    #[error("the blob that arrived is not the one that the plan names")]
    Refused,
    /// The fill was given up.
    #[error("the blob stopped arriving")]
    Stopped,
    /// The fill stood still.
    #[error("the blob stood still for {} s while it arrived", .0.as_secs())]
    StoodStill(Duration),
    /// The runtime is stopping.
    #[error("the agent is stopping")]
    Stopping,
}

/// What all bodies share.
#[derive(Debug, Clone)]
pub(super) struct Reads {
    turns: Arc<Semaphore>,
    large: Arc<Semaphore>,
    arrival_stall: Duration,
}

impl Reads {
    pub(super) fn new(arrival_stall: Duration) -> Self {
        let (turns, large) = (Arc::new(Semaphore::new(READS)), Arc::new(Semaphore::new(LARGE_PIECES)));
        Self { turns, large, arrival_stall }
    }

    /// Reads `length` bytes at `offset` in a thread that may block.
    async fn read(&self, file: &Arc<File>, offset: u64, length: usize) -> Result<Vec<u8>, Broken> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Broken::Stopping)?;
        let file = Arc::clone(file);
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, offset).map(|()| piece)
        });
        reading.await.map_err(|_| Broken::Stopping)?.map_err(Broken::Read)
    }
}

/// No body.
pub(super) fn none() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A few words.
pub(super) fn words(text: &'static str) -> Body {
    full(Bytes::from_static(text.as_bytes()))
}

/// Bytes in memory.
pub(super) fn memory<D: Desk>(bytes: Bytes, sending: &Arc<Sending<D>>) -> Body {
    sending.expect(bytes.len() as u64);
    // An empty body has no pieces, and is let go as soon as it is looked at.
    if bytes.is_empty() { none() } else { full(sending.piece(bytes, ())) }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The bytes `range` of a file, as they arrive if it is still arriving.
pub(super) fn file<D: Desk>(
    opened: Opened,
    range: Range<u64>,
    sending: Arc<Sending<D>>,
    reads: Reads,
) -> Body {
    sending.expect(range.end - range.start);
    let rest = Rest { opened, range, sending, reads };
    let pieces = stream::try_unfold(rest, |mut rest| async move {
        let piece = rest.next().await.inspect_err(|broken| rest.fail(broken))?;
        Ok(piece.map(|piece| (Frame::data(piece), rest)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// What is still to be sent.
struct Rest<D: Desk> {
    opened: Opened,
    range: Range<u64>,
    sending: Arc<Sending<D>>,
    reads: Reads,
}

impl<D: Desk> Rest<D> {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let readable = self.arrived().await?.min(self.range.end);
        let (most, held) = self.room();
        let length = (readable - self.range.start).min(u64::from(most));
        let length = usize::try_from(length).unwrap_or(SMALL as usize);
        let piece = self.reads.read(&self.opened.file, self.range.start, length).await?;
        self.range.start += length as u64;
        Ok(Some(self.sending.piece(piece, held)))
    }

    /// How far the file may be read: beyond where we are.
    async fn arrived(&self) -> Result<u64, Broken> {
        let Some(progress) = &self.opened.progress else { return Ok(self.opened.size) };
        let stall = self.reads.arrival_stall;
        let news = tokio::time::timeout(stall, beyond(progress, self.range.start)).await;
        news.map_err(|_| Broken::StoodStill(stall))?
    }

    /// How large a piece may be, and what it holds on to.
    fn room(&self) -> (u32, Option<OwnedSemaphorePermit>) {
        match Arc::clone(&self.reads.large).try_acquire_owned() {
            Ok(permit) => (LARGE, Some(permit)),
            Err(_) => (SMALL, None),
        }
    }

    fn fail(&self, broken: &Broken) {
        let source = std::error::Error::source(broken);
        self.sending.fail(source.map_or(broken.to_string(), |source| format!("{broken}: {source}")));
    }
}

async fn beyond(progress: &FillProgress, offset: u64) -> Result<u64, Broken> {
    match progress.beyond(offset).await {
        (_, FillState::Refused) => Err(Broken::Refused),
        (readable, _) if readable > offset => Ok(readable),
        (_, FillState::Stopped) => Err(Broken::Stopped),
        // All of a published blob may be read, so these have ended before `offset`: a range that does not exist.
        (_, FillState::Arriving | FillState::Published) => Err(Broken::Stopped),
    }
}

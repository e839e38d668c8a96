//! The bodies of answers: from memory, and from files by the kernel's own way (sendfile).
//!
//! No byte of a file passes through our memory, so that a file which shrinks and a disk which fails are errors of a call
//! and nothing worse. Reading from a disk blocks a call of the kernel whatever the socket is: what is not in the page cache
//! is brought there first, by a few threads that may block. After each chunk others get their turn. The socket takes so much
//! beyond what is on the wire ([`UNSENT`]) that acknowledgements set the next segments off without us, and no more: thousands
//! of slow clients would hold the kernel's memory for sockets. Nothing leaves but whole segments while more is there.

use std::{
    fs::File,
    io::{self, IoSlice},
    ops::Range,
    os::unix::fs::FileExt,
    sync::Arc,
    time::Duration,
};

use rustix::{
    fs::sendfile,
    io::{Errno, ReadWriteFlags, preadv2, writev},
    net::{SendFlags, send},
};
use tokio::sync::Semaphore;

use super::{
    sending::Sending,
    wire::{Over, Wire},
};
use crate::{
    desk::Desk,
    disk::cache::{FillProgress, FillState},
    images::Opened,
    tap::head_of,
};

/// Bytes that wait in a socket and are not on the wire yet, at most (`TCP_NOTSENT_LOWAT`).
pub(super) const UNSENT: u32 = 2 << 20;
/// What leaves before others have their turn, in bytes, at most.
const CHUNK: u64 = 1 << 20;
/// What is brought into the page cache in one go, in bytes.
const WINDOW: u64 = 1 << 20;
/// Reads at one time, each in a thread.
const READS: usize = 16;

/// Why a body ends before its announced length: the connection is closed, which tells the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The client is to be cut off, or is gone.
    #[error("the connection is over")]
    Over(Over),
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

impl From<Over> for Broken {
    fn from(over: Over) -> Self {
        Self::Over(over)
    }
}

/// Reads that may block, in threads of their own.
#[derive(Debug, Clone)]
pub(super) struct Reads(Arc<Semaphore>);

impl Reads {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(READS)))
    }

    /// Reads `range` of `file`.
    pub(super) async fn read(&self, file: &Arc<File>, range: Range<u64>) -> Result<Vec<u8>, Broken> {
        let turn = Arc::clone(&self.0).acquire_owned().await.map_err(|_| Broken::Stopping)?;
        let file = Arc::clone(file);
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, range.start).map(|()| bytes)
        });
        reading.await.map_err(|_| Broken::Stopping)?.map_err(Broken::Read)
    }
}

/// Sends the head of an answer, with what else of it is at hand.
pub(super) async fn head(wire: &mut Wire, head: &[u8]) -> Result<(), Over> {
    wire.says(head_of(head));
    words(wire, head).await
}

/// Sends `words`.
pub(super) async fn words(wire: &mut Wire, words: &[u8]) -> Result<(), Over> {
    head_and_body(wire, words, &[], |_| {}).await
}

/// Sends `head` and `body`, with one call where the socket takes them.
pub(super) async fn memory<D: Desk>(
    wire: &mut Wire,
    head: &[u8],
    body: &[u8],
    sending: &mut Sending<'_, D>,
) -> Result<(), Over> {
    wire.says(head);
    head_and_body(wire, head, body, |left| sending.left(left)).await
}

async fn head_and_body(
    wire: &mut Wire,
    mut head: &[u8],
    mut body: &[u8],
    mut left: impl FnMut(usize),
) -> Result<(), Over> {
    while !head.is_empty() || !body.is_empty() {
        let parts = [IoSlice::new(head), IoSlice::new(body)];
        let wrote = wire.write(|socket| Ok(writev(socket, &parts)?)).await?.map_err(|_| Over::Gone)?;
        let of_head = wrote.min(head.len());
        head = &head[of_head..];
        body = &body[wrote - of_head..];
        left(wrote - of_head);
    }
    Ok(())
}

/// Sends `head` and the bytes `range` of a file, as they arrive if it is still arriving.
pub(super) async fn file<D: Desk>(
    wire: &mut Wire,
    mut head: &[u8],
    opened: &Opened,
    range: Range<u64>,
    sending: &mut Sending<'_, D>,
    (reads, arrival_stall): (&Reads, Duration),
) -> Result<(), Broken> {
    wire.says(head);
    let mut rest = Rest { opened, range, cached: 0 };
    // What follows at once shares a segment with the head.
    let follows = !rest.range.is_empty() && rest.arrived().is_some();
    let flags = if follows { SendFlags::MORE | SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL };
    while !head.is_empty() {
        let wrote = wire.write(|socket| Ok(send(socket, head, flags)?)).await?.map_err(|_| Over::Gone)?;
        head = &head[wrote..];
    }
    rest.pour(wire, (reads, arrival_stall), |wrote| sending.left(wrote)).await
}

/// Sends the bytes `range` of a file, all of which are there; `left` is told what the socket has taken.
pub(super) async fn stretch(
    wire: &mut Wire,
    file: &Arc<File>,
    range: Range<u64>,
    reads: &Reads,
    left: impl FnMut(usize),
) -> Result<(), Broken> {
    let opened = Opened { file: Arc::clone(file), size: range.end, progress: None };
    let mut rest = Rest { opened: &opened, range, cached: 0 };
    rest.pour(wire, (reads, Duration::MAX), left).await
}

/// What is still to be sent.
struct Rest<'a> {
    opened: &'a Opened,
    range: Range<u64>,
    /// Up to here the file was in the page cache when it was looked at.
    cached: u64,
}

impl Rest<'_> {
    /// Sends all of it. After each chunk others have their turn.
    async fn pour(
        &mut self,
        wire: &mut Wire,
        (reads, arrival_stall): (&Reads, Duration),
        mut left: impl FnMut(usize),
    ) -> Result<(), Broken> {
        while !self.range.is_empty() {
            let readable = match self.arrived() {
                Some(readable) => readable,
                None => {
                    wire.cork(false)?;
                    wire.unless_gone(self.arrives(arrival_stall)).await??
                }
            };
            let there = readable.min(self.range.end);
            let chunk = self.range.start..there.min(self.range.start + CHUNK);
            if chunk.end < there {
                wire.cork(true)?;
            }
            self.bring(reads, chunk.end, readable).await?;
            left(self.send(wire, chunk).await?);
            if !self.range.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        wire.cork(false)?;
        Ok(())
    }

    /// How far the file may be read: beyond where we are. None: that is still to come, or never will.
    fn arrived(&self) -> Option<u64> {
        match &self.opened.progress {
            None => Some(self.opened.size),
            Some(progress) => match progress.now() {
                (_, FillState::Refused) => None,
                (readable, _) => Some(readable).filter(|readable| *readable > self.range.start),
            },
        }
    }

    async fn arrives(&self, stall: Duration) -> Result<u64, Broken> {
        let Some(progress) = &self.opened.progress else { return Ok(self.opened.size) };
        let news = tokio::time::timeout(stall, beyond(progress, self.range.start)).await;
        news.map_err(|_| Broken::StoodStill(stall))?
    }

    /// Sees that the file is in the page cache up to `until`, and a little beyond as far as it is `readable`.
    async fn bring(&mut self, reads: &Reads, until: u64, readable: u64) -> Result<(), Broken> {
        if until <= self.cached {
            return Ok(());
        }
        let window = self.range.start..readable.min(self.range.end).min(self.range.start + WINDOW);
        if !(is_cached(&self.opened.file, window.start) && is_cached(&self.opened.file, window.end - 1)) {
            reads.read(&self.opened.file, window.clone()).await?;
        }
        self.cached = window.end;
        Ok(())
    }

    /// Sends of `chunk` what the socket takes.
    async fn send(&mut self, wire: &mut Wire, chunk: Range<u64>) -> Result<usize, Broken> {
        let length = usize::try_from(chunk.end - chunk.start).unwrap_or(usize::MAX);
        let file = &self.opened.file;
        let wrote = wire.write(|socket| {
            let mut offset = chunk.start;
            Ok(sendfile(socket, file, Some(&mut offset), length)?)
        });
        match wrote.await? {
            // Its end has come nearer.
            Ok(0) => Err(Broken::Read(io::ErrorKind::UnexpectedEof.into())),
            Ok(wrote) => {
                self.range.start += wrote as u64;
                Ok(wrote)
            }
            Err(error) => Err(Broken::Read(error)),
        }
    }
}

/// Can the byte be read without waiting for a disk? A file system that cannot tell is taken to have no disk.
fn is_cached(file: &File, at: u64) -> bool {
    let mut byte = [0];
    let read = preadv2(file, &mut [io::IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT);
    !matches!(read, Err(Errno::AGAIN | Errno::IO))
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

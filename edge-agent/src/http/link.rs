//! A connection's socket, watched: it cuts off clients that do not speak or do not take what is sent.
//!
//! ```text
//!  accepted ──► Head ──request──► Busy ──body gone──► Idle ──a byte──► Head
//!               limits.head      no limit here       limits.idle
//! ```
//!
//! Whatever the phase, a client that takes no byte of what waits for it is cut off after `limits.stall`.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::Limits;

/// What a connection's socket and its requests know of each other.
#[derive(Debug)]
pub(super) struct Line {
    phase: Mutex<Phase>,
    over: OnceLock<Over>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Head { since: Instant },
    Busy,
    Idle { since: Instant },
}

/// Why nothing more leaves by a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The client took no byte for too long.
    Stalled,
    /// The socket is closed or broken.
    Gone,
    /// The server stops.
    Stopping,
}

/// A request that is being answered; dropped when its answer's body is.
#[derive(Debug)]
pub(super) struct Busy(Arc<Line>);

impl Line {
    fn new() -> Arc<Self> {
        Arc::new(Self { phase: Mutex::new(Phase::Head { since: Instant::now() }), over: OnceLock::new() })
    }

    /// A request has come whole.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        *self.phase() = Phase::Busy;
        Busy(Arc::clone(self))
    }

    /// None while bytes may leave.
    pub(super) fn over(&self) -> Option<Over> {
        self.over.get().copied()
    }

    /// Nothing more leaves; the first reason stays.
    pub(super) fn end(&self, over: Over) {
        // One that was set before is the true one.
        let _ = self.over.set(over);
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        // No call panics while it holds the lock.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) {
        let mut phase = self.phase();
        if let Phase::Idle { .. } = *phase {
            *phase = Phase::Head { since: Instant::now() };
        }
    }

    /// The end of a long body leaves after it was handed over: the client is not idle while it takes that.
    fn took(&self) {
        let mut phase = self.phase();
        if let Phase::Idle { .. } = *phase {
            *phase = Phase::Idle { since: Instant::now() };
        }
    }

    /// Until when the client must speak.
    fn speak_by(&self, limits: &Limits) -> Option<Instant> {
        match *self.phase() {
            Phase::Head { since } => Some(since + limits.head),
            Phase::Busy => None,
            Phase::Idle { since } => Some(since + limits.idle),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.phase() = Phase::Idle { since: Instant::now() };
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct Link {
    socket: TcpStream,
    line: Arc<Line>,
    limits: Arc<Limits>,
    silence: Timer,
    stall: Timer,
}

impl Link {
    pub(super) fn new(socket: TcpStream, limits: Arc<Limits>) -> Self {
        Self { socket, line: Line::new(), limits, silence: Timer::default(), stall: Timer::default() }
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(bytes)) => {
                self.stall.stop();
                self.line.took();
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => {
                self.line.end(Over::Gone);
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                ready!(self.stall.poll_after(cx, self.limits.stall));
                self.line.end(Over::Stalled);
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.line.end(Over::Gone);
    }
}

impl AsyncRead for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.socket).poll_read(cx, into) {
            if into.filled().len() > before {
                this.line.heard();
            }
            return Poll::Ready(read);
        }
        let Some(by) = this.line.speak_by(&this.limits) else {
            this.silence.stop();
            return Poll::Pending;
        };
        ready!(this.silence.poll_at(cx, by));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.watch_write(cx, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.socket).poll_write_vectored(cx, bytes);
        this.watch_write(cx, wrote)
    }

    /// So that bodies are queued as they are, and each piece is let go when it has left.
    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// A deadline that may be moved.
#[derive(Debug, Default)]
struct Timer {
    /// Made at the first use, and kept.
    sleep: Option<Pin<Box<Sleep>>>,
    runs: bool,
}

impl Timer {
    fn stop(&mut self) {
        self.runs = false;
    }

    /// Ready once `after` has passed since the first call after a stop.
    fn poll_after(&mut self, cx: &mut Context<'_>, after: Duration) -> Poll<()> {
        match &self.sleep {
            Some(sleep) if self.runs => {
                let deadline = sleep.deadline();
                self.poll_at(cx, deadline)
            }
            Some(_) | None => self.poll_at(cx, Instant::now() + after),
        }
    }

    fn poll_at(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        self.runs = true;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

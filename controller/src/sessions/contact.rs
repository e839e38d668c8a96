//! When the other end of a connection was last heard: each byte that arrives counts, answers to HTTP/2's own pings too.
//! What was sent to a link that is cut counts for nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// When a connection was last heard. An extension of every request; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Contact(Arc<Clock>);

#[derive(Debug)]
struct Clock {
    began: Instant,
    /// Milliseconds from `began` to the last byte.
    heard: AtomicU64,
}

impl Contact {
    /// Of a connection that is heard now.
    pub(crate) fn now() -> Self {
        Self(Arc::new(Clock { began: Instant::now(), heard: AtomicU64::new(0) }))
    }

    /// How long ago the last byte came.
    pub(crate) fn ago(&self) -> Duration {
        let heard = Duration::from_millis(self.0.heard.load(Ordering::Relaxed));
        self.0.began.elapsed().saturating_sub(heard)
    }

    fn hear(&self) {
        let now = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.heard.store(now, Ordering::Relaxed);
    }
}

/// A stream that keeps its [`Contact`] up to date.
pub(crate) struct Heard<S> {
    stream: S,
    contact: Contact,
}

impl<S> Heard<S> {
    pub(crate) fn new(stream: S, contact: Contact) -> Self {
        Self { stream, contact }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.contact.hear();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_arrives_counts_and_what_is_sent_does_not() {
        let silent = Duration::from_secs(20);
        let began = Instant::now().checked_sub(silent).expect("a machine that is up for as long");
        let contact = Contact(Arc::new(Clock { began, heard: AtomicU64::new(0) }));
        let (mut far, near) = tokio::io::duplex(64);
        let mut near = Heard::new(near, contact.clone());
        near.write_all(b"ping").await.expect("room");
        assert!(contact.ago() >= silent);
        far.write_all(b"pong").await.expect("room");
        near.read_exact(&mut [0; 4]).await.expect("it came");
        assert!(contact.ago() < silent);
        contact.0.heard.store(0, Ordering::Relaxed);
        drop(far);
        assert_eq!(near.read(&mut [0; 4]).await.expect("the end"), 0);
        assert!(contact.ago() >= silent, "an end is no word");
    }
}

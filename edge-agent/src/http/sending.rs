//! How the sending of one file goes, until the desk is told.
//!
//! Every piece of the body, and the body itself, hold on to the same [`Sending`]. A piece is let go when the socket
//! has taken it, or when the connection is torn down, which the connection's [`Line`] then knows. So the last to let
//! go knows how much has left, and tells.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use proto::event::Transport;
use tracing::Span;

use super::link::{Line, Over};
use crate::desk::{Desk, Sent};

/// One file on its way.
pub(super) struct Sending<D: Desk> {
    desk: Arc<D>,
    line: Arc<Line>,
    ticket: D::Ticket,
    since: Instant,
    /// The request's, which lasts until the desk was told.
    span: Span,
    /// Bytes that the socket has taken.
    left: AtomicU64,
    plan: OnceLock<Plan>,
    failure: OnceLock<String>,
}

/// What is to become of it.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// So many bytes are to leave.
    Send(u64),
    /// No body: nothing is told, unless something fails.
    Nothing,
}

impl<D: Desk> Sending<D> {
    /// The request has come; `since` then.
    pub(super) fn new(desk: Arc<D>, line: Arc<Line>, ticket: D::Ticket, since: Instant) -> Arc<Self> {
        let (left, plan, failure) = (AtomicU64::new(0), OnceLock::new(), OnceLock::new());
        Arc::new(Self { desk, line, ticket, since, span: Span::current(), left, plan, failure })
    }

    /// `bytes` are to leave. The first of this and [`Sending::nothing`] counts.
    pub(super) fn expect(&self, bytes: u64) {
        // A second call would be ours alone, and changes nothing.
        let _ = self.plan.set(Plan::Send(bytes));
    }

    /// The answer has no body.
    pub(super) fn nothing(&self) {
        // As above.
        let _ = self.plan.set(Plan::Nothing);
    }

    /// It fails for a reason of ours; the first one is told.
    pub(super) fn fail(&self, why: impl Into<String>) {
        // A later failure follows from the first.
        let _ = self.failure.set(why.into());
    }

    /// A piece of the body, counted when the socket has taken it. `held` is let go with it.
    pub(super) fn piece<H: Send + 'static>(self: &Arc<Self>, bytes: impl Into<Bytes>, held: H) -> Bytes {
        Bytes::from_owner(Piece { bytes: bytes.into(), _held: held, sending: Arc::clone(self) })
    }

    fn outcome(&self) -> Option<Sent> {
        let left = self.left.load(Ordering::Relaxed);
        let failure = self.failure.get().cloned();
        let broken = match (failure, self.plan.get()) {
            (Some(failure), _) => Some(failure),
            (None, Some(Plan::Nothing)) => return None,
            (None, Some(Plan::Send(bytes))) if left == *bytes => None,
            (None, Some(Plan::Send(_)) | None) => Some(cut(self.line.over()).to_owned()),
        };
        let took = self.since.elapsed();
        Some(Sent { transport: Transport::Http, bytes: left, took, retransmissions: 0, broken })
    }
}

fn cut(over: Option<Over>) -> &'static str {
    match over {
        Some(Over::Stalled) => "the client took nothing more",
        Some(Over::Stopping) => "the agent stops",
        Some(Over::Gone) | None => "the client went away",
    }
}

impl<D: Desk> Drop for Sending<D> {
    fn drop(&mut self) {
        let Some(sent) = self.outcome() else { return };
        let _in = self.span.enter();
        tracing::debug!(bytes = sent.bytes, took = ?sent.took, broken = sent.broken, "file sent");
        self.desk.told(self.ticket.clone(), sent);
    }
}

struct Piece<D: Desk, H> {
    bytes: Bytes,
    _held: H,
    sending: Arc<Sending<D>>,
}

impl<D: Desk, H> AsRef<[u8]> for Piece<D, H> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<D: Desk, H> Drop for Piece<D, H> {
    fn drop(&mut self) {
        if self.sending.line.over().is_none() {
            self.sending.left.fetch_add(self.bytes.len() as u64, Ordering::Relaxed);
        }
    }
}

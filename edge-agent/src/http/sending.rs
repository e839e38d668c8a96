//! How the sending of a file goes, until the desk is told.
//!
//! The first sending of an answer is told by itself. Where the answer stands, further ones of the same connection are
//! counted and told in sum ([`Repeats`]): a client that reads a disk image by small ranges would say nothing else for
//! minutes. What breaks is always told by itself.

use std::{sync::Arc, time::Duration};

use proto::event::Transport;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::wire::Over;
use crate::desk::{Desk, Sent};

/// Tells the desk of one answer of its.
pub(super) struct Teller<D: Desk> {
    pub(super) desk: Arc<D>,
    pub(super) ticket: D::Ticket,
    pub(super) stopping: CancellationToken,
    /// The request's that was answered first.
    pub(super) span: Span,
}

/// A file on its way. If it is let go before its end, it has been cut off, and that is told.
pub(super) struct Sending<'a, D: Desk> {
    teller: &'a Teller<D>,
    since: Instant,
    /// Bytes that the socket has taken.
    left: u64,
    broken: Option<String>,
    over: bool,
}

impl<'a, D: Desk> Sending<'a, D> {
    /// The request came at `since`.
    pub(super) fn new(teller: &'a Teller<D>, since: Instant) -> Self {
        Self { teller, since, left: 0, broken: None, over: false }
    }

    /// The socket has taken so many more bytes.
    pub(super) fn left(&mut self, bytes: usize) {
        self.left += bytes as u64;
    }

    /// It ends here, and why.
    pub(super) fn fail(mut self, why: String) {
        self.broken = Some(why);
    }

    /// There is nothing to send, and nothing to tell.
    pub(super) fn nothing(mut self) {
        self.over = true;
    }

    /// The client is cut off, or was.
    pub(super) fn cut(self, over: Over) {
        let why = match over {
            Over::Stalled => "the client took nothing more",
            Over::Stopping => "the agent stops",
            Over::Gone | Over::Silent => "the client went away",
        };
        self.fail(why.to_owned());
    }

    /// All of it has left: how much, and how long that took.
    pub(super) fn whole(mut self) -> (u64, Duration) {
        self.over = true;
        (self.left, self.since.elapsed())
    }
}

impl<D: Desk> Drop for Sending<'_, D> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let stops = self.teller.stopping.is_cancelled();
        let unsaid = || if stops { "the agent stops" } else { "the client went away" }.to_owned();
        let broken = Some(self.broken.take().unwrap_or_else(unsaid));
        let (bytes, took) = (self.left, self.since.elapsed());
        self.teller.say(Sent {
            transport: Transport::Http,
            bytes,
            took,
            retransmissions: 0,
            repeats: 0,
            broken,
        });
    }
}

impl<D: Desk> Teller<D> {
    fn say(&self, sent: Sent) {
        let _in = self.span.enter();
        tracing::debug!(bytes = sent.bytes, took = ?sent.took, broken = sent.broken, "file sent");
        self.desk.told(self.ticket.clone(), sent);
    }

    /// It was sent whole.
    pub(super) fn whole(&self, (bytes, took): (u64, Duration)) {
        let (transport, retransmissions, repeats, broken) = (Transport::Http, 0, 0, None);
        self.say(Sent { transport, bytes, took, retransmissions, repeats, broken });
    }

    /// It was sent whole that often.
    pub(super) fn repeats(&self, repeats: &Repeats) {
        let Some(more) = repeats.times.checked_sub(1) else { return };
        let (transport, retransmissions, broken) = (Transport::Http, 0, None);
        let Repeats { bytes, took, .. } = *repeats;
        self.say(Sent { transport, bytes, took, retransmissions, repeats: more, broken });
    }
}

/// Whole sendings of one answer that were not told yet.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    times: u32,
    bytes: u64,
    took: Duration,
}

impl Repeats {
    pub(super) fn count(&mut self, (bytes, took): (u64, Duration)) {
        self.times = self.times.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.took += took;
    }
}

//! How the sending of a file goes, until the desk is told.
//!
//! The first sending of an answer is told by itself. Where the answer stands, further ones of the same connection are
//! counted and told in sum ([`Repeats`]): a client that reads a disk image by small ranges would say nothing else for
//! minutes. What breaks is always told by itself.

use std::{sync::Arc, time::Duration};

use netboot::site::{Broken, FileEnd};
use proto::event::{Breakage, Transport};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::wire::Over;
use crate::desk::{Desk, Sent};

const AGENT_STOPS: (Breakage, &str) = (Breakage::AgentStopped, "the agent stops");
const CLIENT_LEFT: (Breakage, &str) = (Breakage::Stopped, "the client went away");

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
    broken: Option<(Breakage, String)>,
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
    pub(super) fn fail(mut self, breakage: Breakage, why: String) {
        self.broken = Some((breakage, why));
    }

    /// There is nothing to send, and nothing to tell.
    pub(super) fn nothing(mut self) {
        self.over = true;
    }

    /// The client is cut off, or was.
    pub(super) fn cut(self, over: Over) {
        let (breakage, why) = match over {
            Over::Stalled => (Breakage::Silent, "the client took nothing more"),
            Over::Stopping => AGENT_STOPS,
            Over::Gone | Over::Silent => CLIENT_LEFT,
        };
        self.fail(breakage, why.to_owned());
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
        let unsaid = || {
            let stops = self.teller.stopping.is_cancelled();
            let (breakage, why) = if stops { AGENT_STOPS } else { CLIENT_LEFT };
            (breakage, why.to_owned())
        };
        let (breakage, why) = self.broken.take().unwrap_or_else(unsaid);
        let end = FileEnd::Broken(Broken { why, breakage, block_size: 0 });
        let (bytes, took) = (self.left, self.since.elapsed());
        self.teller.say(Sent {
            transport: Transport::Http,
            bytes,
            took,
            retransmissions: 0,
            repeats: 0,
            end,
        });
    }
}

impl<D: Desk> Teller<D> {
    fn say(&self, sent: Sent) {
        let _in = self.span.enter();
        tracing::debug!(bytes = sent.bytes, took = ?sent.took, end = ?sent.end, "file sent");
        self.desk.told(self.ticket.clone(), sent);
    }

    /// It was sent whole.
    pub(super) fn whole(&self, (bytes, took): (u64, Duration)) {
        let (transport, retransmissions, repeats, end) = (Transport::Http, 0, 0, FileEnd::Whole);
        self.say(Sent { transport, bytes, took, retransmissions, repeats, end });
    }

    /// It was sent whole that often.
    pub(super) fn repeats(&self, repeats: &Repeats) {
        let Some(more) = repeats.times.checked_sub(1) else { return };
        let (transport, retransmissions, end) = (Transport::Http, 0, FileEnd::Whole);
        let Repeats { bytes, took, .. } = *repeats;
        self.say(Sent { transport, bytes, took, retransmissions, repeats: more, end });
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

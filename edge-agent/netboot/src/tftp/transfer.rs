//! One transfer: opening, negotiating, sending.
//!
//! ```text
//!  RRQ ──► Opening ──► Negotiating (OACK sent) ──ACK 0──► Sending ──last ACK──► done
//!                └───────── no option granted ──────────────▲
//! ```
//!
//! It decides what to send next and when to try again, and returns that as a [`Step`]; the server turns steps
//! into actions. Rules of retransmission:
//! - Until the peer has acknowledged something, its address may be forged: it gets one small packet for each request,
//!   and none by itself (S4). A client that misses the first reply asks again; it cannot know which of the two was lost.
//! - An acknowledgement of what was acknowledged before sends nothing in lockstep (sorcerer's apprentice,
//!   RFC 1123 §4.2.3.1). In a window it means that the first block was lost, and brings one more window, once for
//!   a base, and only when a round trip has passed since the window was sent.
//! - An acknowledgement inside the window means a loss behind it (RFC 7440 §4): back to there, at most once in a
//!   round trip.
//! - After going back on a guess (a time-out, a repeated acknowledgement) the client may get again what it has,
//!   and acknowledge that too. Until it has acknowledged all that was sent before, such acknowledgements only
//!   move the window on; each taken for a loss would cause the next, for the rest of the file.
//! - Else the time-out decides: the client's own (RFC 2349) or the measured one. Of a window it first sends the last block
//!   again. Whoever has the window says so, or that something before is missing (RFC 7440 §4): either shows where to
//!   go on, at the price of one block, while a lost or late acknowledgement would cost the whole window. The next
//!   time-out sends that.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use super::config::{Config, FIRST_REPLIES, LOSSES_OF_BLOCK_ONE};
use super::event::Why;
use super::flight::{Flight, Range};
use super::interface::Local;
use super::name::Name;
use super::options::{BlockSize, Options};
use super::rtt::{Bounds, RoundTrip};
use crate::time::Mono;

/// Below this a time-out would fire again before it was handled, whatever the configuration says.
const SHORTEST: Duration = Duration::from_millis(1);

/// What a transfer does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Nothing,
    /// Send the option acknowledgement.
    Negotiate,
    /// Send these blocks.
    Send(Range),
    /// The last block was acknowledged.
    Finish,
    /// Give up.
    Fail(Why),
}

/// The machine's side of a transfer, as it asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) peer: SocketAddr,
    pub(super) name: Name,
    pub(super) options: Options,
}

#[derive(Debug)]
enum Phase {
    Opening,
    Negotiating,
    Sending,
}

/// One transfer.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) asked: Asked,
    pub(super) local: Local,
    pub(super) began: Mono,
    /// When to call [`Self::timed_out`].
    pub(super) deadline: Mono,
    /// The time for which the server has a timer set.
    pub(super) timer: Mono,
    /// The peer has acknowledged something: its address is real.
    pub(super) established: bool,
    phase: Phase,
    granted: Options,
    flight: Flight,
    round_trip: RoundTrip,
    /// The first reply was sent so many times.
    replies: u32,
    /// Time-outs since the last progress.
    timeouts: u32,
    progress: Mono,
    source_grew: Mono,
    /// The acknowledgement of this block, or of one after it, gives the next round trip: they were sent once, at
    /// this time. 0 is the option acknowledgement.
    timed: Option<(u64, Mono)>,
    /// When blocks were last sent.
    sent: Mono,
    /// They were sent again then because a time-out had passed, and nothing was acknowledged since.
    retried: Option<Mono>,
    /// When the window was last taken back.
    rewound: Option<Mono>,
    /// The highest block sent when the window was last taken back on a guess.
    recover: u64,
}

impl Transfer {
    pub(super) fn new(now: Mono, asked: Asked, local: Local, config: &Config) -> Self {
        let deadline = now.plus(config.opening);
        Self {
            asked,
            local,
            began: now,
            deadline,
            timer: deadline,
            established: false,
            phase: Phase::Opening,
            granted: Options::default(),
            flight: Flight::new(BlockSize::DEFAULT, 1, 0, 0),
            round_trip: RoundTrip::default(),
            replies: 0,
            timeouts: 0,
            progress: now,
            source_grew: now,
            timed: None,
            sent: now,
            retried: None,
            rewound: None,
            recover: 0,
        }
    }

    pub(super) fn ip(&self) -> IpAddr {
        self.asked.peer.ip()
    }

    /// What the option acknowledgement says.
    pub(super) fn granted(&self) -> Options {
        self.granted
    }

    pub(super) fn block_size(&self) -> BlockSize {
        self.granted.block_size.unwrap_or(BlockSize::DEFAULT)
    }

    pub(super) fn window(&self) -> u16 {
        self.granted.window_size.map_or(1, NonZeroU16::get)
    }

    pub(super) fn flight(&self) -> &Flight {
        &self.flight
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening)
    }

    /// An ERROR that ends only the client's look at the size: right after the OACK that told it (QUIRKS 38).
    pub(super) fn is_probe(&self) -> bool {
        matches!(self.phase, Phase::Negotiating) && self.granted.transfer_size.is_some()
    }

    /// The client has stopped listening to this transfer, so that the same request again begins a new one.
    pub(super) fn is_abandoned(&self, now: Mono, config: &Config) -> bool {
        self.established && now.since(self.progress) >= config.first_timeout
    }

    /// Large blocks do not get through to this source (QUIRKS 40).
    pub(super) fn loses_large_blocks(&self) -> bool {
        let first = self.established && self.flight.base() == 0;
        first && self.timeouts == LOSSES_OF_BLOCK_ONE && self.block_size() > BlockSize::DEFAULT
    }

    /// The file is open: grant options and make the first reply.
    pub(super) fn opened(
        &mut self,
        now: Mono,
        size: u64,
        available: u64,
        most: BlockSize,
        config: &Config,
    ) -> Step {
        if !self.is_opening() {
            return Step::Nothing;
        }
        self.granted = grant(&self.asked.options, size, most, config);
        self.flight = Flight::new(self.block_size(), self.window(), size, available);
        self.progress = now;
        self.source_grew = now;
        if self.granted.is_empty() {
            self.phase = Phase::Sending;
            return self.send(now, config);
        }
        self.phase = Phase::Negotiating;
        self.timed = Some((0, now));
        self.negotiate(now, config)
    }

    /// The same request came again. What was sent less than a moment ago answers it too: the network repeats packets.
    pub(super) fn requested_again(&mut self, now: Mono, config: &Config) -> Step {
        let heard_enough = self.established || self.replies >= FIRST_REPLIES;
        if heard_enough || now.since(self.sent) < config.least_timeout {
            return Step::Nothing;
        }
        match self.phase {
            Phase::Opening => Step::Nothing,
            Phase::Negotiating => {
                // Whoever asks again takes the newest answer: this one gives the round trip.
                self.timed = Some((0, now));
                self.negotiate(now, config)
            }
            Phase::Sending => self.go_back(now, config),
        }
    }

    /// More of the file has arrived.
    pub(super) fn arrived(&mut self, now: Mono, available: u64, config: &Config) -> Step {
        let waited = self.waits_for_source();
        self.flight.arrived(available);
        self.source_grew = now;
        match self.phase {
            Phase::Sending if waited => self.send(now, config),
            Phase::Opening | Phase::Negotiating | Phase::Sending => Step::Nothing,
        }
    }

    /// The peer acknowledged block `wire`.
    pub(super) fn acknowledged(&mut self, now: Mono, wire: u16, config: &Config) -> Step {
        match self.phase {
            Phase::Opening => Step::Nothing,
            Phase::Negotiating if wire != 0 => Step::Nothing,
            Phase::Negotiating => {
                self.phase = Phase::Sending;
                self.progressed(now, 0, config);
                self.send(now, config)
            }
            Phase::Sending => match self.flight.place(wire) {
                None => Step::Nothing,
                Some(block) if block == self.flight.base() => self.repeat(now, config),
                Some(block) => self.advance(now, block, config),
            },
        }
    }

    /// The deadline has passed.
    pub(super) fn timed_out(&mut self, now: Mono, config: &Config) -> Step {
        if now.since(self.began) >= config.longest {
            return Step::Fail(Why::TooLong);
        }
        match self.phase {
            Phase::Opening => Step::Fail(Why::OpenTimedOut),
            Phase::Negotiating => Step::Fail(Why::NeverAcknowledged),
            Phase::Sending if self.waits_for_source() => Step::Fail(Why::SourceStalled),
            Phase::Sending if !self.established => Step::Fail(Why::NeverAcknowledged),
            Phase::Sending if now.since(self.progress) >= self.patience(config) => Step::Fail(Why::Silent),
            Phase::Sending => {
                self.timeouts += 1;
                self.round_trip.back_off();
                self.retried = Some(now);
                self.ask_again(now, config)
            }
        }
    }

    /// Whether the peer may be sent a last ERROR: one that was answered again and again and is still silent may not (S4).
    pub(super) fn may_be_told(&self) -> bool {
        self.established || self.replies <= 1
    }

    fn negotiate(&mut self, now: Mono, config: &Config) -> Step {
        self.replies += 1;
        self.sent = now;
        self.deadline = now.plus(config.unanswered);
        Step::Negotiate
    }

    fn advance(&mut self, now: Mono, block: u64, config: &Config) -> Step {
        let lost_behind = block - self.flight.base() < self.flight.in_flight();
        self.flight.acknowledge(block);
        self.progressed(now, block, config);
        if self.flight.is_complete() {
            return Step::Finish;
        }
        if now.since(self.began) >= config.longest {
            return Step::Fail(Why::TooLong);
        }
        let told_anew =
            block > self.recover && self.rewound.is_none_or(|at| self.is_round_trip_after(now, at));
        if lost_behind && told_anew { self.go_back(now, config) } else { self.send(now, config) }
    }

    /// The base was acknowledged again.
    fn repeat(&mut self, now: Mono, config: &Config) -> Step {
        let nothing_lost = self.flight.is_lockstep() || self.flight.in_flight() == 0;
        let recovering = self.recover > 0 && self.flight.base() <= self.recover;
        if nothing_lost || recovering || !self.is_round_trip_after(now, self.sent) {
            return Step::Nothing;
        }
        self.retried = None;
        self.guess_loss(now, config)
    }

    /// A time-out has passed: the first since something was heard asks with one block what became of the window.
    fn ask_again(&mut self, now: Mono, config: &Config) -> Step {
        let last = (self.timeouts == 1).then(|| self.flight.last_again()).flatten();
        let Some(range) = last else { return self.guess_loss(now, config) };
        // Karn: an answer may be to the window or to this.
        self.timed = None;
        self.rearm(now, config);
        Step::Send(range)
    }

    fn guess_loss(&mut self, now: Mono, config: &Config) -> Step {
        self.recover = self.flight.highest();
        self.go_back(now, config)
    }

    fn is_round_trip_after(&self, now: Mono, at: Mono) -> bool {
        self.round_trip.shortest().is_some_and(|shortest| now.since(at) >= shortest)
    }

    fn progressed(&mut self, now: Mono, block: u64, config: &Config) {
        let again = self.retried.take();
        match (self.timed.take_if(|(timed, _)| *timed <= block), again) {
            (Some((_, sent)), _) => self.round_trip.measured(now.since(sent)),
            (None, Some(sent)) => self.round_trip.answered_again(now.since(sent), &config.bounds()),
            (None, None) => self.round_trip.advanced(),
        }
        self.established = true;
        self.progress = now;
        self.timeouts = 0;
    }

    /// Sends the window again from its base.
    fn go_back(&mut self, now: Mono, config: &Config) -> Step {
        self.timed = None;
        self.rewound = Some(now);
        self.flight.rewind();
        self.send(now, config)
    }

    /// Sends what the window has room for.
    fn send(&mut self, now: Mono, config: &Config) -> Step {
        let highest = self.flight.highest();
        let Some(range) = self.flight.fill() else {
            self.rearm(now, config);
            return Step::Nothing;
        };
        self.sent = now;
        self.replies += u32::from(!self.established);
        // Karn: only a block that was never sent before can measure the round trip.
        if self.flight.highest() > highest && self.timed.is_none() {
            self.timed = Some((highest + 1, now));
        }
        self.rearm(now, config);
        Step::Send(range)
    }

    fn rearm(&mut self, now: Mono, config: &Config) {
        self.deadline = if self.waits_for_source() {
            self.progress.max(self.source_grew).plus(config.stall)
        } else if self.established {
            now.plus(self.retransmission(config))
        } else {
            self.sent.plus(config.unanswered)
        };
    }

    /// No acknowledgement is due while the file's next bytes are still on their way.
    fn waits_for_source(&self) -> bool {
        self.flight.waits_for_source()
    }

    /// RFC 2349: a negotiated time-out is the server's too. One in microseconds is where the back-off starts.
    fn retransmission(&self, config: &Config) -> Duration {
        let bounds = config.bounds();
        match (self.granted.micro_timeout, self.granted.timeout) {
            (Some(least), _) => self.round_trip.timeout(&Bounds { least: least.get(), ..bounds }),
            (None, Some(seconds)) => Duration::from_secs(u64::from(seconds.get())),
            (None, None) => self.round_trip.timeout(&bounds),
        }
        .max(SHORTEST)
    }

    /// How long without progress before the transfer is given up.
    fn patience(&self, config: &Config) -> Duration {
        let own = self.granted.timeout.map_or(0, |seconds| u64::from(seconds.get()));
        config.give_up.max(Duration::from_secs(4 * own))
    }
}

/// Grants what was asked, never more, never anything else (RFC 2347, QUIRKS 37).
fn grant(asked: &Options, size: u64, most: BlockSize, config: &Config) -> Options {
    Options {
        block_size: asked.block_size.map(|size| size.min(most)),
        transfer_size: asked.transfer_size.map(|_| size),
        timeout: asked.timeout,
        micro_timeout: asked.micro_timeout,
        window_size: asked.window_size.map(|blocks| blocks.min(config.max_window)),
    }
}

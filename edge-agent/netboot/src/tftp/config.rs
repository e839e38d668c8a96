//! The engine's limits and times, each with the default that the shipped agent uses.

use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use super::admission::Rate;
use super::options::BlockSize;
use super::rtt::Bounds;

/// How often a request that is repeated before anything was acknowledged is answered (S4). Each time with one packet
/// of at most 516 bytes; a client that lost four such answers loses the fifth as well.
pub(super) const FIRST_REPLIES: u32 = 4;

/// Unanswered sendings of block 1 after which this source is given small blocks when it asks again (QUIRKS 40).
pub(super) const LOSSES_OF_BLOCK_ONE: u32 = 3;

/// Limits and times of a [`super::Server`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The largest block granted to anybody; the path to a peer may lower it ([`super::Terms`]).
    pub max_block_size: BlockSize,
    /// The largest window granted, in blocks.
    pub max_window: NonZeroU16,
    /// How many sockets on ephemeral ports the shell has; transfers are spread over them.
    pub slots: NonZeroU8,
    /// Transfers at one time.
    pub transfers: usize,
    /// Transfers at one time to one source address.
    pub transfers_per_source: u16,
    /// Transfers at one time to one source address that has acknowledged nothing of them (S4).
    pub pending_per_source: u16,
    /// Requests taken from one source address.
    pub requests_per_source: Rate,
    /// Requests taken from all.
    pub requests: Rate,
    /// Source addresses remembered at one time.
    pub sources: usize,
    /// Retransmission time-out before a round trip was measured.
    pub first_timeout: Duration,
    /// What the retransmission time-out has on top of the measured round trip, at least.
    pub least_timeout: Duration,
    /// The longest retransmission time-out, unless the client set its own (RFC 2349).
    pub most_timeout: Duration,
    /// How long the first reply waits for an acknowledgement. It is not sent again but for another request (S4).
    pub unanswered: Duration,
    /// Silence after which a transfer is given up; at least four times the `timeout` option where that is set.
    pub give_up: Duration,
    /// How long the shell may take to open a file.
    pub opening: Duration,
    /// How long a file that is still arriving may stand still.
    pub stall: Duration,
    /// How long any transfer may last.
    pub longest: Duration,
    /// How long late packets of an ended transfer are swallowed instead of answered.
    pub linger: Duration,
    /// How long a source that lost large blocks gets small ones (QUIRKS 40).
    pub narrow: Duration,
}

impl Config {
    /// For one of several servers among which the sources are shared out: what is meant for all of them together is shared
    /// out as well.
    #[must_use]
    pub fn share_of(self, servers: usize) -> Self {
        let servers = servers.max(1);
        let least_one = |all: usize| all.div_ceil(servers);
        let rate = |all: u32| u32::try_from(least_one(all as usize)).unwrap_or(all);
        Self {
            transfers: least_one(self.transfers),
            requests: Rate { burst: rate(self.requests.burst), per_second: rate(self.requests.per_second) },
            sources: least_one(self.sources),
            ..self
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds { first: self.first_timeout, least: self.least_timeout, most: self.most_timeout }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_block_size: BlockSize::ETHERNET,
            max_window: NonZeroU16::new(64).expect("64 is not zero"),
            slots: NonZeroU8::new(4).expect("4 is not zero"),
            transfers: 4096,
            transfers_per_source: 64,
            pending_per_source: 4,
            requests_per_source: Rate { burst: 128, per_second: 64 },
            requests: Rate { burst: 4096, per_second: 4096 },
            sources: 8192,
            first_timeout: Duration::from_secs(1),
            least_timeout: Duration::from_millis(20),
            most_timeout: Duration::from_secs(4),
            unanswered: Duration::from_secs(10),
            give_up: Duration::from_secs(30),
            opening: Duration::from_secs(10),
            stall: Duration::from_secs(60),
            longest: Duration::from_secs(2 * 60 * 60),
            linger: Duration::from_secs(10),
            narrow: Duration::from_secs(10 * 60),
        }
    }
}

//! A DHCPv4 server, authoritative or beside another, as a pure engine: RFC 2131 and 2132 with 3046 (relay agents), 3396 (long
//! options), 3527 (link selection), 4578 (PXE), 5107 (server identifier override) and 6842 (client identifier
//! echoed), and what real firmware needs (QUIRKS 1-30).
//!
//! [`Request::parse`] reads a datagram; [`Server::handle`] answers it with [`Effect`]s, in order. Leases are
//! the ledger's: the server keeps them in memory, says what to persist before the packets that rest on it, and
//! is filled again by [`Server::restore`]. Offers live in memory alone, bounded and for a minute (S5).
//!
//! Left to others: what a machine is to boot, whom to answer at all, sockets, the disk, the clock.

mod ahead;
mod alarm;
mod book;
mod boot;
mod claims;
mod client;
mod context;
mod exchange;
mod foreign;
mod freed;
mod from_plan;
mod lease;
mod message;
mod offer;
mod option;
mod overheard;
mod pages;
#[cfg(test)]
mod paper;
mod parameters;
mod pool;
mod probe;
mod proxy;
mod quarantine;
mod renewal;
mod reply;
mod request;
mod server;
mod sighting;

pub(crate) use foreign::{ForeignServers, question};

pub use context::{BootAnswer, Context, Destination, Effect};
pub use freed::Freed;
pub use lease::Place;
pub use message::{MAX_FILE, Malformed, Message, Operation};
pub use option::Options;
pub use overheard::{BootHints, ServerMessage};
pub use request::{MessageType, Port, Request};
pub use server::{POOLS_WAIT, Server};

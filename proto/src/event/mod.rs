//! What agents see and do, as the journal numbers it and the controller keeps it (DESIGN §5 "Events", §7).

mod alarm;
mod decision;
mod kind;
mod lease;
mod order;
mod transfer;
mod wire;
mod words;

pub use alarm::AlarmKind;
pub use decision::{Answer, Because, Client};
pub use kind::EventKind;
pub use lease::LeaseEnd;
pub use order::OrderPhase;
pub use transfer::{Breakage, Refusal, Transport};

use crate::{AttemptId, HostId, Mac, Wall};

/// An event with its number within one incarnation of one agent's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedEvent {
    /// From 1, without holes but those that a [`EventKind::Gap`] names.
    pub number: u64,
    /// What happened.
    pub event: Event,
}

/// Something that happened at a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// By the agent's clock.
    pub at: Wall,
    /// The boot attempt that it belongs to.
    pub attempt: Option<AttemptId>,
    /// The known host that it concerns.
    pub host: Option<HostId>,
    /// The machine that it concerns.
    pub mac: Option<Mac>,
    /// What happened.
    pub kind: EventKind,
}

/// Text from a machine, fit to be shown: printable ASCII alone, at most `limit` characters.
#[must_use]
pub fn clean(bytes: &[u8], limit: usize) -> String {
    bytes.iter().map(|byte| char::from(*byte)).filter(|c| matches!(c, ' '..='~')).take(limit).collect()
}

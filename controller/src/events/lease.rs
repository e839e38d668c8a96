//! Leases as agents told of them: who has an address, and who had it.

use std::net::Ipv4Addr;

use proto::event::LeaseEnd;
use proto::{HostId, Mac, Wall};
use serde::{Deserialize, Serialize};

/// A lease, from the first that was told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseEntry {
    /// Where.
    pub site: String,
    /// Who told of it last.
    pub agent: String,
    /// Which.
    pub address: Ipv4Addr,
    /// Whose.
    pub mac: Mac,
    /// The host that the machine was, by its id: names are labels.
    pub host: Option<HostId>,
    /// Since when, by the agent's clock.
    pub began_ms: Wall,
    /// Until when, as far as it was told: renewals are told coarsely.
    pub until_ms: Wall,
    /// None: it stands.
    pub end: Option<Ended>,
}

/// The end of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at_ms: Wall,
    /// Why.
    pub how: End,
}

/// Why a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The machine gave it back, or took another address.
    Released,
    /// The machine found the address used by somebody else.
    Declined,
    /// Its time was over.
    Expired,
    /// An operator freed it.
    Operator,
    /// Another machine was given the address; what had ended the lease was not told.
    Replaced,
}

impl From<LeaseEnd> for End {
    fn from(how: LeaseEnd) -> Self {
        match how {
            LeaseEnd::Released => Self::Released,
            LeaseEnd::Declined => Self::Declined,
            LeaseEnd::Expired => Self::Expired,
            LeaseEnd::Operator => Self::Operator,
        }
    }
}

impl End {
    /// The word of `lease history`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Released => LeaseEnd::Released.word(),
            Self::Declined => LeaseEnd::Declined.word(),
            Self::Expired => LeaseEnd::Expired.word(),
            Self::Operator => LeaseEnd::Operator.word(),
            Self::Replaced => "replaced",
        }
    }
}

/// A page of the leases that stand, by site and address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeasePage {
    /// What is on it.
    pub leases: Vec<LeaseEntry>,
    /// Where the next one begins; None: this is the last.
    pub next: Option<Vec<u8>>,
}

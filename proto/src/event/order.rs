//! The phases of an order.

use serde::{Deserialize, Serialize};

use crate::wire::twin;

/// The phases of an order (DESIGN §6 "Orders").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderPhase {
    /// It stands; no machine has come yet.
    Armed,
    /// An attempt is under way that may still be given up without harm.
    Offered,
    /// The answer file or the image has left: the disk may be overwritten.
    Started,
    /// Done.
    Installed,
    /// The installer said so, or its time is over.
    Failed,
    /// `not_after` came before `started`.
    Expired,
    /// Taken back by an operator.
    Revoked,
}

twin!(OrderPhase, OrderPhase, Armed, Offered, Started, Installed, Failed, Expired, Revoked);

impl OrderPhase {
    /// No way leads on from here.
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            Self::Installed | Self::Failed | Self::Expired | Self::Revoked => true,
            Self::Armed | Self::Offered | Self::Started => false,
        }
    }

    /// The word in tables and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Offered => "offered",
            Self::Started => "started",
            Self::Installed => "installed",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

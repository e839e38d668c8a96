//! Ends of leases.

use crate::wire::twin;

/// Why a lease is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseEnd {
    /// DHCPRELEASE.
    Released,
    /// DHCPDECLINE: the address is used by somebody else.
    Declined,
    /// Its time is over.
    Expired,
    /// An operator freed the address.
    Operator,
}

twin!(LeaseEnd, LeaseEnd, Released, Declined, Expired, Operator);

impl LeaseEnd {
    /// The word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Operator => "released by operator",
        }
    }
}

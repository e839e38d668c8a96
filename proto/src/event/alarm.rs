//! What an operator should look at.

use serde::{Deserialize, Serialize};

use crate::wire::twin;

/// What an operator should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmKind {
    /// A recorded UUID or serial is not the one that the machine shows.
    IdentityDisagrees,
    /// Another DHCP server answers here.
    ForeignDhcp,
    /// An order's file was asked for by an address that is not its host's.
    OrderFileFromElsewhere,
    /// The state disk is filling up.
    DiskLow,
    /// The clock is behind what was seen before: orders are in doubt.
    ClockBehind,
    /// A part of the plan is not understood.
    PlanNotUnderstood,
    /// No address is free.
    PoolEmpty,
    /// An address of a pool or a host is used by somebody else.
    AddressInUse,
    /// Machines that the plan does not know were not answered, as the site wants it.
    UnknownIgnored,
    /// So many events that further ones are left out for a while: of a host, or of all unknown machines.
    TooManyEvents,
    /// A machine was to boot and no loader of the plan is for its platform.
    NoLoader,
}

twin!(
    AlarmKind,
    AlarmKind,
    IdentityDisagrees,
    ForeignDhcp,
    OrderFileFromElsewhere,
    DiskLow,
    ClockBehind,
    PlanNotUnderstood,
    PoolEmpty,
    AddressInUse,
    UnknownIgnored,
    TooManyEvents,
    NoLoader,
);

impl AlarmKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::IdentityDisagrees,
        Self::ForeignDhcp,
        Self::OrderFileFromElsewhere,
        Self::DiskLow,
        Self::ClockBehind,
        Self::PlanNotUnderstood,
        Self::PoolEmpty,
        Self::AddressInUse,
        Self::UnknownIgnored,
        Self::TooManyEvents,
        Self::NoLoader,
    ];

    /// The word in metrics, which is also how it is stored.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::IdentityDisagrees => "identity-disagrees",
            Self::ForeignDhcp => "foreign-dhcp",
            Self::OrderFileFromElsewhere => "order-file-from-elsewhere",
            Self::DiskLow => "disk-low",
            Self::ClockBehind => "clock-behind",
            Self::PlanNotUnderstood => "plan-not-understood",
            Self::PoolEmpty => "pool-empty",
            Self::AddressInUse => "address-in-use",
            Self::UnknownIgnored => "unknown-ignored",
            Self::TooManyEvents => "too-many-events",
            Self::NoLoader => "no-loader",
        }
    }
}

//! What a machine is answered, to which of its programs, and what that rests on.

use serde::{Deserialize, Serialize};

use crate::wire::twin;

/// Which program of the chain speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// A PXE ROM or UEFI's PXE.
    PxeRom,
    /// UEFI HTTP Boot.
    HttpRom,
    /// iPXE.
    Ipxe,
    /// gPXE, iPXE's forerunner.
    Gpxe,
    /// BOOTP without DHCP.
    Bootp,
    /// An operating system or an installer.
    Os,
}

twin!(Client, Client, PxeRom, HttpRom, Ipxe, Gpxe, Bootp, Os);

/// What a machine is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Nothing at all.
    Silence,
    /// An address and nothing to boot.
    AddressOnly,
    /// Boot the local disk.
    LocalDisk,
    /// Fetch this loader.
    Loader,
    /// Run this script.
    Script,
}

twin!(Answer, Answer, Silence, AddressOnly, LocalDisk, Loader, Script);

/// What an answer rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Because {
    /// An order stands.
    Order,
    /// The host runs a profile, or is shown a menu.
    Profile,
    /// No order stands, and the host runs nothing but its disk.
    NothingStands,
    /// No host has this address.
    UnknownMachine,
    /// An operating system asks.
    System,
    /// The machine is not the one that is recorded.
    Identity,
    /// The host is locked, or a part of its plan is in doubt.
    Locked,
    /// The order that stands is not obeyed: another agent's, started already, its attempts used up.
    OrderDoubt,
    /// The agent's clock is in doubt.
    Clock,
    /// The agent's disk is full.
    DiskFull,
    /// What it boots is not here, and the controller is out of reach.
    ImageIncomplete,
    /// There is no loader for its platform.
    NoLoader,
}

twin!(
    Because,
    Because,
    Order,
    Profile,
    NothingStands,
    UnknownMachine,
    System,
    Identity,
    Locked,
    OrderDoubt,
    Clock,
    DiskFull,
    ImageIncomplete,
    NoLoader,
);

//! How files travel, why one is not given, and why a transfer did not end.

use crate::wire::twin;

/// How a file travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// RFC 1350.
    Tftp,
    /// HTTP/1.1.
    Http,
}

twin!(Transport, Transport, Tftp, Http);

/// Why a file is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// There is none of that name for this machine.
    NoSuchFile,
    /// The address is no lease here, or no known host's.
    NoLease,
    /// The machine has begun another attempt, or the attempt is another host's.
    AttemptOver,
    /// It is to boot its disk.
    NothingToBoot,
    /// The order is at its end.
    OrderEnded,
    /// The address is no lease of the order's host.
    Elsewhere,
    /// The order has not started, or may not.
    OrderWaits,
    /// The time of the installation is over.
    TimeOver,
    /// What it would be given is not here.
    NotHere,
}

twin!(
    Refusal,
    Refusal,
    NoSuchFile,
    NoLease,
    AttemptOver,
    NothingToBoot,
    OrderEnded,
    Elsewhere,
    OrderWaits,
    TimeOver,
    NotHere,
);

/// Why a transfer did not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Breakage {
    /// The machine stopped it.
    Stopped,
    /// Nothing more was heard from the machine.
    Silent,
    /// The machine never acknowledged anything.
    NeverAcknowledged,
    /// The machine reported an error.
    MachineError,
    /// The bytes were not here, or could not be read.
    NotHere,
    /// It took longer than any transfer may.
    TooLong,
    /// The agent stopped.
    AgentStopped,
}

twin!(Breakage, Breakage, Stopped, Silent, NeverAcknowledged, MachineError, NotHere, TooLong, AgentStopped,);

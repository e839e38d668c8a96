//! What goes into the engine and what comes out of it.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc};

use proto::{
    AttemptId, Digest, Incarnation, LeaseRelease, Mac, OrderId, PlanId, Wall, event::AlarmKind,
    ledger::Record, plan::SitePlan,
};

use super::{
    captures::{CaptureKept, FailedBoot},
    reports::{ReportAnswer, ReportRequest},
    served::{FileAnswer, FileRequest, FileTold},
};
use crate::{
    arp::Claim,
    dhcp::{Destination, Request, ServerMessage},
    syslog::Line,
};

/// What an agent is, and its limits.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name in the fleet.
    pub agent: String,
    /// The most diagnostics that wait for the controller.
    pub journal_limit: usize,
    /// Our end of each interface, by its number: only there the wire is asked for addresses and other servers.
    pub stations: Vec<Station>,
}

/// What an interface is on its wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Station {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its link address.
    pub mac: Mac,
}

/// Where a datagram or a request came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The interface's number, for the answer.
    pub interface: u32,
    /// Our address there.
    pub server: Ipv4Addr,
    /// `http://ADDRESS[:PORT]` of our HTTP server there.
    pub base_url: Arc<str>,
}

/// How much room the state disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disk {
    /// Enough.
    #[default]
    Fine,
    /// Pool grants and new orders wait; fixed addresses and local boots go on (DESIGN §6 "A full disk").
    Full,
}

/// Something arrived.
#[derive(Debug)]
pub enum Input {
    /// A DHCP message.
    Dhcp(Arrival, Box<Request>),
    /// Somebody says on the wire that an address is its own.
    Claim(Claim),
    /// A server's message to a machine, as it passed by.
    Overheard(Box<ServerMessage>),
    /// A machine asks for a file.
    File(FileRequest),
    /// A file was sent, or not.
    Told(FileTold),
    /// An installer or an installed system speaks.
    Report(ReportRequest),
    /// Another plan to obey.
    Plan(Arc<SitePlan>),
    /// A plan that is not obeyed, and why.
    PlanRefused(PlanId, String),
    /// The controller holds the events of this incarnation up to this number.
    Acknowledged(Incarnation, u64),
    /// The controller was reached: the clock is no longer in doubt.
    Contact,
    /// The controller's clock: ours is in doubt while they lie apart, and what was recorded ahead of both is set right.
    ControllerTime(Wall),
    /// Blobs of the plan that are not here and cannot be fetched now; empty while the controller is reached.
    OutOfReach(BTreeSet<Digest>),
    /// An operator frees an address.
    Release(LeaseRelease),
    /// The state disk has changed.
    Disk(Disk),
    /// A machine at this address has sent a line of its syslog.
    Syslog(Ipv4Addr, Line),
    /// What [`Action::KeepCapture`] asked for is done.
    CaptureKept(CaptureKept),
    /// Something that only the shell sees.
    Alarm(AlarmKind, String),
}

impl Input {
    /// May a name stand for something else after it? Questions for files change little, which [`Site::changes`](super::Site::changes) counts apart.
    #[must_use]
    pub fn may_change_files(&self) -> bool {
        match self {
            Self::File(_)
            | Self::Told(_)
            | Self::PlanRefused(..)
            | Self::Acknowledged(..)
            | Self::CaptureKept(_)
            | Self::Syslog(..)
            | Self::Alarm(..) => false,
            Self::Dhcp(..)
            | Self::Claim(_)
            | Self::Overheard(_)
            | Self::Report(_)
            | Self::Plan(_)
            | Self::Contact
            | Self::ControllerTime(_)
            | Self::OutOfReach(_)
            | Self::Release(_)
            | Self::Disk(_) => true,
        }
    }
}

/// What the shell is to do, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// On disk before any later `Send` or `Answer`.
    Persist(Record),
    /// A DHCP message.
    Send {
        /// The interface's number.
        interface: u32,
        /// The message.
        datagram: Vec<u8>,
        /// To whom.
        to: Destination,
        /// It rests on no record, and may leave before those are on disk that stand before it.
        at_once: bool,
    },
    /// Ask the wire who has an address. Rests on no record.
    Probe {
        /// The interface's number.
        interface: u32,
        /// Which.
        address: Ipv4Addr,
    },
    /// To the [`FileRequest`] of this number.
    Answer {
        /// The request's number.
        ask: u64,
        /// The answer.
        answer: FileAnswer,
        /// The boot that it is for or refused to, for log lines; None: none, or nobody knows.
        boot: Option<AttemptId>,
        /// By TFTP it goes out from port 69, found or not (QUIRKS 43).
        tftp_single_port: bool,
    },
    /// This order is at its end: its secrets are to be destroyed.
    DestroySecrets(OrderId),
    /// This boot has come to nothing: its packets are to be kept.
    KeepCapture(FailedBoot),
    /// To the [`ReportRequest`] of this number.
    Replied {
        /// The request's number.
        ask: u64,
        /// The answer.
        answer: ReportAnswer,
        /// The boot that is reported of, for log lines; None: nobody knows.
        boot: Option<AttemptId>,
    },
}

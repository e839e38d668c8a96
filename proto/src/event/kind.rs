//! The kinds of events: what each says of what happened.

use std::net::Ipv4Addr;

use super::{AlarmKind, Answer, Because, Breakage, Client, LeaseEnd, OrderPhase, Refusal, Transport};
use crate::{
    FirmwareModel, OrderId, PlanId, Platform, ReleaseId, Wall,
    plan::{ReplyForm, Stage},
};

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A machine has begun to boot.
    AttemptBegan {
        /// None: its architecture is not known to us.
        platform: Option<Platform>,
        /// Who spoke first.
        client: Client,
        /// Option 60, cleaned; see [`super::clean`].
        vendor_class: String,
        /// Option 97, in the order that a UUID is written.
        uuid: Option<[u8; 16]>,
        /// The relay agent that it came through.
        relay: Option<Ipv4Addr>,
        /// The first number of option 93; see [`crate::Architecture`].
        architecture: Option<u16>,
    },
    /// What the machine is answered, and why.
    Decided {
        /// The answer.
        answer: Answer,
        /// For people.
        reason: String,
        /// The order that it rests on.
        order: Option<OrderId>,
        /// The reason for programs; None: the agent does not tell.
        because: Option<Because>,
    },
    /// An address and a file were offered.
    Offered {
        /// The address; None: another server gives it.
        address: Option<Ipv4Addr>,
        /// Name or URL without tokens; "" for nothing.
        file: String,
        /// To whom.
        client: Client,
    },
    /// A lease is on disk and acknowledged to the machine.
    Leased {
        /// The address.
        address: Ipv4Addr,
        /// When it ends.
        until: Wall,
        /// To whom.
        client: Client,
    },
    /// A lease is no more.
    LeaseEnded {
        /// The address.
        address: Ipv4Addr,
        /// Why.
        how: LeaseEnd,
    },
    /// A lease goes on: told when the controller would otherwise take it for older than it is.
    LeaseRenewed {
        /// The address.
        address: Ipv4Addr,
        /// When it ends now.
        until: Wall,
    },
    /// What became of an operator's [`crate::LeaseRelease`].
    LeaseReleaseAnswered {
        /// Which.
        release: ReleaseId,
        /// The address.
        address: Ipv4Addr,
        /// None: the address is nobody's now; else why it is not, for people.
        refused: Option<String>,
    },
    /// A file was sent in full.
    FileServed {
        /// By which protocol.
        transport: Transport,
        /// What it was to the machine.
        stage: Stage,
        /// Its name in the plan.
        name: String,
        /// How many.
        bytes: u64,
        /// From request to last byte, milliseconds.
        took_ms: u64,
        /// TFTP blocks sent more than once.
        retransmissions: u32,
        /// How often it was sent again in that time, by the same connection: bytes and time are those of all.
        repeats: u32,
    },
    /// A file was asked for and not given.
    FileRefused {
        /// By which protocol.
        transport: Transport,
        /// As asked, cleaned; see [`super::clean`].
        name: String,
        /// For people.
        why: String,
        /// The same for programs; None: the agent does not tell.
        refusal: Option<Refusal>,
        /// It was asked for by an order's token.
        by_token: bool,
    },
    /// The machine asked for a file's size, and said that it wanted no more.
    FileProbed {
        /// By which protocol.
        transport: Transport,
        /// What it was to the machine.
        stage: Stage,
        /// Its name in the plan.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A transfer did not end.
    FileBroken {
        /// By which protocol.
        transport: Transport,
        /// What it was to the machine.
        stage: Stage,
        /// Its name in the plan.
        name: String,
        /// How many were sent.
        bytes: u64,
        /// For people.
        why: String,
        /// The same for programs; None: the agent does not tell.
        breakage: Option<Breakage>,
        /// TFTP's, in bytes; 0: not by TFTP, or the agent does not tell.
        block_size: u16,
        /// TFTP blocks sent more than once.
        retransmissions: u32,
        /// From the request on, milliseconds.
        took_ms: u64,
    },
    /// An order has entered a phase.
    OrderMoved {
        /// Which.
        order: OrderId,
        /// Its fencing number.
        number: u64,
        /// The phase entered.
        phase: OrderPhase,
        /// For people.
        reason: String,
    },
    /// The installer speaks.
    Progress {
        /// 0 to 100.
        percent: Option<u8>,
        /// Cleaned; see [`super::clean`].
        text: String,
    },
    /// The installed system has come up.
    OsUp {
        /// Its address, if it asked for one.
        address: Option<Ipv4Addr>,
    },
    /// The machine was offered what to boot, and has taken another DHCP server's offer.
    ForeignOfferTaken {
        /// That server's identifier (option 54).
        server: Ipv4Addr,
        /// What was heard of it, for people; "" for nothing.
        known: String,
    },
    /// A REQUEST for an address was not granted.
    AddressRefused {
        /// The address.
        address: Ipv4Addr,
        /// Who asked for it.
        client: Client,
        /// The machine was told so, by a NAK; else its request was passed over.
        told: bool,
        /// For people.
        why: String,
    },
    /// Something that an operator should look at.
    Alarm {
        /// What.
        kind: AlarmKind,
        /// For people.
        detail: String,
    },
    /// The agent now obeys this plan.
    PlanAdopted(PlanId),
    /// The agent does not obey this plan.
    PlanRefused {
        /// Which.
        plan: PlanId,
        /// For people.
        why: String,
    },
    /// A PXE ROM is told what to boot in another form than before, or has shown that it obeys one.
    FormMoved {
        /// The form.
        form: ReplyForm,
        /// It has fetched what it was told to.
        proved: bool,
        /// What its ROM says of itself.
        model: FirmwareModel,
        /// The same in words; cleaned, see [`super::clean`].
        firmware: String,
        /// For people.
        why: String,
    },
    /// The packets of this attempt are kept at the agent, until newer captures take their room.
    CaptureKept {
        /// How many.
        packets: u32,
        /// Of the pcap file.
        bytes: u64,
        /// What was wrong with the attempt, for people.
        why: String,
    },
    /// What a program on the machine has said by syslog.
    SyslogLine {
        /// RFC 5424 §6.2.1: 0, an emergency, to 7.
        severity: u8,
        /// The program; "" where the line does not say. Cleaned, see [`super::clean`].
        program: String,
        /// Cleaned, and without tokens.
        text: String,
        /// Lines of this machine that were left out before this one.
        left_out: u32,
    },
    /// Diagnostics from `first` to `last` gave way because the journal was full.
    Gap {
        /// The first number that is missing.
        first: u64,
        /// The last.
        last: u64,
    },
}

impl EventKind {
    /// The word in log lines.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::AttemptBegan { .. } => "attempt began",
            Self::Decided { .. } => "decided",
            Self::Offered { .. } => "offered",
            Self::Leased { .. } => "leased",
            Self::LeaseEnded { .. } => "lease ended",
            Self::LeaseRenewed { .. } => "lease renewed",
            Self::LeaseReleaseAnswered { .. } => "lease release answered",
            Self::FileServed { .. } => "file served",
            Self::FileRefused { .. } => "file refused",
            Self::FileProbed { .. } => "file probed",
            Self::FileBroken { .. } => "file broken",
            Self::OrderMoved { .. } => "order moved",
            Self::Progress { .. } => "progress",
            Self::OsUp { .. } => "system up",
            Self::ForeignOfferTaken { .. } => "foreign offer taken",
            Self::AddressRefused { .. } => "address refused",
            Self::Alarm { .. } => "alarm",
            Self::PlanAdopted(_) => "plan adopted",
            Self::PlanRefused { .. } => "plan refused",
            Self::FormMoved { .. } => "form moved",
            Self::CaptureKept { .. } => "capture kept",
            Self::SyslogLine { .. } => "syslog line",
            Self::Gap { .. } => "gap",
        }
    }

    /// Does it tell of a request that was not granted, or of an answer that was not accepted?
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::FileRefused { .. } | Self::AddressRefused { .. } | Self::ForeignOfferTaken { .. } => true,
            Self::LeaseEnded { how, .. } => *how == LeaseEnd::Declined,
            Self::FileBroken { breakage, .. } => *breakage == Some(Breakage::MachineError),
            Self::Alarm { kind, .. } => match kind {
                AlarmKind::PoolEmpty | AlarmKind::AddressInUse => true,
                // The decision or the refusal beside it says the same.
                AlarmKind::IdentityDisagrees
                | AlarmKind::NoLoader
                | AlarmKind::OrderFileFromElsewhere
                | AlarmKind::ForeignDhcp
                | AlarmKind::DiskLow
                | AlarmKind::ClockBehind
                | AlarmKind::PlanNotUnderstood
                | AlarmKind::UnknownIgnored
                | AlarmKind::TooManyEvents => false,
            },
            Self::AttemptBegan { .. }
            | Self::Decided { .. }
            | Self::Offered { .. }
            | Self::Leased { .. }
            | Self::LeaseRenewed { .. }
            | Self::LeaseReleaseAnswered { .. }
            | Self::FileServed { .. }
            | Self::FileProbed { .. }
            | Self::OrderMoved { .. }
            | Self::Progress { .. }
            | Self::OsUp { .. }
            | Self::PlanAdopted(_)
            | Self::PlanRefused { .. }
            | Self::FormMoved { .. }
            | Self::CaptureKept { .. }
            | Self::SyslogLine { .. }
            | Self::Gap { .. } => false,
        }
    }

    /// Order and lease events never give way when the journal is full (DESIGN §5).
    #[must_use]
    pub fn never_dropped(&self) -> bool {
        match self {
            Self::OrderMoved { .. }
            | Self::Leased { .. }
            | Self::LeaseEnded { .. }
            | Self::LeaseReleaseAnswered { .. }
            | Self::Gap { .. } => true,
            // The next one makes up for it.
            Self::LeaseRenewed { .. } => false,
            Self::AttemptBegan { .. }
            | Self::Decided { .. }
            | Self::Offered { .. }
            | Self::FileServed { .. }
            | Self::FileRefused { .. }
            | Self::FileProbed { .. }
            | Self::FileBroken { .. }
            | Self::Progress { .. }
            | Self::OsUp { .. }
            | Self::ForeignOfferTaken { .. }
            | Self::AddressRefused { .. }
            | Self::Alarm { .. }
            | Self::PlanAdopted(_)
            | Self::PlanRefused { .. }
            | Self::FormMoved { .. }
            | Self::CaptureKept { .. }
            | Self::SyslogLine { .. } => false,
        }
    }
}

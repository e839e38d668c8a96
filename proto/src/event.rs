//! What agents see and do, as the journal numbers it and the controller keeps it (DESIGN §5 "Events", §7).

mod words;

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::{
    AttemptId, FirmwareModel, HostId, Mac, OrderId, PlanId, Platform, ReleaseId, Wall,
    plan::{ReplyForm, Stage},
    v1,
    wire::{WireError, address_bits, optional_address, optional_array, required, twin},
};

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

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A machine has begun to boot.
    AttemptBegan {
        /// None: its architecture is not known to us.
        platform: Option<Platform>,
        /// Who spoke first.
        client: Client,
        /// Option 60, cleaned; see [`clean`].
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
        /// As asked, cleaned; see [`clean`].
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
        /// Cleaned; see [`clean`].
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
        /// The same in words; cleaned, see [`clean`].
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
        /// The program; "" where the line does not say. Cleaned, see [`clean`].
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
            Self::Alarm { .. } => "alarm",
            Self::PlanAdopted(_) => "plan adopted",
            Self::PlanRefused { .. } => "plan refused",
            Self::FormMoved { .. } => "form moved",
            Self::CaptureKept { .. } => "capture kept",
            Self::SyslogLine { .. } => "syslog line",
            Self::Gap { .. } => "gap",
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
            | Self::Alarm { .. }
            | Self::PlanAdopted(_)
            | Self::PlanRefused { .. }
            | Self::FormMoved { .. }
            | Self::CaptureKept { .. }
            | Self::SyslogLine { .. } => false,
        }
    }
}

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

/// How a file travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// RFC 1350.
    Tftp,
    /// HTTP/1.1.
    Http,
}

twin!(Transport, Transport, Tftp, Http);

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

/// Text from a machine, fit to be shown: printable ASCII alone, at most `limit` characters.
#[must_use]
pub fn clean(bytes: &[u8], limit: usize) -> String {
    bytes.iter().map(|byte| char::from(*byte)).filter(|c| matches!(c, ' '..='~')).take(limit).collect()
}

impl From<NumberedEvent> for v1::NumberedEvent {
    fn from(numbered: NumberedEvent) -> Self {
        Self { number: numbered.number, event: Some(numbered.event.into()) }
    }
}

impl TryFrom<v1::NumberedEvent> for NumberedEvent {
    type Error = WireError;

    fn try_from(message: v1::NumberedEvent) -> Result<Self, WireError> {
        if message.number == 0 {
            return Err(WireError::new("number", "is missing"));
        }
        let event = Event::try_from(required("event", message.event)?).map_err(|e| e.within("event"))?;
        Ok(Self { number: message.number, event })
    }
}

impl From<Event> for v1::Event {
    fn from(event: Event) -> Self {
        Self {
            at_ms: event.at.0,
            attempt: event.attempt.map(AttemptId::to_wire).unwrap_or_default(),
            host: event.host.map(HostId::to_wire).unwrap_or_default(),
            mac: event.mac.map(Mac::to_wire).unwrap_or_default(),
            kind: Some(event.kind.into()),
        }
    }
}

impl TryFrom<v1::Event> for Event {
    type Error = WireError;

    fn try_from(message: v1::Event) -> Result<Self, WireError> {
        Ok(Self {
            at: Wall(message.at_ms),
            attempt: AttemptId::from_wire_optional("attempt", &message.attempt)?,
            host: HostId::from_wire_optional("host", &message.host)?,
            mac: optional_array("mac", &message.mac)?.map(Mac),
            kind: required("kind", message.kind)?.try_into()?,
        })
    }
}

impl From<EventKind> for v1::event::Kind {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::AttemptBegan { platform, client, vendor_class, uuid, relay, architecture } => {
                Self::AttemptBegan(v1::AttemptBegan {
                    platform: platform.map_or(0, Into::into),
                    client: client.into(),
                    vendor_class,
                    uuid: uuid.map(|uuid| uuid.to_vec().into()).unwrap_or_default(),
                    relay: address_bits(relay),
                    architecture: architecture.map(u32::from),
                })
            }
            EventKind::Decided { answer, reason, order, because } => Self::Decided(v1::Decided {
                answer: answer.into(),
                reason,
                order: order.map(OrderId::to_wire).unwrap_or_default(),
                because: because.map_or(0, Into::into),
            }),
            EventKind::Offered { address, file, client } => {
                Self::Offered(v1::Offered { address: address_bits(address), file, client: client.into() })
            }
            EventKind::Leased { address, until, client } => Self::Leased(v1::Leased {
                address: address.to_bits(),
                until_ms: until.0,
                client: client.into(),
            }),
            EventKind::LeaseEnded { address, how } => {
                Self::LeaseEnded(v1::LeaseEnded { address: address.to_bits(), how: how.into() })
            }
            EventKind::LeaseRenewed { address, until } => {
                Self::LeaseRenewed(v1::LeaseRenewed { address: address.to_bits(), until_ms: until.0 })
            }
            EventKind::LeaseReleaseAnswered { release, address, refused } => {
                Self::LeaseReleaseAnswered(v1::LeaseReleaseAnswered {
                    release: release.to_wire(),
                    address: address.to_bits(),
                    freed: refused.is_none(),
                    why: refused.unwrap_or_default(),
                })
            }
            EventKind::FileServed { transport, stage, name, bytes, took_ms, retransmissions, repeats } => {
                let (transport, stage) = (transport.into(), stage.into());
                let served =
                    v1::FileServed { transport, stage, name, bytes, took_ms, retransmissions, repeats };
                Self::FileServed(served)
            }
            EventKind::FileRefused { transport, name, why, refusal, by_token } => {
                let (transport, refusal) = (transport.into(), refusal.map_or(0, Into::into));
                Self::FileRefused(v1::FileRefused { transport, name, why, refusal, by_token })
            }
            EventKind::FileProbed { transport, stage, name, size } => {
                let (transport, stage) = (transport.into(), stage.into());
                Self::FileProbed(v1::FileProbed { transport, stage, name, size })
            }
            EventKind::FileBroken {
                transport,
                stage,
                name,
                bytes,
                why,
                breakage,
                block_size,
                retransmissions,
                took_ms,
            } => Self::FileBroken(v1::FileBroken {
                transport: transport.into(),
                stage: stage.into(),
                name,
                bytes,
                why,
                breakage: breakage.map_or(0, Into::into),
                block_size: block_size.into(),
                retransmissions,
                took_ms,
            }),
            EventKind::OrderMoved { order, number, phase, reason } => Self::OrderMoved(v1::OrderMoved {
                order: order.to_wire(),
                number,
                phase: phase.into(),
                reason,
            }),
            EventKind::Progress { percent, text } => {
                Self::Progress(v1::Progress { percent: percent.map_or(101, u32::from), text })
            }
            EventKind::OsUp { address } => Self::OsUp(v1::OsUp { address: address_bits(address) }),
            EventKind::ForeignOfferTaken { server, known } => {
                Self::ForeignOfferTaken(v1::ForeignOfferTaken { server: server.to_bits(), known })
            }
            EventKind::Alarm { kind, detail } => Self::Alarm(v1::Alarm { kind: kind.into(), detail }),
            EventKind::PlanAdopted(plan) => Self::PlanAdopted(v1::PlanAdopted { plan: Some(plan.into()) }),
            EventKind::PlanRefused { plan, why } => {
                Self::PlanRefused(v1::PlanRefused { plan: Some(plan.into()), why })
            }
            EventKind::FormMoved { form, proved, model, firmware, why } => Self::FormMoved(v1::FormMoved {
                form: form.into(),
                proved,
                model: model.to_wire(),
                firmware,
                why,
            }),
            EventKind::CaptureKept { packets, bytes, why } => {
                Self::CaptureKept(v1::CaptureKept { packets, bytes, why })
            }
            EventKind::SyslogLine { severity, program, text, left_out } => {
                Self::SyslogLine(v1::SyslogLine { severity: severity.into(), program, text, left_out })
            }
            EventKind::Gap { first, last } => Self::Gap(v1::Gap { first, last }),
        }
    }
}

impl TryFrom<v1::event::Kind> for EventKind {
    type Error = WireError;

    fn try_from(kind: v1::event::Kind) -> Result<Self, WireError> {
        use v1::event::Kind;
        let address =
            |field: &str, bits| optional_address(bits).ok_or_else(|| WireError::new(field, "is missing"));
        Ok(match kind {
            Kind::AttemptBegan(m) => Self::AttemptBegan {
                // One that a later agent knows is none here; the architecture still names it.
                platform: Platform::from_wire("platform", m.platform).ok(),
                client: Client::from_wire("client", m.client)?,
                vendor_class: m.vendor_class,
                uuid: optional_array("uuid", &m.uuid)?,
                relay: optional_address(m.relay),
                architecture: m.architecture.and_then(|code| u16::try_from(code).ok()),
            },
            Kind::Decided(m) => Self::Decided {
                answer: Answer::from_wire("answer", m.answer)?,
                reason: m.reason,
                order: OrderId::from_wire_optional("order", &m.order)?,
                // One that a later agent knows is none here, as below; the words say it still.
                because: Because::from_wire("because", m.because).ok(),
            },
            Kind::Offered(m) => Self::Offered {
                address: optional_address(m.address),
                file: m.file,
                client: Client::from_wire("client", m.client)?,
            },
            Kind::Leased(m) => Self::Leased {
                address: address("leased.address", m.address)?,
                until: Wall(m.until_ms),
                client: Client::from_wire("client", m.client)?,
            },
            Kind::LeaseEnded(m) => Self::LeaseEnded {
                address: address("lease_ended.address", m.address)?,
                how: LeaseEnd::from_wire("how", m.how)?,
            },
            Kind::LeaseRenewed(m) => Self::LeaseRenewed {
                address: address("lease_renewed.address", m.address)?,
                until: Wall(m.until_ms),
            },
            Kind::LeaseReleaseAnswered(m) => Self::LeaseReleaseAnswered {
                release: ReleaseId::from_wire("release", &m.release)?,
                address: address("lease_release_answered.address", m.address)?,
                refused: (!m.freed).then_some(m.why),
            },
            Kind::FileServed(m) => Self::FileServed {
                transport: Transport::from_wire("transport", m.transport)?,
                stage: Stage::from_wire("stage", m.stage)?,
                name: m.name,
                bytes: m.bytes,
                took_ms: m.took_ms,
                retransmissions: m.retransmissions,
                repeats: m.repeats,
            },
            Kind::FileRefused(m) => Self::FileRefused {
                transport: Transport::from_wire("transport", m.transport)?,
                name: m.name,
                why: m.why,
                refusal: Refusal::from_wire("refusal", m.refusal).ok(),
                by_token: m.by_token,
            },
            Kind::FileProbed(m) => Self::FileProbed {
                transport: Transport::from_wire("transport", m.transport)?,
                stage: Stage::from_wire("stage", m.stage)?,
                name: m.name,
                size: m.size,
            },
            Kind::FileBroken(m) => Self::FileBroken {
                transport: Transport::from_wire("transport", m.transport)?,
                stage: Stage::from_wire("stage", m.stage)?,
                name: m.name,
                bytes: m.bytes,
                why: m.why,
                breakage: Breakage::from_wire("breakage", m.breakage).ok(),
                block_size: u16::try_from(m.block_size).unwrap_or(u16::MAX),
                retransmissions: m.retransmissions,
                took_ms: m.took_ms,
            },
            Kind::OrderMoved(m) => Self::OrderMoved {
                order: OrderId::from_wire("order", &m.order)?,
                number: m.number,
                phase: OrderPhase::from_wire("phase", m.phase)?,
                reason: m.reason,
            },
            Kind::Progress(m) => {
                Self::Progress { percent: u8::try_from(m.percent).ok().filter(|p| *p <= 100), text: m.text }
            }
            Kind::OsUp(m) => Self::OsUp { address: optional_address(m.address) },
            Kind::ForeignOfferTaken(m) => Self::ForeignOfferTaken {
                server: address("foreign_offer_taken.server", m.server)?,
                known: m.known,
            },
            Kind::Alarm(m) => Self::Alarm { kind: AlarmKind::from_wire("kind", m.kind)?, detail: m.detail },
            Kind::PlanAdopted(m) => Self::PlanAdopted(required("plan", m.plan)?.try_into()?),
            Kind::PlanRefused(m) => {
                Self::PlanRefused { plan: required("plan", m.plan)?.try_into()?, why: m.why }
            }
            Kind::FormMoved(m) => Self::FormMoved {
                form: ReplyForm::from_wire("form", m.form)?,
                proved: m.proved,
                model: FirmwareModel::from_wire("model", &m.model)?,
                firmware: m.firmware,
                why: m.why,
            },
            Kind::CaptureKept(m) => Self::CaptureKept { packets: m.packets, bytes: m.bytes, why: m.why },
            Kind::SyslogLine(m) => Self::SyslogLine {
                severity: u8::try_from(m.severity).unwrap_or(u8::MAX).min(7),
                program: m.program,
                text: m.text,
                left_out: m.left_out,
            },
            Kind::Gap(m) => Self::Gap { first: m.first, last: m.last },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, Generation};

    /// One of each kind.
    fn kinds() -> Vec<EventKind> {
        let address = Ipv4Addr::new(10, 1, 0, 9);
        let (name, why) = (String::from("linux"), String::from("because"));
        let generation = Generation { epoch: 1, revision: 2 };
        let plan = PlanId { generation, planner: 1, digest: Digest::of(b"plan") };
        let (transport, stage, order) = (Transport::Tftp, Stage::Loader, OrderId([4; 16]));
        vec![
            EventKind::AttemptBegan {
                platform: Some(Platform::UefiX64),
                client: Client::PxeRom,
                vendor_class: "PXEClient".into(),
                uuid: Some([3; 16]),
                relay: None,
                architecture: Some(7),
            },
            EventKind::Decided {
                answer: Answer::Script,
                reason: why.clone(),
                order: Some(order),
                because: Some(Because::Order),
            },
            EventKind::Offered { address: Some(address), file: name.clone(), client: Client::Ipxe },
            EventKind::Offered { address: None, file: name.clone(), client: Client::PxeRom },
            EventKind::Leased { address, until: Wall(9), client: Client::Os },
            EventKind::LeaseEnded { address, how: LeaseEnd::Declined },
            EventKind::LeaseRenewed { address, until: Wall(9) },
            EventKind::LeaseReleaseAnswered { release: ReleaseId([6; 16]), address, refused: None },
            EventKind::LeaseReleaseAnswered {
                release: ReleaseId([6; 16]),
                address,
                refused: Some(why.clone()),
            },
            EventKind::FileServed {
                transport,
                stage,
                name: name.clone(),
                bytes: 7,
                took_ms: 8,
                retransmissions: 9,
                repeats: 10,
            },
            EventKind::FileRefused {
                transport,
                name: name.clone(),
                why: why.clone(),
                refusal: Some(Refusal::Elsewhere),
                by_token: true,
            },
            EventKind::FileProbed { transport, stage, name: name.clone(), size: 7 },
            EventKind::FileBroken {
                transport,
                stage,
                name,
                bytes: 3,
                why: why.clone(),
                breakage: Some(Breakage::Silent),
                block_size: 1_428,
                retransmissions: 4,
                took_ms: 5,
            },
            EventKind::OrderMoved { order, number: 3, phase: OrderPhase::Started, reason: why.clone() },
            EventKind::Progress { percent: None, text: "partitioning".into() },
            EventKind::Progress { percent: Some(100), text: String::new() },
            EventKind::OsUp { address: Some(address) },
            EventKind::ForeignOfferTaken { server: address, known: why.clone() },
            EventKind::Alarm { kind: AlarmKind::AddressInUse, detail: why.clone() },
            EventKind::PlanAdopted(plan),
            EventKind::PlanRefused { plan, why: why.clone() },
            EventKind::FormMoved {
                form: ReplyForm::BootService,
                proved: true,
                model: FirmwareModel([1; 8]),
                firmware: "PXEClient".into(),
                why: why.clone(),
            },
            EventKind::CaptureKept { packets: 40, bytes: 9_000, why: why.clone() },
            EventKind::SyslogLine { severity: 3, program: "apt".into(), text: why, left_out: 2 },
            EventKind::Gap { first: 3, last: 9 },
        ]
    }

    #[test]
    fn every_kind_there_and_back() {
        for kind in kinds() {
            let (attempt, host, mac) = (Some(AttemptId([1; 16])), Some(HostId([2; 16])), Some(Mac([3; 6])));
            let numbered =
                NumberedEvent { number: 5, event: Event { at: Wall(1), attempt, host, mac, kind } };
            assert_eq!(NumberedEvent::try_from(v1::NumberedEvent::from(numbered.clone())), Ok(numbered));
        }
    }

    #[test]
    fn an_event_without_a_kind_is_refused() {
        let error = Event::try_from(v1::Event::default()).expect_err("no kind");
        assert_eq!(error.to_string(), "kind: is missing");
    }

    #[test]
    fn text_from_machines_is_cleaned() {
        assert_eq!(clean(b"PXE\x00Client\xff\n\x1b[2J", 9), "PXEClient");
    }
}

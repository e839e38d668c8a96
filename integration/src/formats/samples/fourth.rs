//! What the fourth set gains: the reasons of what is told, in words for programs, sizes that are only asked for, captures and
//! syslog of boots.

use proto::event::{Answer, Because, Breakage, EventKind, Refusal, Transport};
use proto::plan::{Network, Stage};

use super::third;

/// The version of the planner whose plans it holds.
pub(super) const PLANNER: u32 = 7;

pub(super) fn network() -> Network {
    Network { syslog: true, ..third::network() }
}

/// Every reason, every refusal and every breakage, and the kinds that are new.
pub(super) fn kinds() -> Vec<EventKind> {
    let mut kinds: Vec<_> = REASONS.map(decided).into();
    kinds.extend(REFUSALS.map(refused));
    kinds.extend(BREAKAGES.map(broken));
    kinds.extend([
        EventKind::FileProbed {
            transport: Transport::Tftp,
            stage: Stage::Loader,
            name: "snponly.efi".into(),
            size: 1_048_576,
        },
        EventKind::CaptureKept { packets: 41, bytes: 9_001, why: "it fell silent after its loader".into() },
        EventKind::SyslogLine {
            severity: 3,
            program: "apt".into(),
            text: "failed to fetch libc6.deb".into(),
            left_out: 5,
        },
        EventKind::SyslogLine { severity: 6, program: String::new(), text: "up".into(), left_out: 0 },
    ]);
    kinds
}

const REASONS: [Because; 12] = [
    Because::Order,
    Because::Profile,
    Because::NothingStands,
    Because::UnknownMachine,
    Because::System,
    Because::Identity,
    Because::Locked,
    Because::OrderDoubt,
    Because::Clock,
    Because::DiskFull,
    Because::ImageIncomplete,
    Because::NoLoader,
];

const REFUSALS: [Refusal; 9] = [
    Refusal::NoSuchFile,
    Refusal::NoLease,
    Refusal::AttemptOver,
    Refusal::NothingToBoot,
    Refusal::OrderEnded,
    Refusal::Elsewhere,
    Refusal::OrderWaits,
    Refusal::TimeOver,
    Refusal::NotHere,
];

const BREAKAGES: [Breakage; 7] = [
    Breakage::Stopped,
    Breakage::Silent,
    Breakage::NeverAcknowledged,
    Breakage::MachineError,
    Breakage::NotHere,
    Breakage::TooLong,
    Breakage::AgentStopped,
];

fn decided(because: Because) -> EventKind {
    let (answer, reason) = (Answer::LocalDisk, "because".to_owned());
    EventKind::Decided { answer, reason, order: None, because: Some(because) }
}

fn refused(refusal: Refusal) -> EventKind {
    EventKind::FileRefused {
        transport: Transport::Http,
        name: "preseed.cfg".into(),
        why: "because".into(),
        refusal: Some(refusal),
        by_token: true,
    }
}

fn broken(breakage: Breakage) -> EventKind {
    EventKind::FileBroken {
        transport: Transport::Tftp,
        stage: Stage::Loader,
        name: "snponly.efi".into(),
        bytes: 1_428,
        why: "because".into(),
        breakage: Some(breakage),
        block_size: 1_428,
        retransmissions: 6,
        took_ms: 31_000,
    }
}

pub(super) const DOCUMENTS: [&str; 1] =
    [r#"{"kind":"Site","name":"loft","spec":{"subnets":[{"network":"10.4.0.0/24"}],"syslog":false}}"#];

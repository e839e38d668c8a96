//! Transfers that did not end: what the machine fetched last, and in vain.

use std::time::Duration;

use proto::event::{Breakage, EventKind, Transport};
use proto::plan::Stage;

use crate::diagnosis::case::Case;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::neighbour::Others;
use crate::diagnosis::stage::Step;
use crate::diagnosis::words::{length, size};

/// What every client takes without asking (RFC 1350); larger ones were granted.
const DEFAULT_BLOCK: u16 = 512;

/// A file that came to an end too early, and that was not fetched anew.
struct Broken<'a> {
    transport: Transport,
    stage: Stage,
    name: &'a str,
    bytes: u64,
    why: &'a str,
    breakage: Option<Breakage>,
    block_size: u16,
    retransmissions: u32,
    took: Duration,
}

/// It asked for its loader's size, and that was all.
pub(super) fn stopped_at_size_probe(case: &Case<'_>) -> Option<Finding> {
    if !case.is_silent() {
        return None;
    }
    let of_files = |kind: &&EventKind| {
        matches!(
            kind,
            EventKind::FileProbed { .. } | EventKind::FileServed { .. } | EventKind::FileBroken { .. }
        )
    };
    let EventKind::FileProbed { name, size: bytes, .. } = case.kinds().rev().find(of_files)? else {
        return None;
    };
    Some(Finding {
        cause: Cause::StoppedAtSizeProbe,
        stopped_at: format!("its ROM asked how large {name} is ({}) and never fetched it", size(*bytes)),
        expected: format!("a second request for {name}"),
        likely: "its firmware has no room for a loader of that size, or gives up after asking for a size (a fault of its own)".into(),
        remedy: "update its firmware, or name a smaller loader for it (snponly.efi and undionly.kpxe are the smallest of \
                 iPXE's)"
            .into(),
        certainty: Certainty::Likely,
        evidence: Vec::new(),
    })
}

/// The first large block never reached it.
pub(super) fn block_too_large(case: &Case<'_>) -> Option<Finding> {
    let broken = last_broken(case)?;
    let lost = broken.breakage == Some(Breakage::Silent) && broken.bytes == 0;
    if !lost || broken.transport != Transport::Tftp || broken.block_size <= DEFAULT_BLOCK {
        return None;
    }
    let Broken { name, block_size, retransmissions, .. } = broken;
    Some(Finding {
        cause: Cause::BlockTooLarge,
        stopped_at: format!(
            "its first block of {name} ({block_size} bytes) was sent {} times and never acknowledged, though smaller \
             packets came through",
            retransmissions + 1
        ),
        expected: "an acknowledgement of block 1".into(),
        likely: "the path to it carries no packets of that size: a tunnel, or an MTU that is too small".into(),
        remedy: "boot it again: for some minutes the agent sends it small blocks; then raise the MTU on the path to that \
                 of Ethernet (1500), or set a smaller one on the agent's interface"
            .into(),
        certainty: Certainty::Likely,
        evidence: Vec::new(),
    })
}

/// It got some of a file, and blocks were sent again until it fell silent.
pub(super) fn stuck_retransmitting(case: &Case<'_>) -> Option<Finding> {
    let broken = last_broken(case)?;
    let stuck = broken.breakage == Some(Breakage::Silent) && broken.retransmissions > 0;
    if !stuck || broken.transport != Transport::Tftp {
        return None;
    }
    let Broken { name, bytes, retransmissions, took, .. } = broken;
    Some(Finding {
        cause: Cause::StuckRetransmitting,
        stopped_at: format!(
            "it got {} of {name} in {} and fell silent while blocks were sent again {retransmissions} times",
            size(bytes),
            length(took)
        ),
        expected: "acknowledgements of the blocks that were sent".into(),
        likely: "packets are lost on the way to it, or it was turned off".into(),
        remedy: "look at the error counters of its switch port (cable, duplex), and at its screen".into(),
        certainty: Certainty::Possible,
        evidence: vec![Others::of(case).say_of(Step::Loader)],
    })
}

/// Any other end of a transfer before its end.
pub(super) fn transfer_broken(case: &Case<'_>) -> Option<Finding> {
    let broken = last_broken(case)?;
    let Broken { stage, name, bytes, why, breakage, .. } = broken;
    let (likely, remedy) = match breakage {
        Some(Breakage::MachineError) => (why.to_owned(), "its screen shows the error; look it up in its firmware's release notes"),
        Some(Breakage::NotHere) => {
            (why.to_owned(), "`bootlane image status` and the agent's log say why the agent could not give the file")
        }
        Some(Breakage::NeverAcknowledged) => {
            ("the agent's first packet does not come back to it: it goes out from a port of its own (RFC 1350 §4), which a \
              firewall or NAT may drop"
                .to_owned(), "let UDP pass from any port of the agent, or set `tftp_single_port: true` for the host")
        }
        Some(Breakage::TooLong) => (why.to_owned(), "let it load by HTTP: name iPXE as its loader"),
        Some(Breakage::AgentStopped) => ("the agent was stopped or started anew".to_owned(), "boot it again"),
        Some(Breakage::Stopped | Breakage::Silent) | None => {
            (format!("{why}: it was reset, or its link is bad"), "look at its screen and at its switch port")
        }
    };
    Some(Finding {
        cause: Cause::TransferBroken,
        stopped_at: format!("the transfer of its {} {name} broke off after {}", stage.word(), size(bytes)),
        expected: "the rest of the file".into(),
        likely,
        remedy: remedy.into(),
        certainty: Certainty::Likely,
        evidence: Vec::new(),
    })
}

/// The last transfer, if it broke off and nothing more was heard of the machine.
fn last_broken<'a>(case: &Case<'a>) -> Option<Broken<'a>> {
    if !case.is_silent() {
        return None;
    }
    let last = case.kinds().rev().find(|kind| {
        matches!(
            kind,
            EventKind::FileServed { .. } | EventKind::FileBroken { .. } | EventKind::Progress { .. }
        )
    })?;
    let EventKind::FileBroken {
        transport,
        stage,
        name,
        bytes,
        why,
        breakage,
        block_size,
        retransmissions,
        took_ms,
    } = last
    else {
        return None;
    };
    Some(Broken {
        transport: *transport,
        stage: *stage,
        name,
        bytes: *bytes,
        why,
        breakage: *breakage,
        block_size: *block_size,
        retransmissions: *retransmissions,
        took: Duration::from_millis(*took_ms),
    })
}

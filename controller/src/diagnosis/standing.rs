//! Does an attempt go on? A silence is judged against the present that the caller names.

use proto::Wall;

use super::context::Context;
use super::stage::{End, StageSpan, Step};
use crate::events::{BootSummary, Outcome};

/// Whether more is expected of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It was heard of late.
    UnderWay,
    /// It has ended: see its outcome.
    Ended,
    /// It has not ended, and nothing more will be heard of it.
    Silent,
}

impl Standing {
    /// The word in metrics and traces.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnderWay => "under-way",
            Self::Ended => "ended",
            Self::Silent => "silent",
        }
    }
}

pub(super) fn judge(boot: &BootSummary, stages: &[StageSpan], context: &Context) -> Standing {
    if boot.has_ended() {
        return Standing::Ended;
    }
    let superseded = context.next_began.is_some_and(|next| next > boot.began_ms);
    if superseded || context.now >= silent_from(boot, stages) {
        return match boot.outcome {
            // It has gone to its disk, and nobody hears of a system with a fixed address.
            Outcome::LocalDisk => Standing::Ended,
            Outcome::Running | Outcome::Installed | Outcome::Failed | Outcome::Up => Standing::Silent,
        };
    }
    Standing::UnderWay
}

pub(super) fn look_again(boot: &BootSummary, stages: &[StageSpan], standing: Standing) -> Option<Wall> {
    match standing {
        Standing::UnderWay => Some(silent_from(boot, stages)),
        Standing::Ended | Standing::Silent => None,
    }
}

/// When it is silent, if nothing more is heard of it. What broke off is tried again soon, or not at all.
pub(super) fn silent_from(boot: &BootSummary, stages: &[StageSpan]) -> Wall {
    let last = stages.last();
    let step = last.map_or(Step::RomAddress, |last| last.step);
    let patience = match last.map(|last| &last.end) {
        Some(End::Broken(_)) => step.patience().min(Step::Loader.patience()),
        Some(End::Open | End::Done | End::Silent) | None => step.patience(),
    };
    boot.last_ms.plus(patience)
}

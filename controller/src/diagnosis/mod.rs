//! Why a machine did not boot: a boot attempt's events become stages and findings (DESIGN §1, promise 3).
//!
//! Pure: no clock, no store, no socket. [`examine`] folds the events of one attempt into [`StageSpan`]s and runs the
//! [rules] over them and over what is known beside them ([`Context`]); [`expect`] says what there is to say of a machine
//! that was not heard at all. Each [`Finding`] says where it stopped, what was expected next, what is likely the cause and
//! what to do; the first is the answer. What an attempt's end is, the event store says ([`BootSummary`]).
//!
//! The present is an argument: what is silence now was none a minute ago, and [`Diagnosis::look_again`] says when it
//! will be.

mod case;
mod cause;
mod context;
mod finding;
mod given;
mod neighbour;
mod program;
mod rules;
mod stage;
mod stages;
mod standing;
mod words;

pub use cause::Cause;
pub use context::{
    AgentFacts, BootFacts, Context, Holder, HostFacts, LoaderFacts, OrderFacts, OrderState, Pool, Supply,
    SupplyState, Usual,
};
pub use finding::{Certainty, Finding};
pub use given::{Given, given};
pub use neighbour::{Neighbour, Rom};
pub use stage::{End, StageSpan, Step};
pub use standing::Standing;
pub use words::ago;

use proto::catalog::Family;
use proto::event::{Client, EventKind};
use proto::{OrderId, Platform, Wall};

use crate::events::{BootSummary, StoredEvent};
use case::Case;

/// What there is to say of one boot attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// In order of their beginnings.
    pub stages: Vec<StageSpan>,
    /// The machine's firmware; None: its architecture is not known.
    pub firmware: Option<Platform>,
    /// Which program spoke first; None: the attempt's beginning is not kept.
    pub rom: Option<Client>,
    /// What it was to boot, if anything but its disk.
    pub family: Option<Family>,
    /// Does it go on?
    pub standing: Standing,
    /// When silence will be silence, if nothing is heard until then; None: it is over, or silent already.
    pub look_again: Option<Wall>,
    /// What is wrong with it, the answer first; empty: nothing, as far as is known.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// The answer to "why did it not boot?".
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.findings.first().map(|finding| finding.cause)
    }

    /// The last stage that it was seen at.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        self.stages.last().map(|stage| stage.step)
    }
}

/// How far a boot attempt is: what its events alone tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Does it go on?
    pub standing: Standing,
    /// The last stage that was seen.
    pub step: Option<Step>,
    /// When its silence is one, if nothing more is heard of it.
    pub silent_from: Wall,
}

/// How far a boot attempt is. Of the context the present and the next attempt's beginning are asked.
#[must_use]
pub fn progress(boot: &BootSummary, events: &[StoredEvent], context: &Context) -> Progress {
    let stages = stages::fold(events);
    let standing = standing::judge(boot, &stages, context);
    let silent_from = standing::silent_from(boot, &stages);
    Progress { standing, step: stages.last().map(|last| last.step), silent_from }
}

/// The order that an attempt boots under: the last that its events name.
#[must_use]
pub fn order_of(events: &[StoredEvent]) -> Option<OrderId> {
    events.iter().rev().find_map(|event| {
        let (EventKind::OrderMoved { order, .. } | EventKind::Decided { order: Some(order), .. }) =
            &event.numbered.event.kind
        else {
            return None;
        };
        Some(*order)
    })
}

/// What became of a boot attempt, by its events in the order in which they were stored.
#[must_use]
pub fn examine(boot: &BootSummary, events: &[StoredEvent], context: &Context) -> Diagnosis {
    let mut stages = stages::fold(events);
    let standing = standing::judge(boot, &stages, context);
    stages::settle(&mut stages, standing);
    let findings = rules::of_attempt(&Case { boot, events, stages: &stages, standing, context });
    let (firmware, rom) = began(events);
    Diagnosis {
        firmware,
        rom,
        family: family(events, context),
        look_again: standing::look_again(boot, &stages, standing),
        stages,
        standing,
        findings,
    }
}

/// What is to be said of a machine that has not been heard since it was to boot.
#[must_use]
pub fn expect(context: &Context) -> Vec<Finding> {
    rules::of_silence(context)
}

/// Of what it was to boot: a profile that installs is booted under an order alone.
fn family(events: &[StoredEvent], context: &Context) -> Option<Family> {
    let boots = context.boots.as_ref()?;
    if boots.installs && order_of(events).is_none() {
        return None;
    }
    boots.family
}

fn began(events: &[StoredEvent]) -> (Option<Platform>, Option<Client>) {
    let began = events.iter().find_map(|event| {
        let EventKind::AttemptBegan { platform, client, .. } = &event.numbered.event.kind else {
            return None;
        };
        Some((*platform, Some(*client)))
    });
    began.unwrap_or_default()
}

#[cfg(test)]
mod tests;

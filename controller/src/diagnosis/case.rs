//! What a rule looks at.

use std::net::Ipv4Addr;

use proto::Platform;
use proto::event::{Client, Event, EventKind, OrderPhase};
use proto::plan::Stage;

use super::context::Context;
use super::stage::{End, StageSpan, Step};
use super::standing::Standing;
use crate::events::{BootSummary, StoredEvent};

/// One attempt.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) boot: &'a BootSummary,
    pub(super) events: &'a [StoredEvent],
    pub(super) stages: &'a [StageSpan],
    pub(super) standing: Standing,
    pub(super) context: &'a Context,
}

impl<'a> Case<'a> {
    /// Nothing more will be heard of it, and it had not ended.
    pub(super) fn is_silent(&self) -> bool {
        self.standing == Standing::Silent
    }

    /// The last stage that was seen.
    pub(super) fn last_step(&self) -> Option<Step> {
        self.stages.last().map(|stage| stage.step)
    }

    /// Was anything seen of a stage?
    pub(super) fn has(&self, step: Step) -> bool {
        self.stages.iter().any(|stage| stage.step == step)
    }

    /// Was anything heard of what runs after the hand-over?
    pub(super) fn is_awake(&self) -> bool {
        self.stages.iter().any(|stage| stage.step == Step::System && stage.end == End::Done)
    }

    /// Is it an installation, as far as is known?
    pub(super) fn may_install(&self) -> bool {
        self.context.boots.as_ref().is_none_or(|boots| boots.installs)
    }

    /// Has its order's installation begun?
    pub(super) fn has_started(&self) -> bool {
        self.kinds().any(|kind| matches!(kind, EventKind::OrderMoved { phase: OrderPhase::Started, .. }))
    }

    pub(super) fn kinds(&self) -> impl DoubleEndedIterator<Item = &'a EventKind> + use<'a> {
        self.events().map(|event| &event.kind)
    }

    pub(super) fn events(&self) -> impl DoubleEndedIterator<Item = &'a Event> + use<'a> {
        self.events.iter().map(|event| &event.numbered.event)
    }

    /// The address that one of these programs took last.
    pub(super) fn leased(&self, to: impl Fn(Client) -> bool) -> Option<Ipv4Addr> {
        self.kinds().rev().find_map(|kind| {
            let EventKind::Leased { address, client, .. } = kind else { return None };
            to(*client).then_some(*address)
        })
    }

    /// The last file of a stage that was sent in full.
    pub(super) fn served(&self, of: Stage) -> Option<&'a str> {
        self.kinds().rev().find_map(|kind| {
            let EventKind::FileServed { stage, name, .. } = kind else { return None };
            (*stage == of).then_some(name.as_str())
        })
    }

    /// What its firmware is.
    pub(super) fn platform(&self) -> Option<Platform> {
        self.kinds().find_map(|kind| {
            let EventKind::AttemptBegan { platform, .. } = kind else { return None };
            *platform
        })
    }

    /// The last that its installer said.
    pub(super) fn progress(&self) -> Option<String> {
        self.kinds().rev().find_map(|kind| {
            let EventKind::Progress { percent, text } = kind else { return None };
            let percent = percent.map(|percent| format!("{percent} %")).unwrap_or_default();
            Some(format!("{percent} {text}").trim().to_owned())
        })
    }
}

/// A ROM, as opposed to what it loads.
pub(super) const fn is_rom(client: Client) -> bool {
    match client {
        Client::PxeRom | Client::HttpRom | Client::Bootp => true,
        Client::Ipxe | Client::Gpxe | Client::Os => false,
    }
}

/// What a ROM loads, as opposed to a system.
pub(super) const fn is_loader(client: Client) -> bool {
    match client {
        Client::Ipxe | Client::Gpxe => true,
        Client::PxeRom | Client::HttpRom | Client::Bootp | Client::Os => false,
    }
}

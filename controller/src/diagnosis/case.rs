//! What a rule looks at.

use std::net::Ipv4Addr;

use proto::event::{Client, Event, EventKind};

use super::stage::{StageSpan, Step};
use super::standing::Standing;
use crate::events::StoredEvent;

/// One attempt.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) events: &'a [StoredEvent],
    pub(super) stages: &'a [StageSpan],
    pub(super) standing: Standing,
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
}

/// A ROM, as opposed to what it loads.
pub(super) const fn is_rom(client: Client) -> bool {
    match client {
        Client::PxeRom | Client::HttpRom | Client::Bootp => true,
        Client::Ipxe | Client::Gpxe | Client::Os => false,
    }
}

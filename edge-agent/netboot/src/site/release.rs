//! Addresses that operators free.
//!
//! The controller sends each release until it holds the answer, so each may come several times; it is obeyed once. The
//! answer is an event: as long as the controller may not hold it, the ledger does, and a restart knows of it again. An
//! address under which an installation runs is not freed: the installer would lose its place in the middle of it.

use std::collections::VecDeque;

use proto::{
    HostId, LeaseRelease, ReleaseId,
    event::{EventKind, OrderPhase},
};

use super::{About, Site};
use crate::{dhcp::Freed, time::Now};

/// Answers that are remembered: more than a controller would send again.
const REMEMBERED: usize = 1_000;

/// The releases that were answered of late.
#[derive(Debug, Default)]
pub(super) struct Answered(VecDeque<ReleaseId>);

impl Answered {
    /// An event of the journal.
    pub(super) fn restore(&mut self, kind: &EventKind) {
        if let EventKind::LeaseReleaseAnswered { release, .. } = kind {
            self.insert(*release);
        }
    }

    /// False if it was answered before.
    fn insert(&mut self, release: ReleaseId) -> bool {
        let new = !self.0.contains(&release);
        if new {
            self.0.truncate(REMEMBERED - 1);
            self.0.push_front(release);
        }
        new
    }
}

impl Site {
    pub(super) fn handle_release(&mut self, now: Now, release: LeaseRelease) {
        let LeaseRelease { id, address, mac } = release;
        if !self.answered.insert(id) {
            return;
        }
        let host = self.plan.as_ref().and_then(|plan| plan.host_of(mac)).map(|host| host.id);
        let refused = match self.installs(host) {
            true => Some("an installation runs under it".to_owned()),
            false => self.free(now, About { attempt: None, host, mac: Some(mac) }, release),
        };
        let about = About { attempt: None, host, mac: Some(mac) };
        self.report(now, about, EventKind::LeaseReleaseAnswered { release: id, address, refused });
    }

    /// Why it is not free now.
    fn free(&mut self, now: Now, about: About, release: LeaseRelease) -> Option<String> {
        match self.dhcp.free(release.address, release.mac) {
            Freed::Ended(effects) => {
                self.perform_about(now, about, effects);
                None
            }
            Freed::Unleased => None,
            Freed::AnothersLease(mac) => Some(format!("it is leased to {mac} meanwhile")),
        }
    }

    fn installs(&self, host: Option<HostId>) -> bool {
        let newest = host.and_then(|host| self.orders.newest_of(host));
        newest.is_some_and(|order| order.phase == OrderPhase::Started)
    }
}

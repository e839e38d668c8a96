//! Addresses that operators free.
//!
//! The controller sends each release until it holds the answer, so each may come several times; it is obeyed once. The
//! answer is an event: as long as the controller may not hold it, the ledger does, and a restart knows of it again. An
//! address under which an installation runs is not freed: the installer would lose its place in the middle of it. Nor is one
//! that its machine has given back and taken anew since it was to be freed, while the wish waited: that lease nobody meant.

use std::{
    collections::{BTreeMap, VecDeque},
    net::Ipv4Addr,
};

use proto::{
    HostId, LeaseRelease, Mac, ReleaseId, Wall,
    event::{Event, EventKind, OrderPhase},
};

use super::{About, Site};
use crate::{dhcp::Freed, time::Now};

/// Answers that are remembered: more than a controller would send again.
const REMEMBERED: usize = 1_000;

/// Addresses whose last end of a lease is remembered; the one that ended first gives way.
const ENDS: usize = 4_096;

/// The releases that were answered of late, and the leases that have ended.
#[derive(Debug, Default)]
pub(super) struct Releases {
    answered: VecDeque<ReleaseId>,
    ends: BTreeMap<Ipv4Addr, (Mac, Wall)>,
    /// Their addresses, the first to be forgotten first.
    order: VecDeque<Ipv4Addr>,
}

impl Releases {
    /// An event, as it is told or as the journal has it.
    pub(super) fn note(&mut self, event: &Event) {
        if let EventKind::LeaseReleaseAnswered { release, .. } = &event.kind {
            self.insert(*release);
        }
        if let (EventKind::LeaseEnded { address, .. }, Some(mac)) = (&event.kind, event.mac) {
            self.note_end(*address, mac, event.at);
        }
    }

    fn note_end(&mut self, address: Ipv4Addr, mac: Mac, at: Wall) {
        if self.ends.insert(address, (mac, at)).is_some() {
            return;
        }
        self.order.push_back(address);
        if self.order.len() > ENDS
            && let Some(first) = self.order.pop_front()
        {
            self.ends.remove(&first);
        }
    }

    /// False if it was answered before.
    fn insert(&mut self, release: ReleaseId) -> bool {
        let new = !self.answered.contains(&release);
        if new {
            self.answered.truncate(REMEMBERED - 1);
            self.answered.push_front(release);
        }
        new
    }

    /// Has the lease that was meant ended by itself since?
    fn is_over(&self, release: &LeaseRelease) -> bool {
        let end = self.ends.get(&release.address).filter(|(mac, _)| *mac == release.mac);
        end.zip(release.at).is_some_and(|((_, ended), wanted)| *ended > wanted)
    }
}

impl Site {
    pub(super) fn handle_release(&mut self, now: Now, release: LeaseRelease) {
        let LeaseRelease { id, address, mac, .. } = release;
        if !self.releases.insert(id) {
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
        let newer = self.dhcp.lease_of(release.address).is_some_and(|lease| lease.key.mac == release.mac);
        if newer && self.releases.is_over(&release) {
            return Some("its machine gave it back and took it anew meanwhile".into());
        }
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

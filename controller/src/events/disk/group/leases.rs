//! What events say of leases: one that stands for each address of a site, and those before it.
//!
//! In the batch of the events themselves, so that each counts once.

use std::net::Ipv4Addr;

use proto::Wall;
use proto::event::{Event, EventKind};

use super::Group;
use crate::events::key;
use crate::events::lease::{End, Ended, LeaseEntry};
use crate::events::store::{AppendError, Source};

/// By how many the leases of a site have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::events::disk) struct Count {
    pub(in crate::events::disk) standing: isize,
    pub(in crate::events::disk) ended: isize,
}

impl Group {
    pub(super) fn take_lease(&mut self, source: &Source, event: &Event) -> Result<(), AppendError> {
        if let EventKind::Leased { address, until, .. } | EventKind::LeaseRenewed { address, until } =
            event.kind
        {
            return self.goes_on(source, event, address, until);
        }
        if let EventKind::LeaseEnded { address, how } = event.kind
            && let Some(entry) = self.lease(&source.site, address)?
        {
            self.end_lease(entry, event.at, how.into());
        }
        Ok(())
    }

    fn goes_on(
        &mut self,
        source: &Source,
        event: &Event,
        address: Ipv4Addr,
        until: Wall,
    ) -> Result<(), AppendError> {
        let Some(mac) = event.mac else { return Ok(()) };
        let Source { site, agent } = source.clone();
        let former = self.lease(&site, address)?;
        let began_ms = match former {
            Some(same) if same.mac == mac => same.began_ms,
            Some(other) => {
                self.end_lease(other, event.at, End::Replaced);
                event.at
            }
            None => event.at,
        };
        let (host, until_ms, end) = (event.host, until, None);
        self.stands(&LeaseEntry { site, agent, address, mac, host, began_ms, until_ms, end });
        Ok(())
    }

    fn stands(&mut self, entry: &LeaseEntry) {
        let place = key::lease(&entry.site, entry.address);
        let new = !self.holds(&place);
        self.leases.entry(entry.site.clone()).or_default().standing += isize::from(new);
        self.changes.insert(key::machine_lease(entry), Some(Vec::new()));
        self.changes.insert(place, Some(json(entry)));
    }

    fn end_lease(&mut self, mut entry: LeaseEntry, at_ms: Wall, how: End) {
        entry.end = Some(Ended { at_ms, how });
        let place = key::former_lease(&entry.site, entry.address, entry.began_ms);
        let new = !self.holds(&place);
        let count = self.leases.entry(entry.site.clone()).or_default();
        count.standing -= 1;
        count.ended += isize::from(new);
        self.changes.insert(key::lease(&entry.site, entry.address), None);
        self.changes.insert(key::lease_end(&entry, at_ms), Some(Vec::new()));
        self.changes.insert(place, Some(json(&entry)));
    }

    /// One that cannot be read holds no event up: what comes takes its place.
    fn lease(&self, site: &str, address: Ipv4Addr) -> Result<Option<LeaseEntry>, AppendError> {
        let Some(json) = self.value(&key::lease(site, address))? else { return Ok(None) };
        let read = serde_json::from_slice(&json);
        let warn =
            |error: &_| tracing::warn!(site, %address, %error, "what was stored of a lease is unreadable");
        Ok(read.inspect_err(warn).ok())
    }

    /// A store that cannot be read fails at the write that follows.
    fn holds(&self, place: &[u8]) -> bool {
        matches!(self.value(place), Ok(Some(_)))
    }
}

fn json(entry: &LeaseEntry) -> Vec<u8> {
    serde_json::to_vec(entry).expect("plain fields")
}

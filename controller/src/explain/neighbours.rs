//! What the other machines of a site did of late.

use proto::{HostId, Mac};

use super::{FRESH, Inquiry, Unreadable};
use crate::diagnosis::Neighbour;
use crate::events::{BootFilter, BootSummary};

/// The latest attempts of a site that are looked through.
const SEARCHED: usize = 50;
/// Machines that are told of: reading one reads all its attempt's events.
const MACHINES: usize = 12;

/// A machine, by the id of its host if it is one, and what it did.
#[derive(Debug, Clone)]
pub(super) struct Known {
    host: Option<HostId>,
    mac: Option<Mac>,
    neighbour: Neighbour,
}

impl Known {
    fn is(&self, host: Option<HostId>, mac: Option<Mac>) -> bool {
        (host.is_some() && self.host == host) || (mac.is_some() && self.mac == mac)
    }
}

impl Inquiry {
    /// The machines of the site but this one, each by its latest attempt, the latest first.
    pub(super) async fn neighbours(
        &mut self,
        site: &str,
        host: Option<HostId>,
        mac: Option<Mac>,
    ) -> Result<Vec<Neighbour>, Unreadable> {
        if !self.read.neighbours.contains_key(site) {
            let known = self.machines(site).await?;
            self.read.neighbours.insert(site.to_owned(), known);
        }
        let all = self.read.neighbours.get(site).into_iter().flatten();
        Ok(all.filter(|known| !known.is(host, mac)).map(|known| known.neighbour.clone()).collect())
    }

    async fn machines(&self, site: &str) -> Result<Vec<Known>, Unreadable> {
        let filter = BootFilter { site: Some(site.to_owned()), limit: SEARCHED, ..BootFilter::default() };
        let mut latest: Vec<BootSummary> = Vec::new();
        for boot in self.app.events.boots(filter).await? {
            let is_seen = latest.iter().any(|seen| (seen.host, seen.mac) == (boot.host, boot.mac));
            if !is_seen && self.now.since(boot.last_ms) < FRESH && latest.len() < MACHINES {
                latest.push(boot);
            }
        }
        let histories = self.app.events.histories(latest.iter().map(|boot| boot.attempt).collect()).await;
        let mut known = Vec::new();
        for history in histories {
            let Some((boot, events)) = history? else { continue };
            let name = self.name(boot.host, boot.mac).await?;
            let neighbour = Neighbour::of(name, boot.last_ms, &events);
            known.push(Known { host: boot.host, mac: boot.mac, neighbour });
        }
        known.sort_by_key(|known| std::cmp::Reverse(known.neighbour.last));
        Ok(known)
    }

    /// A host's name, else its address.
    async fn name(&self, host: Option<HostId>, mac: Option<Mac>) -> Result<String, Unreadable> {
        let name = match host {
            Some(host) => self.app.catalog.host_name(host).await?,
            None => None,
        };
        let address = || mac.map_or_else(|| "a machine without an address".to_owned(), |mac| mac.to_string());
        Ok(name.unwrap_or_else(address))
    }
}

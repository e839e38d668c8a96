//! Who has an address, and what is left of a site's pools.

use std::net::Ipv4Addr;

use proto::event::{AlarmKind, EventKind};
use proto::plan::Subnet;

use super::{Inquiry, Unreadable};
use crate::diagnosis::{Context, Holder, Pool};
use crate::events::{BootSummary, StoredEvent};

/// Leases that are counted at a time, and how often: of a larger site nothing is said.
const PAGE: usize = 1_000;
const PAGES: usize = 20;

impl Inquiry {
    /// What there is to know of an attempt that was kept from its address.
    pub(super) async fn addresses(
        &mut self,
        boot: &BootSummary,
        events: &[StoredEvent],
        context: Context,
    ) -> Result<Context, Unreadable> {
        let holder = match alarmed(events, AlarmKind::AddressInUse).and_then(address_in) {
            Some(address) => self.holder(boot, address).await?,
            None => None,
        };
        let pools = match alarmed(events, AlarmKind::PoolEmpty) {
            Some(_) => self.pools(&boot.site).await?,
            None => Vec::new(),
        };
        Ok(Context { holder, pools, ..context })
    }

    /// Whose lease it is, if it is another machine's.
    async fn holder(&self, boot: &BootSummary, address: Ipv4Addr) -> Result<Option<Holder>, Unreadable> {
        let lease = self.app.events.lease(boot.site.clone(), address).await?;
        let Some(lease) = lease.filter(|lease| Some(lease.mac) != boot.mac) else { return Ok(None) };
        let host = match lease.host {
            Some(host) => self.app.catalog.host_name(host).await?,
            None => None,
        };
        let (mac, since, until) = (lease.mac, lease.began_ms, lease.until_ms);
        Ok(Some(Holder { address, host, mac, since, until }))
    }

    /// The pools of a site and their use; none where it has more leases than are counted.
    async fn pools(&mut self, site: &str) -> Result<Vec<Pool>, Unreadable> {
        let Some(plan) = self.plan(site) else { return Ok(Vec::new()) };
        let mut pools: Vec<_> = plan.network.subnets.iter().map(unused).collect();
        let mut place = Vec::new();
        for _ in 0..PAGES {
            let page = self.app.events.leases(Some(site.to_owned()), place, PAGE).await?;
            page.leases.iter().for_each(|lease| count(&mut pools, lease.address));
            match page.next {
                Some(next) => place = next,
                None => return Ok(pools),
            }
        }
        Ok(Vec::new())
    }
}

fn unused(subnet: &Subnet) -> Pool {
    let ranges = subnet.pools.iter().map(|range| (range.first(), range.last())).collect();
    let size = subnet.pools.iter().map(|range| range.count()).sum();
    Pool { subnet: subnet.network, ranges, size, leased: 0 }
}

fn count(pools: &mut [Pool], address: Ipv4Addr) {
    let has = |pool: &&mut Pool| pool.ranges.iter().any(|(first, last)| (*first..=*last).contains(&address));
    if let Some(pool) = pools.iter_mut().find(has) {
        pool.leased += 1;
    }
}

/// The last word of the agent about this.
fn alarmed(events: &[StoredEvent], of: AlarmKind) -> Option<&str> {
    events.iter().rev().find_map(|event| {
        let EventKind::Alarm { kind, detail } = &event.numbered.event.kind else { return None };
        (*kind == of).then_some(detail.as_str())
    })
}

/// The first address in an agent's words.
fn address_in(detail: &str) -> Option<Ipv4Addr> {
    detail.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_what_agents_say() {
        let found = |detail| address_in(detail).map(|address| address.to_string());
        let said = "the fixed address 10.1.0.9 of web-10 is leased to 02:00:00:00:00:77";
        assert_eq!(found(said).as_deref(), Some("10.1.0.9"));
        let declined = "02:00:00:00:00:77 declined 10.1.0.9: another machine uses it";
        assert_eq!(found(declined).as_deref(), Some("10.1.0.9"));
        assert_eq!(found("10.1.0.900 and 02:00:00:00:00:77"), None);
    }
}

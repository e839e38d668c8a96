//! How a site's addresses stand, for who keeps numbers: looked up when asked, and nothing is kept for it.

use ipnet::Ipv4Net;

use super::Site;
use crate::time::Mono;

/// How a site's addresses stand at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Of each subnet that has pools.
    pub pools: Vec<Pools>,
    /// Other DHCP servers that an operator should look at.
    pub foreign_servers: usize,
}

/// How the pools of a subnet stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pools {
    /// The subnet.
    pub network: Ipv4Net,
    /// How many addresses they have.
    pub addresses: u64,
    /// How many of them are leased, to whomever.
    pub leased: u64,
}

impl Site {
    /// As of `now`. Takes a step for each thousand addresses of pools.
    #[must_use]
    pub fn census(&self, now: Mono) -> Census {
        let Some(plan) = &self.plan else { return Census::default() };
        let pools = plan.network.subnets.iter().filter(|subnet| !subnet.pools.is_empty());
        let pools = pools.map(|subnet| {
            let (addresses, leased) = self.dhcp.use_of_pools(subnet);
            Pools { network: subnet.network, addresses, leased }
        });
        let foreign_servers = self.foreign_servers.at_fault(now, &plan.network);
        Census { pools: pools.collect(), foreign_servers }
    }
}

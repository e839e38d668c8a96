//! Which addresses of a subnet may be leased, and in which order they are tried.

use std::{collections::BTreeMap, net::Ipv4Addr};

use proto::{
    HostId, Mac, PlanId, Range,
    plan::{SitePlan, Subnet},
};

/// Addresses of one pool that are tried for one machine, at most: another machine begins elsewhere.
const SEARCH: u64 = 65_536;

/// The addresses of a subnet's pools, each once, from a place that follows from the machine: a machine that
/// comes back after its lease has ended finds its old address as long as that is free.
pub(super) fn candidates(subnet: &Subnet, mac: Mac) -> impl Iterator<Item = Ipv4Addr> {
    let count = size(subnet);
    let start = hash(mac).checked_rem(count).unwrap_or(0);
    (0..count.min(SEARCH)).filter_map(move |n| nth(&subnet.pools, (start + n) % count))
}

/// How many addresses the pools have.
pub(super) fn size(subnet: &Subnet) -> u64 {
    subnet.pools.iter().map(|range| range.count()).sum()
}

/// Is the address in one of the pools?
pub(super) fn contains(subnet: &Subnet, address: Ipv4Addr) -> bool {
    subnet.pools.iter().any(|range| range.contains(address))
}

/// Can the address be a machine's at all: on the subnet, and neither the network's nor the broadcast address?
pub(super) fn is_station(subnet: &Subnet, address: Ipv4Addr) -> bool {
    let network = subnet.network;
    let outer = address == network.network() || address == network.broadcast();
    network.contains(&address) && (!outer || network.prefix_len() >= 31)
}

/// Does the subnet itself name the address as somebody's?
pub(super) fn is_infrastructure(subnet: &Subnet, address: Ipv4Addr) -> bool {
    subnet.router == Some(address) || subnet.dns.contains(&address) || subnet.ntp.contains(&address)
}

fn nth(pools: &[Range], mut n: u64) -> Option<Ipv4Addr> {
    for range in pools {
        if n < range.count() {
            return Some(Ipv4Addr::from_bits(range.first().to_bits() + u32::try_from(n).ok()?));
        }
        n -= range.count();
    }
    None
}

/// FNV-1a; the pool is probed by address afterwards, so nothing is won by finding collisions.
fn hash(mac: Mac) -> u64 {
    mac.0
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Whose fixed address an address is, for one plan.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    plan: Option<PlanId>,
    by_address: BTreeMap<Ipv4Addr, HostId>,
}

impl Reservations {
    /// Follows the plan; cheap when it has not changed. True if it has.
    pub(super) fn follow(&mut self, plan: &SitePlan) -> bool {
        if self.plan == Some(plan.id) {
            return false;
        }
        let fixed = plan.hosts.values().filter_map(|host| Some((host.address?, host.id)));
        self.by_address = fixed.collect();
        self.plan = Some(plan.id);
        true
    }

    /// Is the address kept for a host?
    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        self.by_address.contains_key(&address)
    }

    /// Is the address kept for a host other than this one?
    pub(super) fn is_for_another(&self, address: Ipv4Addr, host: Option<HostId>) -> bool {
        self.by_address.get(&address).is_some_and(|owner| Some(*owner) != host)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;

    fn subnet(network: &str, pools: &[&str]) -> Subnet {
        Subnet {
            network: network.parse().expect("a network"),
            pools: pools.iter().map(|range| range.parse().expect("a range")).collect(),
            router: None,
            dns: Vec::new(),
            ntp: Vec::new(),
            domain: None,
            lease: Duration::from_secs(3600),
            shared: None,
        }
    }

    #[test]
    fn every_address_of_every_pool_comes_once() {
        let subnet = subnet("10.1.0.0/24", &["10.1.0.10-10.1.0.14", "10.1.0.200-10.1.0.202"]);
        for last in 0..9 {
            let tried: Vec<_> = candidates(&subnet, Mac([2, 0, 0, 0, 0, last])).collect();
            assert_eq!((tried.len(), tried.iter().collect::<BTreeSet<_>>().len()), (8, 8));
            assert!(tried.iter().all(|address| contains(&subnet, *address)));
        }
        assert_eq!(candidates(&self::subnet("10.1.0.0/24", &[]), Mac([2; 6])).count(), 0);
    }

    #[test]
    fn the_ends_of_a_subnet_are_nobodys() {
        let wide = subnet("10.1.0.0/24", &[]);
        assert!(!is_station(&wide, [10, 1, 0, 0].into()) && !is_station(&wide, [10, 1, 0, 255].into()));
        assert!(is_station(&wide, [10, 1, 0, 1].into()) && !is_station(&wide, [10, 1, 1, 1].into()));
        assert!(is_station(&subnet("10.1.0.0/31", &[]), [10, 1, 0, 0].into()), "RFC 3021");
    }
}

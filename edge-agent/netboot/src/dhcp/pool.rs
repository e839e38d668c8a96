//! Which addresses of a subnet may be leased, and in which order they are tried.

use std::{collections::BTreeMap, net::Ipv4Addr};

use proto::{
    HostId, Mac, PlanId, Range,
    plan::{SitePlan, Subnet},
};

use super::lease::Leases;

/// Unleased addresses of a subnet that are tried for one machine, at most.
const SEARCH: usize = 65_536;

/// The addresses of a subnet's pools that nobody has leased, each once, from a place that follows from the machine: a machine
/// that comes back after its lease has ended finds its old address as long as that is free.
pub(super) fn candidates<'a>(
    subnet: &'a Subnet,
    mac: Mac,
    leases: &'a Leases,
) -> impl Iterator<Item = Ipv4Addr> {
    stretches(&subnet.pools, hash(mac)).flat_map(|stretch| unleased(stretch, leases)).take(SEARCH)
}

/// The pools as stretches that begin at the nth address, and end before it.
fn stretches(pools: &[Range], n: u64) -> impl Iterator<Item = Range> {
    let size: u64 = pools.iter().map(|range| range.count()).sum();
    let mut before = n.checked_rem(size).unwrap_or(0);
    let within = pools.iter().position(|range| {
        let within = before < range.count();
        before -= if within { 0 } else { range.count() };
        within
    });
    let within = within.unwrap_or(0);
    let cut = pools.get(within).and_then(|range| cut(*range, before));
    let (head, tail) = cut.map_or((None, None), |(head, tail)| (head, Some(tail)));
    let others = pools.iter().cycle().skip(within + 1).take(pools.len().saturating_sub(1)).copied();
    tail.into_iter().chain(others).chain(head)
}

/// A range before its nth address, and from there on.
fn cut(range: Range, n: u64) -> Option<(Option<Range>, Range)> {
    let from = range.first().to_bits().checked_add(u32::try_from(n).ok()?)?;
    let head = from.checked_sub(1).and_then(|last| Range::new(range.first(), last.into()));
    Some((head, Range::new(from.into(), range.last())?))
}

/// The addresses of a range that nobody has leased, in order.
pub(super) fn unleased(stretch: Range, leases: &Leases) -> impl Iterator<Item = Ipv4Addr> {
    let from = move |first| leases.first_unleased(first, stretch.last());
    std::iter::successors(from(stretch.first()), move |found| from(found.to_bits().checked_add(1)?.into()))
}

/// How many addresses the pools have.
pub(super) fn size(subnet: &Subnet) -> u64 {
    subnet.pools.iter().map(|range| range.count()).sum()
}

/// Why the pools of a link can have no address for a machine; the same words as long as the plan is the same.
pub(super) fn in_words<'a>(subnets: impl Iterator<Item = &'a Subnet>) -> String {
    let ranges: Vec<_> = subnets.flat_map(|subnet| &subnet.pools).collect();
    let [first, ..] = ranges.as_slice() else { return "it has no pool".to_owned() };
    let size: u64 = ranges.iter().map(|range| range.count()).sum();
    let ranges = match ranges.len() {
        1 => format!("pool {} to {}", first.first(), first.last()),
        count => format!("{count} pools, the first {} to {},", first.first(), first.last()),
    };
    format!("all {size} addresses of its {ranges} are leased, offered, kept for hosts or found in use")
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

/// Can the address be leased to a machine at all, where `server` is ours?
pub(super) fn is_leasable(subnet: &Subnet, server: Ipv4Addr, address: Ipv4Addr) -> bool {
    is_station(subnet, address) && address != server && !is_infrastructure(subnet, address)
}

/// The few addresses on the subnet that are never leased, in its pools or not.
pub(super) fn unleasable(subnet: &Subnet, server: Ipv4Addr) -> impl Iterator<Item = Ipv4Addr> {
    let outer = [subnet.network.network(), subnet.network.broadcast(), server];
    let named = subnet.router.into_iter().chain(subnet.dns.iter().copied()).chain(subnet.ntp.iter().copied());
    outer.into_iter().chain(named).filter(move |address| !is_leasable(subnet, server, *address))
}

/// Does the subnet itself name the address as somebody's?
fn is_infrastructure(subnet: &Subnet, address: Ipv4Addr) -> bool {
    subnet.router == Some(address) || subnet.dns.contains(&address) || subnet.ntp.contains(&address)
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

    use proto::{
        Wall,
        ledger::{Lease, LeaseKey},
    };

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

    fn lease(address: Ipv4Addr) -> Lease {
        let [.., last] = address.octets();
        let key =
            LeaseKey { mac: Mac([2, 9, 0, 0, 0, last]), network: "10.1.0.0/24".parse().expect("a network") };
        Lease { key, address, until: Wall(9) }
    }

    #[test]
    fn every_address_of_every_pool_comes_once() {
        let subnet = subnet("10.1.0.0/24", &["10.1.0.10-10.1.0.14", "10.1.0.200-10.1.0.202"]);
        let mut leases = Leases::default();
        let mut firsts = BTreeSet::new();
        for last in 0..99 {
            let tried: Vec<_> = candidates(&subnet, Mac([2, 0, 0, 0, 0, last]), &leases).collect();
            assert_eq!((tried.len(), tried.iter().collect::<BTreeSet<_>>().len()), (8, 8));
            assert!(tried.iter().all(|address| contains(&subnet, *address)));
            firsts.insert(tried[0]);
        }
        assert_eq!(firsts.len(), 8, "machines begin everywhere");
        let none = self::subnet("10.1.0.0/24", &[]);
        assert_eq!(candidates(&none, Mac([2; 6]), &leases).count(), 0);
        for (left, address) in (0..8).rev().zip(firsts) {
            leases.insert(lease(address));
            assert_eq!(candidates(&subnet, Mac([2; 6]), &leases).count(), left);
        }
    }

    #[test]
    fn the_ends_of_a_subnet_are_nobodys() {
        let wide = subnet("10.1.0.0/24", &[]);
        assert!(!is_station(&wide, [10, 1, 0, 0].into()) && !is_station(&wide, [10, 1, 0, 255].into()));
        assert!(is_station(&wide, [10, 1, 0, 1].into()) && !is_station(&wide, [10, 1, 1, 1].into()));
        assert!(is_station(&subnet("10.1.0.0/31", &[]), [10, 1, 0, 0].into()), "RFC 3021");
    }
}

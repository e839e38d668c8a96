//! A site's network and its subnets.

use std::{net::Ipv4Addr, time::Duration};

use super::super::{DhcpMode, Loader, Network, ReplySettings, Subnet, UnknownMachines, Wan};
use super::reply;
use crate::{
    Platform, Range, v1,
    wire::{WireError, address_bits, optional_address, required},
};

impl From<&Network> for v1::Network {
    fn from(network: &Network) -> Self {
        Self {
            dhcp: network.dhcp.into(),
            subnets: network.subnets.iter().map(Into::into).collect(),
            unknown: network.unknown.into(),
            loaders: network
                .loaders
                .iter()
                .map(|(platform, loader)| wire_loader(*platform, loader))
                .collect(),
            cache_bytes: network.cache_bytes.unwrap_or(0),
            decline_ipv6: network.decline_ipv6,
            tftp_single_port: network.tftp_single_port,
            reply: reply(&network.reply),
            known_dhcp_servers: network.known_dhcp_servers.iter().map(|server| server.to_bits()).collect(),
            watch_dhcp: network.watch_dhcp,
            syslog: network.syslog,
            // Nothing for no limit: a plan that says no more than before has the digest that it had.
            wan: (network.wan != Wan::default()).then(|| (&network.wan).into()),
            blob_sources: network.blob_sources.iter().map(ToString::to_string).collect(),
            peers: network.peers.iter().map(Into::into).collect(),
        }
    }
}

fn wire_loader(platform: Platform, loader: &Loader) -> v1::Loader {
    v1::Loader { platform: platform.into(), name: loader.name.clone(), blob: Some(loader.blob.into()) }
}

impl TryFrom<v1::Network> for Network {
    type Error = WireError;

    fn try_from(message: v1::Network) -> Result<Self, WireError> {
        let loader = |loader: v1::Loader| {
            // A platform that is not known here asks for nothing here either.
            let Ok(platform) = Platform::from_wire("loaders.platform", loader.platform) else {
                return Ok(None);
            };
            let blob = required("loaders.blob", loader.blob)?.try_into()?;
            Ok(Some((platform, Loader { name: loader.name, blob })))
        };
        let subnets: Vec<_> = message.subnets.into_iter().map(Subnet::try_from).collect::<Result<_, _>>()?;
        check_subnets(&subnets)?;
        Ok(Self {
            dhcp: DhcpMode::from_wire("dhcp", message.dhcp)?,
            subnets,
            unknown: UnknownMachines::from_wire("unknown", message.unknown)?,
            loaders: message
                .loaders
                .into_iter()
                .filter_map(|l| loader(l).transpose())
                .collect::<Result<_, WireError>>()?,
            cache_bytes: (message.cache_bytes != 0).then_some(message.cache_bytes),
            decline_ipv6: message.decline_ipv6,
            tftp_single_port: message.tftp_single_port,
            reply: ReplySettings::from_wire(message.reply),
            known_dhcp_servers: message.known_dhcp_servers.into_iter().map(Ipv4Addr::from_bits).collect(),
            watch_dhcp: message.watch_dhcp,
            syslog: message.syslog,
            wan: message.wan.map(Into::into).unwrap_or_default(),
            blob_sources: message.blob_sources.iter().filter_map(|url| url.parse().ok()).collect(),
            peers: message.peers.into_iter().map(Into::into).collect(),
        })
    }
}

/// Subnets of one site: every message is looked up among them.
const SUBNETS: usize = 1_024;

/// What the catalog promises of subnets and DHCP relies on, said again where a plan is taken in.
fn check_subnets(subnets: &[Subnet]) -> Result<(), WireError> {
    let bad = |problem: String| Err(WireError::new("subnets", problem));
    if subnets.len() > SUBNETS {
        return bad(format!("are {}, expected at most {SUBNETS}", subnets.len()));
    }
    let mut sorted: Vec<_> = subnets.iter().collect();
    sorted.sort_by_key(|subnet| subnet.network);
    for pair in sorted.windows(2) {
        if pair[0].network.contains(&pair[1].network.network()) {
            return bad(format!("{} overlaps with {}", pair[0].network, pair[1].network));
        }
    }
    for Subnet { network, pools, .. } in subnets {
        if *network != network.trunc() {
            return bad(format!("{network} has host bits set"));
        }
        let mut pools = pools.clone();
        pools.sort();
        if let Some(pool) =
            pools.iter().find(|p| !network.contains(&p.first()) || !network.contains(&p.last()))
        {
            return bad(format!("pool {pool} is not within {network}"));
        }
        if let Some(pair) = pools.windows(2).find(|pair| pair[0].overlaps(pair[1])) {
            return bad(format!("pool {} overlaps with {}", pair[0], pair[1]));
        }
    }
    Ok(())
}

impl From<&Subnet> for v1::Subnet {
    fn from(subnet: &Subnet) -> Self {
        let range =
            |range: &Range| v1::AddressRange { first: range.first().to_bits(), last: range.last().to_bits() };
        Self {
            network: subnet.network.to_string(),
            pools: subnet.pools.iter().map(range).collect(),
            router: address_bits(subnet.router),
            dns: subnet.dns.iter().map(|address| address.to_bits()).collect(),
            ntp: subnet.ntp.iter().map(|address| address.to_bits()).collect(),
            domain: subnet.domain.clone().unwrap_or_default(),
            lease_seconds: u32::try_from(subnet.lease.as_secs()).unwrap_or(u32::MAX),
            shared: subnet.shared.clone().unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Subnet> for Subnet {
    type Error = WireError;

    fn try_from(message: v1::Subnet) -> Result<Self, WireError> {
        let bad = |field: &str, problem: &str| WireError::new(format!("subnets.{field}"), problem);
        let range = |range: v1::AddressRange| {
            Range::new(range.first.into(), range.last.into())
                .ok_or_else(|| bad("pools", "ends before it begins"))
        };
        if message.lease_seconds == 0 {
            return Err(bad("lease_seconds", "is missing"));
        }
        Ok(Self {
            network: message.network.parse().map_err(|_| bad("network", "is no network in CIDR notation"))?,
            pools: message.pools.into_iter().map(range).collect::<Result<_, _>>()?,
            router: optional_address(message.router),
            dns: message.dns.into_iter().map(Into::into).collect(),
            ntp: message.ntp.into_iter().map(Into::into).collect(),
            domain: (!message.domain.is_empty()).then_some(message.domain),
            lease: Duration::from_secs(message.lease_seconds.into()),
            shared: (!message.shared.is_empty()).then_some(message.shared),
        })
    }
}

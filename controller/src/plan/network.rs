//! How a site's machines are addressed, and the loaders that they are given.

use std::collections::BTreeMap;

use proto::catalog::{Dhcp, Family, ImageSpec, SiteSpec, SubnetSpec, Unknown};
use proto::plan::{BlobRef, DhcpMode, Loader, Network, Subnet, UnknownMachines};

use super::Mistake;
use super::boot::base_name;

/// The network part of a plan. `image` is the one that the site names, if there is one of that name.
pub(super) fn network(site: &SiteSpec, image: Option<&ImageSpec>) -> (Network, Vec<Mistake>) {
    let (loaders, mistakes) = loaders(site.loaders.as_deref(), image);
    let network = Network {
        dhcp: match site.dhcp {
            Dhcp::Authoritative => DhcpMode::Authoritative,
            Dhcp::Proxy => DhcpMode::Proxy,
            Dhcp::Off => DhcpMode::Off,
        },
        subnets: site.subnets.iter().map(subnet).collect(),
        unknown: match site.unknown {
            Unknown::Ignore => UnknownMachines::Ignore,
            Unknown::Lease => UnknownMachines::Lease,
        },
        loaders,
        cache_bytes: site.cache.map(|size| size.0),
        decline_ipv6: site.decline_ipv6,
        tftp_single_port: site.tftp_single_port,
    };
    (network, mistakes)
}

type Loaders = BTreeMap<proto::Platform, Loader>;

fn loaders(name: Option<&str>, image: Option<&ImageSpec>) -> (Loaders, Vec<Mistake>) {
    let Some(name) = name else { return (Loaders::new(), vec![]) };
    let none = |message: String| (Loaders::new(), vec![Mistake::new("spec.loaders", message)]);
    match image {
        None => none(format!("there is no image {name:?}")),
        Some(image) if image.family != Family::Loaders => {
            none(format!("image {name:?} is of family {}, expected loaders", image.family.word()))
        }
        Some(image) => {
            let loader = |(platform, path): (&proto::Platform, &String)| {
                let file = image.file(path)?;
                let blob = BlobRef { digest: file.sha256, size: file.size };
                Some((*platform, Loader { name: base_name(path), blob }))
            };
            (image.loaders.iter().filter_map(loader).collect(), vec![])
        }
    }
}

fn subnet(subnet: &SubnetSpec) -> Subnet {
    Subnet {
        network: subnet.network,
        pools: subnet.pools.clone(),
        router: subnet.router,
        dns: subnet.dns.clone(),
        ntp: subnet.ntp.clone(),
        domain: subnet.domain.clone(),
        lease: subnet.lease.into(),
    }
}

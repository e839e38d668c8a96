//! How a site's machines are addressed, and the loaders that they are given.

use std::collections::BTreeMap;

use proto::Program;
use proto::catalog::{Dhcp, DhcpOptions, ImageSpec, SiteSpec, SubnetSpec, Unknown, encode_options};
use proto::plan::{BlobRef, DhcpMode, Loader, Network, ReplyForm, ReplySettings, Subnet, UnknownMachines};

use super::boot::base_name;
use super::{Local, supply};

/// The network part of a plan. `image` is the one with the site's own loaders; the agents of `local` share the WAN.
pub(super) fn network(site: &SiteSpec, image: Option<&ImageSpec>, local: &Local) -> Network {
    let (agents, peers) = (supply::agents(local), supply::peers(local, site));
    Network {
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
        loaders: image.map(loaders).unwrap_or_default(),
        cache_bytes: site.cache.map(|size| size.0),
        decline_ipv6: site.decline_ipv6,
        tftp_single_port: site.tftp_single_port,
        reply: reply(&site.options, site.response_delay, site.reply_form),
        known_dhcp_servers: site.known_dhcp_servers.clone(),
        watch_dhcp: site.watch_dhcp,
        syslog: site.syslog,
        wan: site.wan.as_ref().map(|wan| wan.planned(site.timezone.as_ref(), agents)).unwrap_or_default(),
        blob_sources: site.blob_sources.clone(),
        peers,
    }
}

/// For agents that know no sets of loaders: iPXE, which needs nothing beside it.
fn loaders(image: &ImageSpec) -> BTreeMap<proto::Platform, Loader> {
    let loader = |(platform, path): (&proto::Platform, &String)| {
        let file = image.file(path)?;
        let blob = BlobRef { digest: file.sha256, size: file.size };
        Some((*platform, Loader { name: base_name(path), blob }))
    };
    let known = image.loaders.iter().filter(|(platform, _)| platform.is_known_to_all());
    match image.program.unwrap_or_default() {
        Program::Ipxe => known.filter_map(loader).collect(),
        Program::Pxelinux | Program::Lpxelinux | Program::Grub => BTreeMap::new(),
    }
}

fn subnet(subnet: &SubnetSpec) -> Subnet {
    Subnet {
        network: subnet.network,
        pools: subnet.leasable(),
        router: subnet.router,
        dns: subnet.dns.clone(),
        ntp: subnet.ntp.clone(),
        domain: subnet.domain.clone(),
        lease: subnet.lease.into(),
        shared: subnet.shared.clone(),
    }
}

/// How DHCP replies differ from the usual, for a site or a host.
pub(super) fn reply(
    options: &DhcpOptions,
    delay: Option<proto::Span>,
    form: Option<ReplyForm>,
) -> ReplySettings {
    ReplySettings {
        options: encode_options(options),
        delay: delay.map(Into::into),
        form,
        ..ReplySettings::default()
    }
}

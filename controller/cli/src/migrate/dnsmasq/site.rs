//! The site that ranges and options make together.

use std::net::Ipv4Addr;

use proto::Range;
use proto::catalog::{Dhcp, HostSpec, Resource, SiteSpec, SubnetSpec, Unknown, encode_options};
use serde_json::json;

use super::option::DhcpOption;
use super::range::{DhcpRange, Mode};
use crate::migrate::{Fate, Place};

/// A host and the tags that dnsmasq puts on it.
pub(super) struct Tagged {
    pub(super) place: Place,
    pub(super) host: Resource<HostSpec>,
    pub(super) tags: Vec<String>,
}

/// A subnet and the tags that its ranges put on machines.
struct Tags {
    subnet: SubnetSpec,
    tags: Vec<String>,
    place: Place,
}

/// What is known of the site.
pub(super) struct Network {
    subnets: Vec<Tags>,
    site: SiteSpec,
    /// Some range gives addresses to any machine.
    is_open: bool,
    ignores_unknown: bool,
    /// Options that dnsmasq is to leave out.
    left_out: Vec<u8>,
}

impl Default for Network {
    fn default() -> Self {
        let site = serde_json::from_value(json!({"subnets": []})).expect("what a site must have is there");
        Self { subnets: Vec::new(), site, is_open: false, ignores_unknown: false, left_out: Vec::new() }
    }
}

impl Network {
    /// Where the first subnet stands.
    pub(super) fn first(&self) -> Place {
        let place = self.subnets.first().map(|subnet| subnet.place.clone());
        place.unwrap_or_else(|| Place { file: "".into(), line: 0 })
    }

    /// The site; None: no subnet is known.
    pub(super) fn site(&mut self, name: &str) -> Option<Resource<SiteSpec>> {
        let mut spec = self.site.clone();
        spec.subnets = self.subnets.drain(..).map(|tags| tags.subnet).collect();
        for subnet in &mut spec.subnets {
            subnet.pools.sort_by_key(|pool| pool.first());
        }
        let answers_all = self.is_open && !self.ignores_unknown && spec.dhcp == Dhcp::Authoritative;
        spec.unknown = if answers_all { Unknown::Lease } else { Unknown::Ignore };
        (!spec.subnets.is_empty()).then(|| Resource::new(name, spec))
    }

    /// The routers of the subnets.
    pub(super) fn routers(&self) -> Vec<Ipv4Addr> {
        self.subnets.iter().filter_map(|tags| tags.subnet.router).collect()
    }

    /// What no line names, and dnsmasq therefore names itself.
    pub(super) fn unnamed(&self) -> Vec<String> {
        let is_ours = self.site.dhcp == Dhcp::Authoritative;
        let step = |subnet: &SubnetSpec, code, field, is_unnamed: bool| {
            let says = is_unnamed && is_ours && !self.left_out.contains(&code);
            let network = subnet.network;
            says.then(|| {
                format!(
                    "no line names `{field}` of {network}, where dnsmasq names itself: set it in site.yaml"
                )
            })
        };
        let steps = self.subnets.iter().flat_map(|Tags { subnet, .. }| {
            [
                step(subnet, 3, "router", subnet.router.is_none()),
                step(subnet, 6, "dns", subnet.dns.is_empty()),
            ]
        });
        steps.flatten().collect()
    }

    /// Can a host have this address?
    ///
    /// # Errors
    /// Why not.
    pub(super) fn can_hold(&self, address: Ipv4Addr) -> Result<(), String> {
        let subnets = self.subnets.iter().map(|tags| tags.subnet.network);
        match subnets.into_iter().find(|network| network.contains(&address)) {
            None => Err(format!("{address} is in no subnet that a `dhcp-range` names")),
            Some(network) if [network.network(), network.broadcast()].contains(&address) => {
                Err(format!("{address} is the network's or broadcast address of {network}"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Takes a range.
    pub(super) fn add(&mut self, place: &Place, range: DhcpRange) -> Fate {
        let mut said = vec![format!("subnet {}", range.network)];
        if range.is_assumed {
            said.push("the line has no netmask, so look at it".into());
        }
        let overlaps = self.subnets.iter().map(|tags| tags.subnet.network).find(|network| {
            *network != range.network
                && (network.contains(&range.network.network()) || range.network.contains(&network.network()))
        });
        if let Some(other) = overlaps {
            let why = format!("its network {} overlaps with {other} of an earlier range", range.network);
            return Fate::left(why, "write the same netmask to both");
        }
        let at = self.subnet(place, &range);
        self.pool(at, &range, &mut said);
        Fate::carried(said.join("; "))
    }

    fn subnet(&mut self, place: &Place, range: &DhcpRange) -> usize {
        let known = self.subnets.iter().position(|tags| tags.subnet.network == range.network);
        let at = known.unwrap_or_else(|| {
            let subnet = serde_json::from_value(json!({"network": range.network}));
            let subnet = subnet.expect("what a subnet must have is there");
            self.subnets.push(Tags { subnet, tags: Vec::new(), place: place.clone() });
            self.subnets.len() - 1
        });
        let found = &mut self.subnets[at];
        found.tags.extend(range.set.clone());
        if let Some(lease) = range.lease {
            found.subnet.lease = lease;
        }
        at
    }

    fn pool(&mut self, at: usize, range: &DhcpRange, said: &mut Vec<String>) {
        let subnet = &mut self.subnets[at].subnet;
        match range.mode {
            Mode::Static => said.push("hosts with fixed addresses alone".into()),
            Mode::Proxy => {
                self.site.dhcp = Dhcp::Proxy;
                said.push("beside another DHCP server (`dhcp: proxy`)".into());
            }
            Mode::Pool(_) if !range.asked.is_empty() => {
                let tags = range.asked.join(", ");
                said.push(format!("without its pool, which is for machines with the tag {tags} alone"));
            }
            Mode::Pool(pool) if subnet.pools.iter().any(|known| known.overlaps(pool)) => {
                said.push("without its pool, which overlaps with that of an earlier range".into());
            }
            Mode::Pool(pool) => {
                self.is_open = true;
                // The network's own address and its broadcast address are no machine's.
                let ends = [subnet.network.network(), subnet.network.broadcast()];
                let usable = ends.into_iter().fold(vec![pool], without);
                said.push(format!("pool {}", listed(&usable)));
                subnet.pools.extend(usable);
            }
        }
    }

    /// Takes an option: what a subnet or the site has a field for goes there.
    pub(super) fn option(&mut self, option: &DhcpOption, hosts: &mut [Tagged]) -> Fate {
        if option.values.is_empty() {
            self.left_out.push(option.code);
            return Fate::carried("what is not declared is not sent");
        }
        let is_asked = |tags: &[String]| option.asked.iter().all(|tag| tags.contains(tag));
        if option.asked.is_empty() || self.subnets.iter().any(|subnet| is_asked(&subnet.tags)) {
            return self.subnet_option(option);
        }
        let mut names = Vec::new();
        for Tagged { host, .. } in hosts.iter_mut().filter(|host| is_asked(&host.tags)) {
            match value(option) {
                Ok((key, value)) => host.spec.options.insert(key, value),
                Err(why) => return Fate::left(why, "see whether a machine needs it"),
            };
            names.push(host.name.clone());
        }
        match names.is_empty() {
            true => Fate::left(
                format!("no subnet and no host has the tag {}", option.asked.join(", ")),
                "declare it in `options` of the hosts that it was for",
            ),
            false => Fate::carried(format!("`options` of Host {}", names.join(", "))),
        }
    }

    fn subnet_option(&mut self, option: &DhcpOption) -> Fate {
        let is_asked = |tags: &Tags| option.asked.iter().all(|tag| tags.tags.contains(tag));
        let subnets = self.subnets.iter_mut().filter(|tags| is_asked(tags)).map(|tags| &mut tags.subnet);
        let addresses = option.addresses();
        match (option.code, addresses) {
            (3, Some(routers)) => return router(subnets.collect(), &routers),
            (6, Some(servers)) => subnets.for_each(|subnet| subnet.dns.clone_from(&servers)),
            (42, Some(servers)) => subnets.for_each(|subnet| subnet.ntp.clone_from(&servers)),
            (15, _) => return domain(subnets.collect(), &option.values.join(",")),
            _ if !option.asked.is_empty() => {
                let why = "a subnet has router, name servers, time servers and domain alone";
                return Fate::left(why, "declare it in `options` of the site, or of the hosts that need it");
            }
            _ => return self.site_option(option),
        }
        Fate::carried(match option.code {
            6 => "`dns` of the subnets that it is for",
            _ => "`ntp` of the subnets that it is for",
        })
    }

    fn site_option(&mut self, option: &DhcpOption) -> Fate {
        match value(option) {
            Ok((key, value)) => {
                let to = format!("`options` of the site: {key}");
                self.site.options.insert(key, value);
                Fate::carried(to)
            }
            Err(why) => Fate::left(why, "see whether a machine needs it"),
        }
    }

    /// `domain=NAME`, or for a network alone.
    pub(super) fn domain(&mut self, fields: &[String]) -> Fate {
        match fields {
            [name] if name != "#" => {
                domain(self.subnets.iter_mut().map(|tags| &mut tags.subnet).collect(), name)
            }
            _ => Fate::left("only one domain for all is carried over", "set `domain` of the subnets"),
        }
    }

    /// `dhcp-ignore=tag:!known`.
    pub(super) fn ignore(&mut self, fields: &[String]) -> Fate {
        match fields {
            [tag] if tag == "tag:!known" || tag == "#known" || tag == "net:!known" => {
                self.ignores_unknown = true;
                Fate::carried("`unknown: ignore` of the site")
            }
            _ => {
                Fate::left("machines are ignored as unknown ones or not at all", "see `unknown` of the site")
            }
        }
    }
}

/// A router stands in one network, and in none of its pools.
fn router(subnets: Vec<&mut SubnetSpec>, routers: &[Ipv4Addr]) -> Fate {
    let mut carried = Vec::new();
    for subnet in subnets {
        let Some(router) = routers.iter().find(|router| subnet.network.contains(*router)) else { continue };
        subnet.router = Some(*router);
        subnet.pools = without(std::mem::take(&mut subnet.pools), *router);
        carried.push(format!("`router` of {}", subnet.network));
    }
    match (carried.is_empty(), routers) {
        (true, _) => Fate::left("the router is in none of the subnets", "set `router` of the subnets"),
        (false, [_]) => Fate::carried(carried.join(", ")),
        (false, _) => Fate::carried(format!("{}; a subnet has one router, the first", carried.join(", "))),
    }
}

fn domain(subnets: Vec<&mut SubnetSpec>, name: &str) -> Fate {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if !(1..=253).contains(&name.len()) || !name.chars().all(is_plain) {
        return Fate::left("it is no domain name", "");
    }
    subnets.into_iter().for_each(|subnet| subnet.domain = Some(name.to_owned()));
    Fate::carried("`domain` of the subnets")
}

/// As the catalog takes it.
fn value(option: &DhcpOption) -> Result<(String, proto::catalog::OptionValue), String> {
    let entry = (option.code.to_string(), option.value()?);
    if encode_options(&[entry.clone()].into()).is_empty() {
        return Err(format!("option {} is DHCP's own, the boot's, or not of this form", option.code));
    }
    Ok(entry)
}

fn without(pools: Vec<Range>, address: Ipv4Addr) -> Vec<Range> {
    let hole = Range::new(address, address).expect("an address does not come after itself");
    pools.into_iter().flat_map(|pool| pool.without(hole)).collect()
}

fn listed(pools: &[Range]) -> String {
    pools.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

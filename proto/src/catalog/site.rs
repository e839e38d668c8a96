//! A VLAN or remote location.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::{
    DhcpOptions, Kind, MenuSpec, PrefetchSpec, Problem, Spec, Variables, WanSpec, check_name, dhcp_option,
    link_wait, supply,
};
use crate::{BlobSource, ByteSize, Range, Span, ZoneName, plan::ReplyForm};

/// What operators say of a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSpec {
    /// What its agents are to DHCP.
    #[serde(default)]
    pub dhcp: Dhcp,
    /// Disjoint.
    pub subnets: Vec<SubnetSpec>,
    /// What machines get that are no host of the catalog.
    #[serde(default)]
    pub unknown: Unknown,
    /// The image (of family `loaders`) with the network bootstrap programs; None: machines must bring iPXE along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaders: Option<String>,
    /// What people may choose at hosts while no order stands and no profile of mode `run` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub menu: Option<MenuSpec>,
    /// What the image cache of each agent may take; None: the agent's own configuration decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<ByteSize>,
    /// Whose clock the site's people read: what times of day in this document mean. None: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<ZoneName>,
    /// How fast its agents together may fetch over the WAN; None: as fast as they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wan: Option<WanSpec>,
    /// Base URLs of object stores or caches that have blobs at `sha256/DIGEST`, the preferred first. Asked before the
    /// controller, and after the site's other agents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blob_sources: Vec<BlobSource>,
    /// What it is to hold before anybody asks for it.
    #[serde(default, skip_serializing_if = "PrefetchSpec::is_empty")]
    pub prefetch: PrefetchSpec,
    /// Whether an authoritative agent tells machines that ask for IPv6 at once that there is none: firmware otherwise
    /// waits a quarter of a minute, or a whole one, for an answer.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub decline_ipv6: bool,
    /// Whether TFTP answers come from port 69 alone, for firewalls that know no other, instead of a port for each
    /// transfer; some firmware refuses that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tftp_single_port: bool,
    /// Further DHCP options for every machine of the site.
    #[serde(default, skip_serializing_if = "DhcpOptions::is_empty")]
    pub options: DhcpOptions,
    /// How long a DISCOVER waits for its offer, so that another server may answer first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_delay: Option<Span>,
    /// How long a link that is up may carry no packets yet, as with spanning tree: iPXE and installers wait for it and ask so
    /// much longer. None: as they do by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_wait: Option<Span>,
    /// How PXE ROMs are told what to boot; None: with discovery control (option 43.6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_form: Option<ReplyForm>,
    /// Other DHCP servers that may be there, by their identifier or address: they raise no alarm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_dhcp_servers: Vec<Ipv4Addr>,
    /// Whether agents look out for other DHCP servers: listen to them, and ask for them with a DISCOVER each minute.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub watch_dhcp: bool,
    /// Whether machines that ask for a syslog server are told the agent (option 7), and what boot programs and installers say
    /// by it is told with their boots.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub syslog: bool,
    /// Values for templates.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub variables: Variables,
}

/// What an agent is to DHCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dhcp {
    /// The segment's DHCP server.
    #[default]
    Authoritative,
    /// Beside another server, for booting alone.
    Proxy,
    /// Silent.
    Off,
}

/// What machines get that are no host of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// No answer.
    #[default]
    Ignore,
    /// An address from the pool, and the local disk.
    Lease,
}

/// One subnet of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "fields, such as network: 10.1.0.0/24")]
pub struct SubnetSpec {
    /// Its addresses, in CIDR notation.
    pub network: Ipv4Net,
    /// What may be leased to machines without a fixed address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Range>,
    /// Addresses of the pools that are not leased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Range>,
    /// Subnets with the same word here share one link: a machine there may have an address of any of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// The default router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<Ipv4Addr>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Ipv4Addr>,
    /// Time servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp: Vec<Ipv4Addr>,
    /// The domain name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// How long a lease lasts.
    #[serde(default = "hour")]
    pub lease: Span,
}

impl SubnetSpec {
    /// The pools without what is excluded.
    #[must_use]
    pub fn leasable(&self) -> Vec<Range> {
        let mut left = self.pools.clone();
        for hole in &self.exclude {
            left = left.into_iter().flat_map(|range| range.without(*hole)).collect();
        }
        left
    }
}

fn hour() -> Span {
    Span::seconds(3_600)
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_yes(said: &bool) -> bool {
    *said
}

/// The longest delay of an offer: firmware asks for about a minute in all (QUIRKS 8).
pub(super) const LONGEST_DELAY: Span = Span::seconds(30);

/// The shortest lease: less, and a machine renews more often than it boots.
const SHORTEST_LEASE: Span = Span::seconds(60);

impl Spec for SiteSpec {
    const KIND: Kind = Kind::Site;

    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.subnets.is_empty() {
            problems.push(Problem::new("subnets", "is empty: expected at least one subnet"));
        }
        for (index, subnet) in self.subnets.iter().enumerate() {
            let at = format!("subnets[{index}]");
            subnet.validate(&at, &mut problems);
            let clash = self.subnets[..index].iter().find(|other| overlap(&other.network, &subnet.network));
            if let Some(other) = clash {
                let message = format!("{} overlaps with {}", subnet.network, other.network);
                problems.push(Problem::new(format!("{at}.network"), message));
            }
        }
        problems.extend(self.loaders.as_deref().and_then(|name| check_name("loaders", name)));
        dhcp_option::validate("options", &self.options, &mut problems);
        problems.extend(check_delay(self.response_delay));
        problems.extend(link_wait::check(self.link_wait));
        self.menu.iter().for_each(|menu| menu.validate(&mut problems));
        self.wan.iter().for_each(|wan| wan.validate(&mut problems));
        if let Some(cache) = self.cache.filter(|cache| *cache < supply::LEAST_CACHE) {
            let message = format!("is {cache}, expected at least {}", supply::LEAST_CACHE);
            problems.push(Problem::new("cache", message));
        }
        supply::check_sources(&self.blob_sources, &mut problems);
        self.prefetch.validate(&mut problems);
        problems
    }
}

/// What is wrong with a response delay.
pub(super) fn check_delay(delay: Option<Span>) -> Option<Problem> {
    let too_long = delay.filter(|delay| *delay > LONGEST_DELAY)?;
    Some(Problem::new("response_delay", format!("is {too_long}, expected at most {LONGEST_DELAY}")))
}

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

impl SubnetSpec {
    fn validate(&self, at: &str, problems: &mut Vec<Problem>) {
        let mut problem =
            |field: &str, message: String| problems.push(Problem::new(format!("{at}.{field}"), message));
        if self.network != self.network.trunc() {
            problem("network", format!("has host bits set: did you mean {}?", self.network.trunc()));
        }
        if self.lease < SHORTEST_LEASE {
            problem("lease", format!("is {}, expected at least {SHORTEST_LEASE}", self.lease));
        }
        for (index, pool) in self.pools.iter().enumerate() {
            let field = format!("pools[{index}]");
            let inside = |address| self.network.contains(&address) && self.usable(address);
            if !inside(pool.first()) || !inside(pool.last()) {
                problem(&field, format!("{pool} is not within the host addresses of {}", self.network));
            }
            if let Some(other) = self.pools[..index].iter().find(|other| other.overlaps(*pool)) {
                problem(&field, format!("{pool} overlaps with {other}"));
            }
            if let Some(router) = self.router.filter(|router| pool.contains(*router)) {
                problem(&field, format!("{pool} holds the router {router}"));
            }
        }
        for (index, hole) in self.exclude.iter().enumerate() {
            if !self.pools.iter().any(|pool| pool.overlaps(*hole)) {
                problem(&format!("exclude[{index}]"), format!("{hole} is in none of the pools"));
            }
        }
        if let Some(message) = self.shared.as_deref().and_then(|name| check_name("shared", name)) {
            problem("shared", message.message);
        }
        if let Some(router) = self.router.filter(|router| !self.network.contains(router)) {
            problem("router", format!("{router} is not in {}", self.network));
        }
        if let Some(domain) = self.domain.as_deref().filter(|domain| !plain_domain(domain)) {
            problem("domain", format!("{domain:?} is no domain name"));
        }
    }

    /// Neither the network's own address nor its broadcast address.
    fn usable(&self, address: Ipv4Addr) -> bool {
        self.network.prefix_len() >= 31
            || (address != self.network.network() && address != self.network.broadcast())
    }
}

fn plain_domain(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(json: &str) -> SiteSpec {
        serde_json::from_str(json).expect("well-formed")
    }

    fn fields(json: &str) -> Vec<String> {
        site(json).validate().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn a_small_site_is_legal() {
        let json = r#"{"subnets":[{"network":"10.1.0.0/24","pools":["10.1.0.100-10.1.0.199"],"router":"10.1.0.1"}]}"#;
        assert_eq!(site(json).validate(), []);
        assert_eq!(site(json).subnets[0].lease, Span::seconds(3_600));
        assert!(site(json).decline_ipv6 && site(json).watch_dhcp && site(json).syslog);
    }

    #[test]
    fn the_switches_that_are_on_are_written_where_they_are_off() {
        let off = site(r#"{"decline_ipv6":false,"watch_dhcp":false,"syslog":false,"subnets":[]}"#);
        let written = serde_json::to_string(&off).expect("JSON");
        assert!(written.contains(r#""decline_ipv6":false"#), "{written}");
        assert!(written.contains(r#""watch_dhcp":false"#), "{written}");
        assert!(written.contains(r#""syslog":false"#), "{written}");
        let on = serde_json::to_string(&site(r#"{"subnets":[]}"#)).expect("JSON");
        assert!(!on.contains("ipv6") && !on.contains("watch") && !on.contains("syslog"), "{on}");
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let json = r#"{"loaders":"/x","subnets":[
            {"network":"10.1.0.7/24","router":"10.2.0.1","lease":"5s","domain":"a b",
             "pools":["10.1.0.10-10.1.0.20","10.1.0.20-10.1.0.30","10.1.0.200-10.1.0.255"]},
            {"network":"10.1.0.0/16"}]}"#;
        let expected = [
            "subnets[0].network",
            "subnets[0].lease",
            "subnets[0].pools[1]",
            "subnets[0].pools[2]",
            "subnets[0].router",
            "subnets[0].domain",
            "subnets[1].network",
            "loaders",
        ];
        assert_eq!(fields(json), expected);
    }

    #[test]
    fn exclusions_and_delays_are_checked_and_pools_lose_what_is_excluded() {
        let json = r#"{"response_delay":"31s","subnets":[{"network":"10.1.0.0/24","shared":"Big net",
            "pools":["10.1.0.10-10.1.0.20","10.1.0.30-10.1.0.40"],
            "exclude":["10.1.0.15","10.1.0.18-10.1.0.32","10.1.0.99"]}]}"#;
        assert_eq!(fields(json), ["subnets[0].exclude[2]", "subnets[0].shared", "response_delay"]);
        let left: Vec<_> = site(json).subnets[0].leasable().iter().map(ToString::to_string).collect();
        assert_eq!(left, ["10.1.0.10-10.1.0.14", "10.1.0.16-10.1.0.17", "10.1.0.33-10.1.0.40"]);
    }

    #[test]
    fn a_pool_with_the_router_in_it_is_refused() {
        let json =
            r#"{"subnets":[{"network":"10.1.0.0/24","pools":["10.1.0.1-10.1.0.9"],"router":"10.1.0.1"}]}"#;
        assert_eq!(fields(json), ["subnets[0].pools[0]"]);
    }
}

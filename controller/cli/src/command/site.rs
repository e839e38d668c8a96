//! `bootlane site`.

use clap::{Args, Subcommand};
use proto::catalog::Kind;
use serde_json::{Value, json};

use super::catalog::{self, Column, ListAll, One, cell};
use super::edit::{Edit, Labels, Unset, Variables};
use super::{Context, wan};
use crate::failure::Failure;

/// What to do with sites.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List sites
    #[command(visible_alias = "ls")]
    List(ListAll),
    /// Show one
    Get(One),
    /// Add a site with one subnet; sites with several are declared with `apply`
    Add(Add),
    /// Change fields of a site with one subnet
    Set(Set),
    /// Remove an empty site
    Rm(One),
}

/// `site add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name: lower-case letters, digits and hyphens
    name: String,
    /// The subnet's addresses, for example 10.1.0.0/24
    #[arg(long, value_name = "CIDR")]
    network: String,
    #[command(flatten)]
    fields: Fields,
}

/// `site set`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Its name
    name: String,
    /// The subnet's addresses, for example 10.1.0.0/24
    #[arg(long, value_name = "CIDR")]
    network: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// Take a field away, for example loaders or labels.region; may be repeated
    #[arg(long, value_name = "FIELD")]
    unset: Vec<Unset>,
}

#[derive(Debug, Args)]
struct Fields {
    /// What its agents are to DHCP: authoritative, proxy or off
    #[arg(long, value_name = "MODE")]
    dhcp: Option<String>,
    /// Addresses to lease, for example 10.1.0.100-10.1.0.199; may be repeated
    #[arg(long = "pool", value_name = "RANGE")]
    pools: Vec<String>,
    /// The default router
    #[arg(long, value_name = "ADDRESS")]
    router: Option<String>,
    /// A name server; may be repeated
    #[arg(long = "dns", value_name = "ADDRESS")]
    dns: Vec<String>,
    /// A time server; may be repeated
    #[arg(long = "ntp", value_name = "ADDRESS")]
    ntp: Vec<String>,
    /// The domain name
    #[arg(long)]
    domain: Option<String>,
    /// How long a lease lasts, for example 1h
    #[arg(long, value_name = "TIME")]
    lease: Option<String>,
    /// What machines get that are no host: ignore or lease
    #[arg(long, value_name = "POLICY")]
    unknown: Option<String>,
    /// The image with the network bootstrap programs
    #[arg(long, value_name = "IMAGE")]
    loaders: Option<String>,
    /// What each agent's image cache may take, for example 20GiB
    #[arg(long, value_name = "SIZE")]
    cache: Option<String>,
    /// Whose clock the site's people read, for example Europe/Paris: what times of day in `wan.schedule` mean
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// How fast its agents together may fetch over the WAN, for example 50Mbit, or unlimited; a schedule by the time of day
    /// is declared with `apply`
    #[arg(long, value_name = "RATE")]
    wan_rate: Option<String>,
    /// The base URL of an object store or cache that has blobs at sha256/DIGEST; may be repeated, the order counts
    #[arg(long = "blob-source", value_name = "URL")]
    blob_sources: Vec<String>,
    /// Whether machines that ask for IPv6 are told at once that there is none, so that they wait for nothing; true
    /// unless it is said otherwise
    #[arg(long, value_name = "BOOL")]
    decline_ipv6: Option<bool>,
    /// TFTP from port 69 alone, for firewalls that know no other; some firmware refuses that: true or false
    #[arg(long, value_name = "BOOL")]
    tftp_single_port: Option<bool>,
    /// How long a link may carry nothing after it is up, as with spanning tree: iPXE and installers wait and ask so much
    /// longer, for example 30s
    #[arg(long, value_name = "TIME")]
    link_wait: Option<String>,
    /// Another DHCP server that may be there, by its address; may be repeated
    #[arg(long = "known-dhcp-server", value_name = "ADDRESS")]
    known_dhcp_servers: Vec<String>,
    /// Whether agents look out for other DHCP servers, and ask for them each minute; true unless it is said otherwise
    #[arg(long, value_name = "BOOL")]
    watch_dhcp: Option<bool>,
    /// Whether boot programs and installers are told to send their syslog to the agent, which tells it with their boots; true
    /// unless it is said otherwise
    #[arg(long, value_name = "BOOL")]
    syslog: Option<bool>,
    #[command(flatten)]
    labels: Labels,
    #[command(flatten)]
    variables: Variables,
}

impl Fields {
    fn edits(&self) -> Vec<Edit> {
        let subnet = [
            Edit::list("subnets.0.pools", &self.pools),
            Edit::optional("subnets.0.router", self.router.clone()),
            Edit::list("subnets.0.dns", &self.dns),
            Edit::list("subnets.0.ntp", &self.ntp),
            Edit::optional("subnets.0.domain", self.domain.clone()),
            Edit::optional("subnets.0.lease", self.lease.clone()),
        ];
        let site = [
            Edit::optional("dhcp", self.dhcp.clone()),
            Edit::optional("unknown", self.unknown.clone()),
            Edit::optional("loaders", self.loaders.clone()),
            Edit::optional("cache", self.cache.clone()),
            Edit::optional("timezone", self.timezone.clone()),
            Edit::optional("wan.rate", self.wan_rate.clone()),
            Edit::list("blob_sources", &self.blob_sources),
            Edit::optional("decline_ipv6", self.decline_ipv6),
            Edit::optional("tftp_single_port", self.tftp_single_port),
            Edit::optional("link_wait", self.link_wait.clone()),
            Edit::list("known_dhcp_servers", &self.known_dhcp_servers),
            Edit::optional("watch_dhcp", self.watch_dhcp),
            Edit::optional("syslog", self.syslog),
        ];
        let plain = subnet.into_iter().chain(site).flatten();
        plain.chain(self.labels.edits()).chain(self.variables.edits()).collect()
    }

    fn touches_subnet(&self) -> bool {
        let lists = [&self.pools, &self.dns, &self.ntp];
        let values = [&self.router, &self.domain, &self.lease];
        lists.iter().any(|list| !list.is_empty()) || values.iter().any(|value| value.is_some())
    }
}

const COLUMNS: &[Column] = &[
    Column::new("networks", |site, _| networks(site)),
    Column::new("dhcp", |site, _| cell(site, "/spec/dhcp")),
    Column::new("unknown", |site, _| cell(site, "/spec/unknown")),
    Column::new("loaders", |site, _| cell(site, "/spec/loaders")),
    Column::new("wan now", |site, _| wan::of_site(site)),
];

fn networks(site: &Value) -> String {
    let subnets = site.pointer("/spec/subnets").and_then(Value::as_array).into_iter().flatten();
    subnets.map(|subnet| cell(subnet, "/network")).collect::<Vec<_>>().join(",")
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Site, COLUMNS, list.into()).await,
        Verb::Get(one) => catalog::get(context, Kind::Site, COLUMNS, &one).await,
        Verb::Add(add) => {
            let mut edits = vec![Edit::spec("subnets", json!([{"network": add.network}]))];
            edits.extend(add.fields.edits());
            catalog::add(context, Kind::Site, &add.name, edits).await
        }
        Verb::Set(set) => self::set(context, set).await,
        Verb::Rm(one) => catalog::remove(context, Kind::Site, &one).await,
    }
}

async fn set(context: &mut Context, set: Set) -> Result<(), Failure> {
    if set.network.is_some() || set.fields.touches_subnet() {
        one_subnet(context, &set.name).await?;
    }
    let mut edits = Vec::from_iter(Edit::optional("subnets.0.network", set.network));
    edits.extend(set.fields.edits());
    catalog::set(context, Kind::Site, &set.name, edits, &set.unset).await
}

/// With several subnets it would not be clear which one is meant.
async fn one_subnet(context: &Context, name: &str) -> Result<(), Failure> {
    let site = context.connect().await?.get(Kind::Site, name).await?.json;
    let count = site.pointer("/spec/subnets").and_then(Value::as_array).map_or(0, Vec::len);
    if count == 1 {
        return Ok(());
    }
    let remedy =
        format!("`bootlane site get {name} -o yaml > site.yaml`, edit it, `bootlane apply -f site.yaml`");
    Err(Failure::usage(format!("Site {name} has {count} subnets, so it must be declared")).remedy(remedy))
}

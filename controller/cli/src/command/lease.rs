//! `bootlane lease`.

use std::net::Ipv4Addr;

use clap::{Args, Subcommand};
use proto::v1::{
    LeaseEntry, LeaseHistoryRequest, ListLeasesRequest, ReleaseLeaseRequest, lease_history_request::Of,
};
use proto::{Mac, Wall};
use serde_json::{Value, json};

use super::Context;
use crate::failure::Failure;
use crate::output::{Format, document, plain, table, words, yaml};

/// What to do with leases. The controller knows of them what agents told: a lease that is renewed often may stand longer
/// than is shown, and what is shown of an agent that is away is as of its last contact.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the leases that stand
    #[command(visible_alias = "ls")]
    List(List),
    /// Show who had an address, or which addresses a machine had, the latest first
    History(History),
    /// Free an address
    ///
    /// The site's agent ends the lease as soon as it is connected; until then the lease is shown as "releasing". The machine
    /// is not told, since DHCP has no word for that: it may use the address until it asks again, and another machine may
    /// be given it. An address under which an installation has started is not freed, nor is one that its machine has given
    /// back and taken anew meanwhile; `lease list` then says why.
    Release(Release),
}

/// `lease list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those at this site
    #[arg(long)]
    site: Option<String>,
    /// Only those of this host
    #[arg(long)]
    host: Option<String>,
}

/// `lease history`.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// An IPv4 address, a MAC address, or the name of a host
    #[arg(value_name = "ADDRESS|MAC|HOST")]
    of: String,
    /// Only at this site
    #[arg(long)]
    site: Option<String>,
    /// As many at most
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: u32,
}

/// `lease release`.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The address
    address: Ipv4Addr,
    /// The site
    #[arg(long)]
    site: String,
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => self::list(context, list).await,
        Verb::History(history) => self::history(context, history).await,
        Verb::Release(release) => self::release(context, release).await,
    }
}

async fn list(context: &mut Context, list: List) -> Result<(), Failure> {
    let (site, host) = (list.site.unwrap_or_default(), list.host.unwrap_or_default());
    let request = ListLeasesRequest { site, host, ..ListLeasesRequest::default() };
    let leases = context.connect().await?.list_leases(request).await?;
    let headings = ["site", "address", "mac", "host", "network", "began", "until", "agent", "state"];
    show(context, &headings, &leases, |lease, now| {
        let mut row = beginning(lease, now);
        row.extend([until(lease, now), lease.agent.clone(), state(lease, now)]);
        row
    })
}

async fn history(context: &mut Context, history: History) -> Result<(), Failure> {
    let of = of(&history.of);
    let site = history.site.unwrap_or_default();
    let request = LeaseHistoryRequest { of: Some(of), site, limit: history.limit };
    let leases = context.connect().await?.lease_history(request).await?;
    let headings = ["site", "address", "mac", "host", "network", "began", "ended", "agent", "state"];
    show(context, &headings, &leases, |lease, now| {
        let mut row = beginning(lease, now);
        let ended = if lease.ended_ms == 0 { String::new() } else { words::moment(Wall(lease.ended_ms)) };
        row[5] = words::moment(Wall(lease.began_ms));
        row.extend([ended, lease.agent.clone(), state(lease, now)]);
        row
    })
}

async fn release(context: &mut Context, release: Release) -> Result<(), Failure> {
    let (site, address) = (release.site, release.address);
    let request = ReleaseLeaseRequest { site: site.clone(), address: address.to_bits() };
    let lease = context.connect().await?.release_lease(request).await?;
    let whose = if lease.host.is_empty() { mac(&lease.mac) } else { lease.host.clone() };
    context.output.line(&format!("{address} of {whose} is to be freed at site {site}"))?;
    if lease.as_of_ms != 0 {
        context.output.remark(&format!(
            "agent {} is away: it frees the address when it is connected again",
            lease.agent
        ));
    }
    Ok(())
}

/// What the word means: an address and a MAC cannot be names of hosts.
fn of(word: &str) -> Of {
    match (word.parse::<Ipv4Addr>(), word.parse::<Mac>()) {
        (Ok(address), _) => Of::Address(address.to_bits()),
        (Err(_), Ok(mac)) => Of::Mac(mac.0.to_vec().into()),
        (Err(_), Err(_)) => Of::Host(word.to_owned()),
    }
}

fn show(
    context: &mut Context,
    headings: &[&str],
    leases: &[LeaseEntry],
    row: impl Fn(&LeaseEntry, Wall) -> Vec<String>,
) -> Result<(), Failure> {
    match context.output.format_or(Format::Table) {
        Format::Table => {
            let now = words::now();
            let rows: Vec<_> = leases.iter().map(|lease| row(lease, now)).collect();
            context.output.line(&table::render(headings, &rows, context.output.colours()))
        }
        Format::Json => context.output.line(&document::json(&all(leases))),
        Format::Yaml => context.output.text(&yaml::text(&all(leases))),
    }
}

fn beginning(lease: &LeaseEntry, now: Wall) -> Vec<String> {
    vec![
        lease.site.clone(),
        Ipv4Addr::from_bits(lease.address).to_string(),
        mac(&lease.mac),
        lease.host.clone(),
        lease.network.clone(),
        words::relative(Wall(lease.began_ms), now),
    ]
}

/// The agent has told no end of a lease whose time is over, as far as it was told: it was renewed since.
fn until(lease: &LeaseEntry, now: Wall) -> String {
    let renewed = lease.state == "leased" && lease.until_ms < now.0;
    if renewed { "renewed".into() } else { words::relative(Wall(lease.until_ms), now) }
}

/// With why it was not released, if an operator wanted that.
fn state(lease: &LeaseEntry, now: Wall) -> String {
    let state = state_as_of(lease, now);
    match lease.release_refused.as_str() {
        "" => state,
        why => plain(&format!("{state}, not released: {why}")),
    }
}

fn state_as_of(lease: &LeaseEntry, now: Wall) -> String {
    match lease.as_of_ms {
        0 => lease.state.clone(),
        _ if lease.ended_ms != 0 => lease.state.clone(),
        heard => format!("{} as of {}", lease.state, words::relative(Wall(heard), now)),
    }
}

fn all(leases: &[LeaseEntry]) -> Value {
    let one = |lease: &LeaseEntry| {
        json!({
            "site": lease.site, "address": Ipv4Addr::from_bits(lease.address), "mac": mac(&lease.mac),
            "host": lease.host, "network": lease.network, "agent": lease.agent, "state": lease.state,
            "began_ms": lease.began_ms, "until_ms": lease.until_ms,
            "ended_ms": (lease.ended_ms != 0).then_some(lease.ended_ms),
            "as_of_ms": (lease.as_of_ms != 0).then_some(lease.as_of_ms),
            "release_refused": (!lease.release_refused.is_empty()).then_some(&lease.release_refused),
        })
    };
    Value::Array(leases.iter().map(one).collect())
}

fn mac(bytes: &[u8]) -> String {
    <[u8; 6]>::try_from(bytes).map(|mac| Mac(mac).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_an_address_a_mac_or_a_host() {
        assert_eq!(of("10.1.0.9"), Of::Address(0x0a01_0009));
        assert_eq!(of("52:54:00:00:00:01"), Of::Mac(vec![0x52, 0x54, 0, 0, 0, 1].into()));
        assert_eq!(of("web-1"), Of::Host("web-1".into()));
    }

    #[test]
    fn what_is_known_of_a_lease_is_said_with_its_age() {
        let now = Wall(1_772_366_400_000);
        let lease = LeaseEntry { state: "leased".into(), until_ms: now.0 - 1, ..LeaseEntry::default() };
        assert_eq!((until(&lease, now), state(&lease, now)), ("renewed".into(), "leased".into()));
        let refused = LeaseEntry { release_refused: "an installer has it".into(), ..lease.clone() };
        assert_eq!(state(&refused, now), "leased, not released: an installer has it");
        let away = LeaseEntry { as_of_ms: now.0 - 60_000, state: "unknown".into(), ..lease };
        let as_of = words::relative(Wall(now.0 - 60_000), now);
        assert_eq!(state(&away, now), format!("unknown as of {as_of}"));
        assert_ne!(until(&away, now), "renewed");
    }
}

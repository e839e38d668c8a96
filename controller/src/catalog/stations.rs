//! Addresses that agents have themselves: none is a host's.
//!
//! An agent tells its addresses once it is connected, so what is checked is what it told last; one that comes after its host is
//! left to the agent, which gives its own address to nobody and raises an alarm.

use std::collections::{BTreeMap, btree_map::Entry};
use std::net::Ipv4Addr;

use proto::catalog::{AgentSpec, AgentStatus, AnyResource, HostSpec, Kind, Problem, Resource};

use super::{
    Catalog, ReadError,
    draft::{Draft, Edit, Id},
};

/// The agents of a site by their addresses.
type Stations = BTreeMap<Ipv4Addr, String>;

/// The hosts of a draft that are given an address of an agent of their site. Each site's agents are read once.
pub(super) async fn check(draft: &Draft) -> Result<Vec<(Id, Problem)>, ReadError> {
    let (mut sites, mut found) = (BTreeMap::<&str, Stations>::new(), Vec::new());
    for (id, edit) in draft.edits() {
        let Some((site, address)) = given(edit) else { continue };
        let stations = match sites.entry(site) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unread) => unread.insert(stations(draft.catalog(), site).await?),
        };
        if let Some(agent) = stations.get(&address) {
            let message = format!("{address} is the address of agent {agent} itself");
            found.push((id.clone(), Problem::new("spec.address", message)));
        }
    }
    Ok(found)
}

/// The site and the address of a host that has not had it before: an agent that came later hinders no other change of it.
fn given(edit: &Edit) -> Option<(&str, Ipv4Addr)> {
    let of = |host: &Resource<HostSpec>| host.spec.address.map(|address| (host.spec.site.clone(), address));
    let Some(AnyResource::Host(host)) = &edit.after else { return None };
    let before = match &edit.before {
        Some(AnyResource::Host(before)) => of(before),
        Some(_) | None => None,
    };
    let address = host.spec.address.filter(|_| before != of(host))?;
    Some((&host.spec.site, address))
}

async fn stations(catalog: &Catalog, site: &str) -> Result<Stations, ReadError> {
    let mut stations = Stations::new();
    for agent in catalog.list::<AgentSpec>(Some(site)).await?.items {
        if agent.spec.revoked {
            continue;
        }
        let status = catalog.status(Kind::Agent, &agent.name).await?;
        let status: AgentStatus =
            status.and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default();
        let addresses = status.addresses.iter().filter_map(|address| address.parse().ok());
        stations.extend(addresses.map(|address| (address, agent.name.clone())));
    }
    Ok(stations)
}

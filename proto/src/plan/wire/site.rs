//! A plan, understood from a document: what is not understood is a doubt.

use std::collections::BTreeMap;

use prost::Message;

use super::super::{
    ChunkLists, Doubt, Entry, HostPlan, LEVEL, LoaderSet, MirrorPlan, Network, OrderPlan, PlanDocument,
    Prefetch, SitePlan, chunks,
};
use crate::{
    HostId, Mac, OrderId, v1,
    wire::{WireError, required},
};

impl SitePlan {
    /// Decodes a plan. Only a network that cannot be understood refuses the whole.
    ///
    /// # Errors
    /// Names the field of the network that is wrong.
    pub fn decode(document: &PlanDocument) -> Result<Self, WireError> {
        let mut network = None;
        let mut loaders = BTreeMap::new();
        let mut mirrors = BTreeMap::new();
        let mut hosts = BTreeMap::new();
        let mut orders: BTreeMap<OrderId, OrderPlan> = BTreeMap::new();
        let mut prefetch = BTreeMap::new();
        let mut chunk_lists = ChunkLists::new();
        let mut secrets = Vec::new();
        let mut doubts = Vec::new();
        let mut doubt = |key: &str, why: String| doubts.push(Doubt { key: key.into(), why });

        for (key, entry) in document.entries() {
            match key.split('/').next() {
                Some("network") => network = Some(decode_network(entry)?),
                Some("loaders") if entry.level > LEVEL => doubt(key, too_new(entry)),
                Some("loaders") => match decode::<v1::LoaderSet>(entry).and_then(LoaderSet::try_from) {
                    Ok(set) if key != format!("loaders/{}", set.name) => {
                        doubt(key, format!("holds the set {}", set.name))
                    }
                    Ok(set) => drop(loaders.insert(set.name.clone(), set)),
                    Err(error) => doubt(key, error.to_string()),
                },
                Some("mirror") if entry.level > LEVEL => doubt(key, too_new(entry)),
                Some("mirror") => match decode::<v1::Mirror>(entry).and_then(MirrorPlan::try_from) {
                    Ok(mirror) if key != format!("mirror/{}", mirror.name) => {
                        doubt(key, format!("holds the mirror {}", mirror.name))
                    }
                    Ok(mirror) => drop(mirrors.insert(mirror.name.clone(), mirror)),
                    Err(error) => doubt(key, error.to_string()),
                },
                Some("host") => match decode_host(entry) {
                    Ok(host) if key != format!("host/{}", host.id) => {
                        doubt(key, format!("holds host {}", host.id))
                    }
                    Ok(host) => {
                        if entry.level > LEVEL {
                            doubt(key, too_new(entry));
                        }
                        hosts.insert(host.id, host);
                    }
                    Err(error) => doubt(key, error.to_string()),
                },
                Some("order") if entry.level > LEVEL => doubt(key, too_new(entry)),
                Some("order") => match decode::<v1::OrderPlan>(entry).and_then(OrderPlan::try_from) {
                    Ok(order) if key != format!("order/{}", order.id) => {
                        doubt(key, format!("holds order {}", order.id))
                    }
                    Ok(order) => drop(orders.insert(order.id, order)),
                    Err(error) => doubt(key, error.to_string()),
                },
                Some("secret") => match decode::<v1::OrderSecrets>(entry) {
                    Ok(message) => secrets.push(message),
                    Err(error) => doubt(key, error.to_string()),
                },
                Some("prefetch") if entry.level > LEVEL => doubt(key, too_new(entry)),
                Some("prefetch") => match decode::<v1::Prefetch>(entry).and_then(Prefetch::try_from) {
                    Ok(wanted) => drop(prefetch.insert(wanted.name.clone(), wanted)),
                    Err(error) => doubt(key, error.to_string()),
                },
                // A hint: whoever does not understand it fetches whole blobs.
                Some("chunks") => match decode::<v1::ChunkLists>(entry).and_then(chunks::from_wire) {
                    Ok(lists) => chunk_lists = lists,
                    Err(error) => doubt(key, error.to_string()),
                },
                Some(_) | None => doubt(key, "is of an unknown kind".into()),
            }
        }
        for message in secrets {
            let order = OrderId::from_wire("order", &message.order).ok().and_then(|id| orders.get_mut(&id));
            if let Some(order) = order {
                order.secrets =
                    message.secrets.into_iter().map(|secret| (secret.name, secret.value)).collect();
            }
        }
        let by_mac = index(&mut hosts, &mut doubts);
        let network: Network = required("network", network)?;
        if !document.entries().any(|(key, _)| key.starts_with("loaders/")) {
            let set = LoaderSet::without_folder(&network.loaders);
            loaders.insert(set.name.clone(), set);
        }
        Ok(Self {
            id: document.id(),
            fleet: document.fleet().into(),
            site: document.site().into(),
            network,
            loaders,
            mirrors,
            hosts,
            orders,
            prefetch,
            chunk_lists,
            doubts,
            by_mac,
        })
    }
}

/// Hosts by MAC. An identity that two hosts claim is a doubt, and locks both.
fn index(hosts: &mut BTreeMap<HostId, HostPlan>, doubts: &mut Vec<Doubt>) -> BTreeMap<Mac, HostId> {
    let mut by_mac = BTreeMap::new();
    let mut by_address = BTreeMap::new();
    let mut rivals = Vec::new();
    for host in hosts.values() {
        for mac in &host.macs {
            rivals.extend(
                by_mac.insert(*mac, host.id).filter(|other| *other != host.id).map(|other| (other, host.id)),
            );
        }
        let claimed = host.address.and_then(|address| by_address.insert(address, host.id));
        rivals.extend(claimed.map(|other| (other, host.id)));
    }
    for (one, other) in rivals {
        doubts.push(Doubt {
            key: format!("host/{one}"),
            why: format!("shares a MAC or an address with host {other}"),
        });
        for id in [one, other] {
            if let Some(host) = hosts.get_mut(&id) {
                host.locked = true;
                host.boot = None;
            }
        }
    }
    by_mac
}

fn too_new(entry: &Entry) -> String {
    format!("needs plan level {}, this agent has {LEVEL}", entry.level)
}

fn decode<M: Message + Default>(entry: &Entry) -> Result<M, WireError> {
    M::decode(entry.body.clone()).map_err(|error| WireError::new("body", error.to_string()))
}

fn decode_network(entry: &Entry) -> Result<Network, WireError> {
    if entry.level > LEVEL {
        return Err(WireError::new("network", too_new(entry)));
    }
    Network::try_from(decode::<v1::Network>(entry)?).map_err(|e| e.within("network"))
}

/// A host of a level that is too high keeps its address and loses all but the local disk.
fn decode_host(entry: &Entry) -> Result<HostPlan, WireError> {
    let mut message: v1::HostPlan = decode(entry)?;
    if entry.level > LEVEL {
        message.boot = None;
        message.locked = true;
    }
    HostPlan::try_from(message)
}

//! A plan, understood from a document: what is not understood is a doubt.

use std::collections::BTreeMap;

use super::super::{
    ChunkLists, Entry, HostPlan, LEVEL, LoaderSet, MirrorPlan, Network, OrderPlan, PlanDocument, Prefetch,
    SitePlan, chunks,
};
use super::doubts::{Doubts, decode, too_new};
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
        let mut doubts = Doubts::default();

        for (key, entry) in document.entries() {
            match key.split('/').next() {
                Some("network") => network = Some(decode_network(entry)?),
                Some("loaders") => {
                    let set = doubts.understood::<v1::LoaderSet, LoaderSet>(key, entry);
                    let set =
                        set.filter(|set| doubts.agrees(key, &format!("loaders/{}", set.name), "the set"));
                    loaders.extend(set.map(|set| (set.name.clone(), set)));
                }
                Some("mirror") => {
                    let mirror = doubts.understood::<v1::Mirror, MirrorPlan>(key, entry);
                    let mirror = mirror.filter(|mirror| {
                        doubts.agrees(key, &format!("mirror/{}", mirror.name), "the mirror")
                    });
                    mirrors.extend(mirror.map(|mirror| (mirror.name.clone(), mirror)));
                }
                Some("host") => {
                    // One of a newer level is known, and locked.
                    let host = doubts.read(key, decode_host(entry));
                    let host = host.filter(|host| doubts.agrees(key, &format!("host/{}", host.id), "host"));
                    if host.is_some() {
                        doubts.is_known(key, entry);
                    }
                    hosts.extend(host.map(|host| (host.id, host)));
                }
                Some("order") => {
                    let order = doubts.understood::<v1::OrderPlan, OrderPlan>(key, entry);
                    let order =
                        order.filter(|order| doubts.agrees(key, &format!("order/{}", order.id), "order"));
                    orders.extend(order.map(|order| (order.id, order)));
                }
                Some("secret") => secrets.extend(doubts.read(key, decode::<v1::OrderSecrets>(entry))),
                Some("prefetch") => {
                    let wanted = doubts.understood::<v1::Prefetch, Prefetch>(key, entry);
                    prefetch.extend(wanted.map(|wanted| (wanted.name.clone(), wanted)));
                }
                // A hint: whoever does not understand it fetches whole blobs.
                Some("chunks") => {
                    let lists = decode::<v1::ChunkLists>(entry).and_then(chunks::from_wire);
                    chunk_lists = doubts.read(key, lists).unwrap_or(chunk_lists);
                }
                Some(_) | None => doubts.add(key, "is of an unknown kind".into()),
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
            doubts: doubts.all,
            by_mac,
        })
    }
}

/// Hosts by MAC. An identity that two hosts claim is a doubt, and locks both.
fn index(hosts: &mut BTreeMap<HostId, HostPlan>, doubts: &mut Doubts) -> BTreeMap<Mac, HostId> {
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
        doubts.add(&format!("host/{one}"), format!("shares a MAC or an address with host {other}"));
        for id in [one, other] {
            if let Some(host) = hosts.get_mut(&id) {
                host.locked = true;
                host.boot = None;
            }
        }
    }
    by_mac
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

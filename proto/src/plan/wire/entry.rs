//! A document's entries, made of the parts of a plan.

use prost::Message;

use super::super::{
    Boot, ChunkLists, Entry, HostPlan, LoaderSet, MirrorPlan, Network, OrderPlan, Prefetch, chunks,
};
use crate::v1;

/// The entry that describes the network.
#[must_use]
pub fn network_entry(network: &Network) -> (String, Entry) {
    ("network".into(), entry(FIRST, &v1::Network::from(network)))
}

/// The entry that describes a set of loaders.
#[must_use]
pub fn loaders_entry(set: &LoaderSet) -> (String, Entry) {
    (format!("loaders/{}", set.name), entry(SETS, &v1::LoaderSet::from(set)))
}

/// The entry that describes a package mirror.
#[must_use]
pub fn mirror_entry(mirror: &MirrorPlan) -> (String, Entry) {
    (format!("mirror/{}", mirror.name), entry(FIRST, &v1::Mirror::from(mirror)))
}

/// The entry that describes a host.
#[must_use]
pub fn host_entry(host: &HostPlan) -> (String, Entry) {
    let level = host.boot.as_ref().map_or(FIRST, level_of);
    (format!("host/{}", host.id), entry(level, &v1::HostPlan::from(host)))
}

/// The entry that describes an order, without its secrets.
#[must_use]
pub fn order_entry(order: &OrderPlan) -> (String, Entry) {
    (format!("order/{}", order.id), entry(level_of(&order.boot), &v1::OrderPlan::from(order)))
}

/// The entry with an order's secrets; None when it has none.
#[must_use]
pub fn secrets_entry(order: &OrderPlan) -> Option<(String, Entry)> {
    let secrets =
        order.secrets.iter().map(|(name, value)| v1::Secret { name: name.clone(), value: value.clone() });
    let secrets = v1::OrderSecrets { order: order.id.to_wire(), secrets: secrets.collect() };
    (!secrets.secrets.is_empty()).then(|| (format!("secret/{}", order.id), entry(FIRST, &secrets)))
}

/// The entry that describes what is to be here before any machine asks for it.
#[must_use]
pub fn prefetch_entry(prefetch: &Prefetch) -> (String, Entry) {
    (format!("prefetch/{}", prefetch.name), entry(FIRST, &v1::Prefetch::from(prefetch)))
}

/// The entry that says which blobs have a list of chunks.
#[must_use]
pub fn chunks_entry(lists: &ChunkLists) -> (String, Entry) {
    ("chunks".into(), entry(FIRST, &chunks::to_wire(lists)))
}

/// The level that every agent understands.
const FIRST: u32 = 1;
/// The level of those that know loader sets.
const SETS: u32 = 2;

/// An agent that knows no sets would give such a machine a loader that is not meant for it.
fn level_of(boot: &Boot) -> u32 {
    if boot.loaders.is_empty() { FIRST } else { SETS }
}

fn entry(level: u32, message: &impl Message) -> Entry {
    Entry { body: message.encode_to_vec().into(), level }
}

//! Between [`SitePlan`](super::SitePlan) and the entries of a [`PlanDocument`](super::PlanDocument).

mod boot;
mod doubts;
mod entry;
mod host;
mod network;
mod site;
#[cfg(test)]
mod tests;

pub use entry::{
    chunks_entry, host_entry, loaders_entry, mirror_entry, network_entry, order_entry, prefetch_entry,
    secrets_entry,
};

use super::ReplySettings;
use crate::v1;

/// Nothing for the usual: a plan that says no more than before has the digest that it had.
fn reply(settings: &ReplySettings) -> Option<v1::ReplySettings> {
    (*settings != ReplySettings::default()).then(|| settings.into())
}

//! All that a boot on paper rests on: the plan, the machine, and what is known of the site.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use netboot::site::Disk;
use netboot::time::{Now, Wall};
use proto::ledger::Record;
use proto::plan::{Boot, HostPlan, OrderPlan, SitePlan};
use proto::{Digest, Mac};
use rom::Firmware;

/// Where a blob is, as far as the controller knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// For people.
    pub(crate) words: String,
    /// Machines that ask for it wait while it arrives.
    pub(crate) waits: bool,
    /// When the agent is expected to hold it; None: it does, or nobody knows.
    pub(crate) at: Option<Wall>,
    /// It cannot be had: neither the agent nor the controller holds it.
    pub(crate) lost: bool,
}

/// A flag: something that an operator should know before the machine is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flag {
    /// Will the boot fail by it, or not do what the catalog says?
    pub(crate) fails: bool,
    /// A sentence.
    pub(crate) what: String,
    /// What to do about it; "": nothing.
    pub(crate) remedy: String,
}

impl Flag {
    pub(crate) fn fails(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fails: true, what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn notice(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fails: false, what: what.into(), remedy: remedy.into() }
    }
}

/// Who boots, where, and through what.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Without the values of secrets; see [`super::hide`].
    pub(crate) plan: Arc<SitePlan>,
    pub(crate) mac: Mac,
    pub(crate) firmware: Firmware,
    /// None: the site has none, and nobody answers.
    pub(crate) agent: Option<String>,
    /// The agent's address: on the machine's subnet, or where its relay agent sends to.
    pub(crate) server: Ipv4Addr,
    /// The relay agent, on the machine's subnet.
    pub(crate) relay: Option<Ipv4Addr>,
    pub(crate) now: Now,
    /// What the agent's ledger holds that matters here, as far as the controller was told: leases, how far orders have come.
    pub(crate) ledger: Vec<Record>,
    /// Blobs that are not at the site, while its agent cannot reach the controller.
    pub(crate) out_of_reach: BTreeSet<Digest>,
    /// Where the blobs of the boot are. One that is not named here is at the site.
    pub(crate) held: BTreeMap<Digest, Held>,
    /// The architecture of the image that the host boots, as the image says it; "": it does not say.
    pub(crate) architecture: String,
    /// Whether the agent has room to write down what it promises, as it said last.
    pub(crate) disk: Disk,
    /// In bytes, if it is known.
    pub(crate) memory: Option<u64>,
    /// What was found while all this was read.
    pub(crate) flags: Vec<Flag>,
}

impl Scenario {
    /// The host, if the plan knows the machine.
    pub(crate) fn host(&self) -> Option<&HostPlan> {
        self.plan.host_of(self.mac)
    }

    /// The order that stands for the host.
    pub(crate) fn order(&self) -> Option<&OrderPlan> {
        self.plan.orders_of(self.host()?.id).next()
    }

    /// What the host boots if all is well: its order's boot, else its own.
    pub(crate) fn boot(&self) -> Option<&Boot> {
        self.order().map(|order| &order.boot).or(self.host().and_then(|host| host.boot.as_ref()))
    }
}

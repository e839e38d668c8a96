//! What is known of a machine beside the events of its attempt. Who knows little leaves most of it out.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use proto::catalog::Family;
use proto::plan::{DhcpMode, UnknownMachines};
use proto::words::moment;
use proto::{Mac, Platform, Wall};

use super::neighbour::Neighbour;
use super::words::{ago, length};
use crate::events::BootSummary;

/// What the rules are told.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The present, by the controller's clock.
    pub now: Wall,
    /// When the machine's next attempt began, which ends this one.
    pub next_began: Option<Wall>,
    /// The machine's attempts before this one, the latest first.
    pub former: Vec<BootSummary>,
    /// The host, if the machine is one.
    pub host: Option<HostFacts>,
    /// Its latest order.
    pub order: Option<OrderFacts>,
    /// The order that the attempt boots under, however that stands now.
    pub ordered: Option<OrderFacts>,
    /// What it was to boot; None: its disk, or nobody knows.
    pub boots: Option<BootFacts>,
    /// Whether its site holds what it boots.
    pub supply: Option<Supply>,
    /// The agent of its site that serves it, or may obey its order.
    pub agent: Option<AgentFacts>,
    /// What its site's agents are to DHCP, and what machines get that are no host.
    pub site: Option<(DhcpMode, UnknownMachines)>,
    /// The other DHCP servers that were heard there, in words.
    pub foreign_servers: Vec<String>,
    /// Other machines that were heard at its site of late, each by its latest attempt, the latest first.
    pub neighbours: Vec<Neighbour>,
    /// The lease of the address that it was not given because somebody else has it.
    pub holder: Option<Holder>,
    /// The pools of its site.
    pub pools: Vec<Pool>,
    /// How long an installation of this image usually takes there.
    pub usual: Option<Usual>,
    /// The loader that it fetched last, as the controller's bytes of it show.
    pub loader: Option<LoaderFacts>,
}

/// The host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// Its name.
    pub name: String,
    /// No order is obeyed.
    pub locked: bool,
    /// It has an address of its own; else it gets one of a pool.
    pub has_address: bool,
}

/// The host's latest order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFacts {
    /// Its name.
    pub name: String,
    /// Its fencing number.
    pub number: u64,
    /// How it stands.
    pub state: OrderState,
    /// What it installs.
    pub profile: String,
    /// The one agent that may obey it.
    pub agent: String,
    /// When it was made or armed.
    pub since: Wall,
    /// When it may no longer start.
    pub not_after: Wall,
}

impl OrderFacts {
    /// It stands, and its machine is to come.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        match self.state {
            OrderState::Armed => true,
            OrderState::Waiting | OrderState::Offered | OrderState::Started | OrderState::Ended => false,
        }
    }

    /// Its window: from when until when it may begin.
    pub(super) fn window(&self, now: Wall) -> String {
        let Self { name, since, not_after, .. } = self;
        let (from, to) = (moment(*since), moment(*not_after));
        let open = if now > *not_after {
            format!("which was {}", ago(now.since(*not_after)))
        } else {
            format!("which is in {}", length(not_after.since(now)))
        };
        format!("order {name} stood from {from} and could be begun until {to}, {open}")
    }
}

/// How an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderState {
    /// It waits until its site holds what it needs.
    Waiting,
    /// It stands, and no machine has come.
    Armed,
    /// An attempt boots under it.
    Offered,
    /// The installer runs.
    Started,
    /// It has ended: installed, failed, expired, revoked.
    Ended,
}

/// What a machine is to boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootFacts {
    /// The profile.
    pub profile: String,
    /// The image; "" where it has none.
    pub image: String,
    /// Its family.
    pub family: Option<Family>,
    /// It has an answer file to fetch, or reports: an installation.
    pub installs: bool,
    /// Loaders by platform: the names that machines are sent to.
    pub entries: Vec<(Platform, String)>,
}

/// What its site holds of what a machine boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supply {
    /// How it stands.
    pub state: SupplyState,
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes that are there.
    pub held: u64,
    /// When all is expected to be there; None: nobody knows.
    pub done: Option<Wall>,
    /// Why it is not, in words; "" where nothing is known.
    pub why: String,
    /// What to do about it; "": nothing.
    pub remedy: String,
}

/// How a site's supply of an image stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SupplyState {
    /// All is there.
    Ready,
    /// It is on its way, or its turn will come.
    Arriving,
    /// It cannot be had now.
    Failed,
    /// Nobody knows: the agent is away, or never said.
    Unknown,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFacts {
    /// Its name.
    pub name: String,
    /// It is connected.
    pub connected: bool,
    /// When it was last heard; None: never.
    pub last_heard: Option<Wall>,
    /// It obeys the newest plan of its site.
    pub current: bool,
    /// Why it refused the newest plan, in its words; "": it did not.
    pub refused: String,
    /// Its disk is full: it starts no order, and gives no new address of a pool.
    pub disk_low: bool,
}

/// How long installations of an image took at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    /// Of so many.
    pub installations: usize,
    /// The median, from the answer file to the installer's end.
    pub median: Duration,
    /// The longest.
    pub longest: Duration,
}

/// What the bytes of a loader show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderFacts {
    /// The name under which it was fetched.
    pub name: String,
    /// The platforms whose firmware can run it; empty: unknown.
    pub runs_on: Vec<Platform>,
    /// It bears a signature, as Secure Boot wants it.
    pub signed: bool,
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The address.
    pub address: Ipv4Addr,
    /// The host's name; None: it is no host.
    pub host: Option<String>,
    /// The machine.
    pub mac: Mac,
    /// Since when.
    pub since: Wall,
    /// Until when.
    pub until: Wall,
}

/// Addresses that a site leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The subnet.
    pub subnet: Ipv4Net,
    /// The pools' ranges; none: only hosts with an address of their own are given one.
    pub ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Addresses in all of them.
    pub size: u64,
    /// How many of them are leased now.
    pub leased: u64,
}

impl Context {
    /// What is known to who knows nothing but the time.
    #[must_use]
    pub fn at(now: Wall) -> Self {
        Self { now, ..Self::default() }
    }

    /// Has the agent that serves the machine said that its disk is full?
    pub(super) fn disk_is_full(&self) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.disk_low)
    }
}

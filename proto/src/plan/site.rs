//! What an agent understands of a plan.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;
use prost::bytes::Bytes;

use super::{ChunkLists, LoaderSet, MirrorPlan, Need, Peer, Prefetch, ReplyForm, ReplySettings, Wan};
use crate::{
    BlobSource, Digest, FirmwareModel, HostId, Mac, OrderId, PlanId, Platform, Range, Wall, wire::twin,
};

/// A site's plan, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePlan {
    /// Names it.
    pub id: PlanId,
    /// The fleet's name.
    pub fleet: String,
    /// The site's name.
    pub site: String,
    /// How the site's machines are addressed.
    pub network: Network,
    /// Network bootstrap programs, by the names of their sets.
    pub loaders: BTreeMap<String, LoaderSet>,
    /// Package mirrors, by name.
    pub mirrors: BTreeMap<String, MirrorPlan>,
    /// The hosts that are known here.
    pub hosts: BTreeMap<HostId, HostPlan>,
    /// The orders that stand, with their secrets.
    pub orders: BTreeMap<OrderId, OrderPlan>,
    /// What is to be here before any machine asks for it, by name.
    pub prefetch: BTreeMap<String, Prefetch>,
    /// Which blobs have a list of chunks. The lists are no part of [`SitePlan::blobs`]: they are fetched when their blob is.
    pub chunk_lists: ChunkLists,
    /// What was not understood.
    pub doubts: Vec<Doubt>,
    pub(super) by_mac: BTreeMap<Mac, HostId>,
}

/// A part of a plan that this build does not understand; its host boots the local disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The entry's key.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

impl SitePlan {
    /// Is the order's part of the plan one that is not understood?
    #[must_use]
    pub fn doubts_order(&self, order: OrderId) -> bool {
        let key = format!("order/{order}");
        self.doubts.iter().any(|doubt| doubt.key == key)
    }

    /// The host that has this link address.
    #[must_use]
    pub fn host_of(&self, mac: Mac) -> Option<&HostPlan> {
        self.hosts.get(self.by_mac.get(&mac)?)
    }

    /// Do a machine's TFTP answers come from port 69 alone? None: it is no host of the plan.
    #[must_use]
    pub fn tftp_single_port(&self, host: Option<HostId>) -> bool {
        let known = host.and_then(|id| self.hosts.get(&id));
        known.map_or(self.network.tftp_single_port, |host| host.tftp_single_port)
    }

    /// The form in which an operator wants a machine to be told what to boot: the host's word, then the site's.
    #[must_use]
    pub fn pinned_form(&self, mac: Mac) -> Option<ReplyForm> {
        self.host_of(mac).and_then(|host| host.reply.form).or(self.network.reply.form)
    }

    /// The form that the fleet has learnt of a machine, or of others of its model.
    #[must_use]
    pub fn learned_form(&self, mac: Mac, model: FirmwareModel) -> Option<ReplyForm> {
        let own = self.host_of(mac).and_then(|host| host.reply.learned(mac, model));
        own.or_else(|| self.network.reply.learned(mac, model))
    }

    /// The orders that stand for a host, the highest number first.
    pub fn orders_of(&self, host: HostId) -> impl Iterator<Item = &OrderPlan> {
        let mut orders: Vec<_> = self.orders.values().filter(|order| order.host == host).collect();
        orders.sort_by_key(|order| std::cmp::Reverse((order.number, order.id)));
        orders.into_iter()
    }

    /// Where a machine of this platform begins to load a boot: a set, and the path of its first file. A set that the boot
    /// names and that is not there is a doubt, so nothing else takes its place.
    #[must_use]
    pub fn loader_of(&self, boot: &Boot, platform: Platform) -> Option<(&LoaderSet, &str)> {
        let entry = |set: &LoaderSet| set.entries.contains_key(&platform);
        let mut chosen = None;
        for name in &boot.loaders {
            let set = self.loaders.get(name)?;
            chosen = chosen.or_else(|| entry(set).then_some(set));
        }
        let default = || self.loaders.values().find(|set| set.site_default && entry(set));
        let set = chosen.or_else(default)?;
        Some((set, set.entries.get(&platform)?))
    }

    /// Every blob that the plan names, in order of need: the loaders, which everybody needs first, what orders install,
    /// what orders wait for, what hosts boot, what menus offer, and what the site is to hold besides. One that several
    /// need comes several times.
    pub fn blobs(&self) -> impl Iterator<Item = BlobRef> + '_ {
        let loaders = self.loaders.values().flat_map(|set| set.files.values().copied());
        let orders = self.orders.values().flat_map(|order| order.boot.blobs());
        let boots =
            |menu| self.hosts.values().filter_map(|host| host.boot.as_ref()).filter(move |b| b.menu == menu);
        let of_hosts = boots(false).chain(boots(true)).flat_map(Boot::blobs);
        loaders.chain(orders).chain(self.wanted(Need::Order)).chain(of_hosts).chain(self.wanted(Need::Site))
    }

    fn wanted(&self, need: Need) -> impl Iterator<Item = BlobRef> + '_ {
        self.prefetched(need).flat_map(|prefetch| prefetch.blobs.iter().copied())
    }

    /// What is to be here so soon, in order.
    pub fn prefetched(&self, need: Need) -> impl Iterator<Item = &Prefetch> {
        let mut so_soon: Vec<_> = self.prefetch.values().filter(|prefetch| prefetch.need == need).collect();
        so_soon.sort_by_key(|prefetch| prefetch.rank);
        so_soon.into_iter()
    }
}

/// How a site's machines are addressed; by default nobody is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// What the agent is to DHCP.
    pub dhcp: DhcpMode,
    /// Disjoint; pools lie within their subnet and do not overlap.
    pub subnets: Vec<Subnet>,
    /// What machines get that are no host of the plan.
    pub unknown: UnknownMachines,
    /// What plans have that name no loader set; see [`SitePlan::loaders`].
    pub loaders: BTreeMap<Platform, Loader>,
    /// Bytes that the image cache may take; None: the agent's own configuration decides.
    pub cache_bytes: Option<u64>,
    /// Whether machines that ask for IPv6 are told at once that there is none.
    pub decline_ipv6: bool,
    /// TFTP from port 69 alone, for machines that are no host of the plan.
    pub tftp_single_port: bool,
    /// How DHCP replies differ from the usual.
    pub reply: ReplySettings,
    /// Other DHCP servers that may be there, by identifier or address.
    pub known_dhcp_servers: Vec<Ipv4Addr>,
    /// Whether other DHCP servers are looked for.
    pub watch_dhcp: bool,
    /// Whether machines are told to send their syslog to the agent, and what they say is told with their boots.
    pub syslog: bool,
    /// How fast this agent may fetch over the WAN.
    pub wan: Wan,
    /// Further places that have blobs, the preferred first; the controller comes behind them all.
    pub blob_sources: Vec<BlobSource>,
    /// The site's agents that give blobs to others of the site, this one perhaps among them.
    pub peers: Vec<Peer>,
}

impl Network {
    /// Does another server lease the addresses here, and do we say what to boot?
    #[must_use]
    pub fn is_proxy(&self) -> bool {
        self.dhcp == DhcpMode::Proxy
    }

    /// The subnets on the link of one of them, itself among them; in the plan's order.
    pub fn on_link_of<'a>(&'a self, subnet: &'a Subnet) -> impl Iterator<Item = &'a Subnet> {
        let shares = move |other: &&Subnet| {
            other.network == subnet.network || (subnet.shared.is_some() && other.shared == subnet.shared)
        };
        self.subnets.iter().filter(shares)
    }

    /// Names a subnet's link: the network of the link's first subnet.
    #[must_use]
    pub fn link_of(&self, subnet: &Subnet) -> Ipv4Net {
        self.on_link_of(subnet).next().map_or(subnet.network, |first| first.network)
    }

    /// The subnet that `address` lies in.
    #[must_use]
    pub fn subnet_of(&self, address: Ipv4Addr) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.network.contains(&address))
    }
}

/// What an agent is to DHCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DhcpMode {
    /// The segment's DHCP server.
    Authoritative,
    /// Beside another server, for booting alone.
    Proxy,
    /// Silent.
    #[default]
    Off,
}

twin!(DhcpMode, DhcpMode, Authoritative, Proxy, Off);

/// What machines get that are no host of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownMachines {
    /// No answer.
    #[default]
    Ignore,
    /// An address from the pool, and the local disk.
    Lease,
}

twin!(UnknownMachines, UnknownMachines, Ignore, Lease);

/// One subnet of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its addresses; host bits are zero.
    pub network: Ipv4Net,
    /// What may be leased to machines without a fixed address.
    pub pools: Vec<Range>,
    /// Option 3.
    pub router: Option<Ipv4Addr>,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// Option 42.
    pub ntp: Vec<Ipv4Addr>,
    /// Option 15.
    pub domain: Option<String>,
    /// Option 51.
    pub lease: Duration,
    /// The name of the link that it shares with other subnets; None: it is alone on its link.
    pub shared: Option<String>,
}

/// A network bootstrap program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    /// The name by which machines fetch it.
    pub name: String,
    /// Its bytes.
    pub blob: BlobRef,
}

/// Names bytes by their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobRef {
    /// SHA-256.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// A machine that the site knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// Never changes.
    pub id: HostId,
    /// For people, and option 12.
    pub name: String,
    /// At least one.
    pub macs: Vec<Mac>,
    /// The SMBIOS UUID in the order it is written.
    pub uuid: Option<[u8; 16]>,
    /// The SMBIOS serial number.
    pub serial: Option<String>,
    /// None: from the pool.
    pub address: Option<Ipv4Addr>,
    /// No order is obeyed while it is set: by the operator, or because a part of the host's plan is in doubt.
    pub locked: bool,
    /// What it boots when no order stands; None: its local disk.
    pub boot: Option<Boot>,
    /// TFTP from port 69 alone.
    pub tftp_single_port: bool,
    /// Wins over the network's.
    pub reply: ReplySettings,
}

/// Everything that a machine fetches after its loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The profile's name.
    pub profile: String,
    /// The image's name.
    pub image: String,
    /// The file that the loader is sent to first; one of `files`, under [`Guard::Attempt`].
    pub entry: String,
    /// By name.
    pub files: BTreeMap<String, PlannedFile>,
    /// The names of loader sets, the preferred first; behind them comes the site's default.
    pub loaders: Vec<String>,
    /// A menu: the machine may as well go on with its disk at any time.
    pub menu: bool,
}

impl Boot {
    /// The blobs among the files.
    pub fn blobs(&self) -> impl Iterator<Item = BlobRef> + '_ {
        self.files.values().filter_map(|file| match &file.content {
            Content::Blob(blob) => Some(*blob),
            Content::Parts(_) => None,
        })
    }
}

/// A file that a machine may fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    /// What it is to the machine.
    pub stage: Stage,
    /// Who may fetch it.
    pub guard: Guard,
    /// Its bytes.
    pub content: Content,
}

/// A file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Rendered by the planner, with slots for what only the agent knows.
    Parts(Vec<Part>),
    /// From an image.
    Blob(BlobRef),
}

/// A piece of a rendered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// These bytes.
    Literal(Bytes),
    /// A value that the agent knows.
    Slot(Slot),
    /// The value of the order's secret of this name.
    Secret(String),
}

/// Values that only the agent knows. All are safe in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// `http://ADDRESS` or `http://ADDRESS:PORT`.
    BaseUrl,
    /// The agent's address on the machine's subnet.
    ServerAddress,
    /// The machine's own address.
    ClientAddress,
    /// Lower case, colons.
    ClientMac,
    /// Opens the files under [`Guard::Order`].
    OrderToken,
    /// The boot attempt, and its trace.
    AttemptId,
    /// Lower case, hyphens.
    ClientMacHyphens,
}

twin!(Slot, Slot, BaseUrl, ServerAddress, ClientAddress, ClientMac, OrderToken, AttemptId, ClientMacHyphens);

/// What a file is to the machine that fetches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// A network bootstrap program.
    Loader,
    /// What the loader runs.
    Script,
    /// The kernel.
    Kernel,
    /// An initial RAM disk.
    Initrd,
    /// The answer file: fetching it starts the order.
    Answer,
    /// The bytes that overwrite a disk: fetching them starts the order.
    Image,
    /// Anything else.
    Other,
}

twin!(Stage, Stage, Loader, Script, Kernel, Initrd, Answer, Image, Other);

impl Stage {
    /// Must the order be `started`, on disk, before the first byte leaves (DESIGN §6)?
    #[must_use]
    pub fn starts_order(self) -> bool {
        match self {
            Self::Answer | Self::Image => true,
            Self::Loader | Self::Script | Self::Kernel | Self::Initrd | Self::Other => false,
        }
    }

    /// The word in tables and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Loader => "loader",
            Self::Script => "script",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Answer => "answer file",
            Self::Image => "image",
            Self::Other => "file",
        }
    }
}

/// Who may fetch a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    /// At `BASE/a/ATTEMPT/NAME`, the machine whose attempt it is.
    Attempt,
    /// At `BASE/o/TOKEN/NAME`, the leases of the order's host, while the order is started.
    Order,
}

twin!(Guard, Guard, Attempt, Order);

/// Permission to install one host once.
#[derive(Clone, PartialEq, Eq)]
pub struct OrderPlan {
    /// Never changes.
    pub id: OrderId,
    /// Whom it is for.
    pub host: HostId,
    /// The fencing number.
    pub number: u64,
    /// Bounds the entry into `started`.
    pub not_after: Wall,
    /// The one agent that may obey it.
    pub agent: String,
    /// What the host boots under it.
    pub boot: Boot,
    /// How long answer files and secrets may be fetched after `started`.
    pub install: Duration,
    /// How many attempts may enter `offered`, at least 1.
    pub attempts: u32,
    /// By name; empty when they were destroyed or the order needs none.
    pub secrets: BTreeMap<String, Bytes>,
}

impl fmt::Debug for OrderPlan {
    /// Without the secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("OrderPlan")
            .field("id", &self.id)
            .field("host", &self.host)
            .field("number", &self.number)
            .field("not_after", &self.not_after)
            .field("agent", &self.agent)
            .field("boot", &self.boot)
            .finish_non_exhaustive()
    }
}

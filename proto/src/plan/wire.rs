//! Between [`SitePlan`] and the entries of a [`PlanDocument`].

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use prost::{Message, bytes::Bytes};

use super::{
    BlobRef, Boot, ChunkLists, Content, DhcpMode, Doubt, Entry, Guard, HostPlan, LEVEL, Loader, LoaderSet,
    MirrorPlan, Network, OrderPlan, Part, PlanDocument, PlannedFile, Prefetch, ReplySettings, SitePlan, Slot,
    Stage, Subnet, UnknownMachines, Wan, chunks,
};
use crate::{
    Digest, HostId, Mac, OrderId, Platform, Range, Wall, v1,
    wire::{WireError, address_bits, array, optional_address, optional_array, required},
};

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

impl From<&Network> for v1::Network {
    fn from(network: &Network) -> Self {
        Self {
            dhcp: network.dhcp.into(),
            subnets: network.subnets.iter().map(Into::into).collect(),
            unknown: network.unknown.into(),
            loaders: network
                .loaders
                .iter()
                .map(|(platform, loader)| wire_loader(*platform, loader))
                .collect(),
            cache_bytes: network.cache_bytes.unwrap_or(0),
            decline_ipv6: network.decline_ipv6,
            tftp_single_port: network.tftp_single_port,
            reply: wire_reply(&network.reply),
            known_dhcp_servers: network.known_dhcp_servers.iter().map(|server| server.to_bits()).collect(),
            watch_dhcp: network.watch_dhcp,
            syslog: network.syslog,
            // Nothing for no limit: a plan that says no more than before has the digest that it had.
            wan: (network.wan != Wan::default()).then(|| (&network.wan).into()),
            blob_sources: network.blob_sources.iter().map(ToString::to_string).collect(),
            peers: network.peers.iter().map(Into::into).collect(),
        }
    }
}

fn wire_loader(platform: Platform, loader: &Loader) -> v1::Loader {
    v1::Loader { platform: platform.into(), name: loader.name.clone(), blob: Some(loader.blob.into()) }
}

impl TryFrom<v1::Network> for Network {
    type Error = WireError;

    fn try_from(message: v1::Network) -> Result<Self, WireError> {
        let loader = |loader: v1::Loader| {
            // A platform that is not known here asks for nothing here either.
            let Ok(platform) = Platform::from_wire("loaders.platform", loader.platform) else {
                return Ok(None);
            };
            let blob = required("loaders.blob", loader.blob)?.try_into()?;
            Ok(Some((platform, Loader { name: loader.name, blob })))
        };
        let subnets: Vec<_> = message.subnets.into_iter().map(Subnet::try_from).collect::<Result<_, _>>()?;
        check_subnets(&subnets)?;
        Ok(Self {
            dhcp: DhcpMode::from_wire("dhcp", message.dhcp)?,
            subnets,
            unknown: UnknownMachines::from_wire("unknown", message.unknown)?,
            loaders: message
                .loaders
                .into_iter()
                .filter_map(|l| loader(l).transpose())
                .collect::<Result<_, WireError>>()?,
            cache_bytes: (message.cache_bytes != 0).then_some(message.cache_bytes),
            decline_ipv6: message.decline_ipv6,
            tftp_single_port: message.tftp_single_port,
            reply: ReplySettings::from_wire(message.reply),
            known_dhcp_servers: message.known_dhcp_servers.into_iter().map(Ipv4Addr::from_bits).collect(),
            watch_dhcp: message.watch_dhcp,
            syslog: message.syslog,
            wan: message.wan.map(Into::into).unwrap_or_default(),
            blob_sources: message.blob_sources.iter().filter_map(|url| url.parse().ok()).collect(),
            peers: message.peers.into_iter().map(Into::into).collect(),
        })
    }
}

/// Nothing for the usual: a plan that says no more than before has the digest that it had.
fn wire_reply(settings: &ReplySettings) -> Option<v1::ReplySettings> {
    (*settings != ReplySettings::default()).then(|| settings.into())
}

/// Subnets of one site: every message is looked up among them.
const SUBNETS: usize = 1_024;

/// What the catalog promises of subnets and DHCP relies on, said again where a plan is taken in.
fn check_subnets(subnets: &[Subnet]) -> Result<(), WireError> {
    let bad = |problem: String| Err(WireError::new("subnets", problem));
    if subnets.len() > SUBNETS {
        return bad(format!("are {}, expected at most {SUBNETS}", subnets.len()));
    }
    let mut sorted: Vec<_> = subnets.iter().collect();
    sorted.sort_by_key(|subnet| subnet.network);
    for pair in sorted.windows(2) {
        if pair[0].network.contains(&pair[1].network.network()) {
            return bad(format!("{} overlaps with {}", pair[0].network, pair[1].network));
        }
    }
    for Subnet { network, pools, .. } in subnets {
        if *network != network.trunc() {
            return bad(format!("{network} has host bits set"));
        }
        let mut pools = pools.clone();
        pools.sort();
        if let Some(pool) =
            pools.iter().find(|p| !network.contains(&p.first()) || !network.contains(&p.last()))
        {
            return bad(format!("pool {pool} is not within {network}"));
        }
        if let Some(pair) = pools.windows(2).find(|pair| pair[0].overlaps(pair[1])) {
            return bad(format!("pool {} overlaps with {}", pair[0], pair[1]));
        }
    }
    Ok(())
}

impl From<&Subnet> for v1::Subnet {
    fn from(subnet: &Subnet) -> Self {
        let range =
            |range: &Range| v1::AddressRange { first: range.first().to_bits(), last: range.last().to_bits() };
        Self {
            network: subnet.network.to_string(),
            pools: subnet.pools.iter().map(range).collect(),
            router: address_bits(subnet.router),
            dns: subnet.dns.iter().map(|address| address.to_bits()).collect(),
            ntp: subnet.ntp.iter().map(|address| address.to_bits()).collect(),
            domain: subnet.domain.clone().unwrap_or_default(),
            lease_seconds: u32::try_from(subnet.lease.as_secs()).unwrap_or(u32::MAX),
            shared: subnet.shared.clone().unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Subnet> for Subnet {
    type Error = WireError;

    fn try_from(message: v1::Subnet) -> Result<Self, WireError> {
        let bad = |field: &str, problem: &str| WireError::new(format!("subnets.{field}"), problem);
        let range = |range: v1::AddressRange| {
            Range::new(range.first.into(), range.last.into())
                .ok_or_else(|| bad("pools", "ends before it begins"))
        };
        if message.lease_seconds == 0 {
            return Err(bad("lease_seconds", "is missing"));
        }
        Ok(Self {
            network: message.network.parse().map_err(|_| bad("network", "is no network in CIDR notation"))?,
            pools: message.pools.into_iter().map(range).collect::<Result<_, _>>()?,
            router: optional_address(message.router),
            dns: message.dns.into_iter().map(Into::into).collect(),
            ntp: message.ntp.into_iter().map(Into::into).collect(),
            domain: (!message.domain.is_empty()).then_some(message.domain),
            lease: Duration::from_secs(message.lease_seconds.into()),
            shared: (!message.shared.is_empty()).then_some(message.shared),
        })
    }
}

impl From<BlobRef> for v1::Blob {
    fn from(blob: BlobRef) -> Self {
        Self { sha256: Bytes::copy_from_slice(&blob.digest.0), size: blob.size }
    }
}

impl TryFrom<v1::Blob> for BlobRef {
    type Error = WireError;

    fn try_from(message: v1::Blob) -> Result<Self, WireError> {
        Ok(Self { digest: Digest(array("blob.sha256", &message.sha256)?), size: message.size })
    }
}

impl From<&HostPlan> for v1::HostPlan {
    fn from(host: &HostPlan) -> Self {
        Self {
            id: host.id.to_wire(),
            name: host.name.clone(),
            macs: host.macs.iter().map(|mac| mac.to_wire()).collect(),
            uuid: host.uuid.map(|uuid| Bytes::copy_from_slice(&uuid)).unwrap_or_default(),
            serial: host.serial.clone().unwrap_or_default(),
            address: address_bits(host.address),
            locked: host.locked,
            boot: host.boot.as_ref().map(Into::into),
            tftp_single_port: host.tftp_single_port,
            reply: wire_reply(&host.reply),
        }
    }
}

impl TryFrom<v1::HostPlan> for HostPlan {
    type Error = WireError;

    fn try_from(message: v1::HostPlan) -> Result<Self, WireError> {
        Ok(Self {
            id: HostId::from_wire("id", &message.id)?,
            name: message.name,
            macs: message.macs.iter().map(|mac| Mac::from_wire("macs", mac)).collect::<Result<_, _>>()?,
            uuid: optional_array("uuid", &message.uuid)?,
            serial: (!message.serial.is_empty()).then_some(message.serial),
            address: optional_address(message.address),
            locked: message.locked,
            boot: message.boot.map(Boot::try_from).transpose().map_err(|e| e.within("boot"))?,
            tftp_single_port: message.tftp_single_port,
            reply: ReplySettings::from_wire(message.reply),
        })
    }
}

impl From<&Boot> for v1::Boot {
    fn from(boot: &Boot) -> Self {
        Self {
            profile: boot.profile.clone(),
            image: boot.image.clone(),
            entry: boot.entry.clone(),
            files: boot.files.iter().map(|(name, file)| wire_file(name, file)).collect(),
            loaders: boot.loaders.clone(),
            menu: boot.menu,
        }
    }
}

impl TryFrom<v1::Boot> for Boot {
    type Error = WireError;

    fn try_from(message: v1::Boot) -> Result<Self, WireError> {
        let files: BTreeMap<_, _> = message.files.into_iter().map(decode_file).collect::<Result<_, _>>()?;
        if !files.get(&message.entry).is_some_and(|file: &PlannedFile| file.guard == Guard::Attempt) {
            return Err(WireError::new("entry", format!("{:?} is no open file of this boot", message.entry)));
        }
        let v1::Boot { profile, image, entry, loaders, menu, .. } = message;
        Ok(Self { profile, image, entry, files, loaders, menu })
    }
}

fn wire_file(name: &str, file: &PlannedFile) -> v1::PlannedFile {
    use v1::planned_file::Content as Wire;
    let content = match &file.content {
        Content::Parts(parts) => Wire::Parts(v1::Parts { parts: parts.iter().map(Into::into).collect() }),
        Content::Blob(blob) => Wire::Blob((*blob).into()),
    };
    v1::PlannedFile {
        name: name.into(),
        stage: file.stage.into(),
        guard: file.guard.into(),
        content: Some(content),
    }
}

fn decode_file(message: v1::PlannedFile) -> Result<(String, PlannedFile), WireError> {
    use v1::planned_file::Content as Wire;
    let at = |error: WireError| error.within(&format!("files[{:?}]", message.name));
    let file = PlannedFile {
        stage: Stage::from_wire("stage", message.stage).map_err(at)?,
        guard: Guard::from_wire("guard", message.guard).map_err(at)?,
        content: match required("content", message.content).map_err(at)? {
            Wire::Parts(parts) => Content::Parts(
                parts.parts.into_iter().map(Part::try_from).collect::<Result<_, _>>().map_err(at)?,
            ),
            Wire::Blob(blob) => Content::Blob(blob.try_into().map_err(at)?),
        },
    };
    Ok((message.name, file))
}

impl From<&Part> for v1::Part {
    fn from(part: &Part) -> Self {
        use v1::part::Part as Wire;
        let part = match part {
            Part::Literal(bytes) => Wire::Literal(bytes.clone()),
            Part::Slot(slot) => Wire::Slot((*slot).into()),
            Part::Secret(name) => Wire::Secret(name.clone()),
        };
        Self { part: Some(part) }
    }
}

impl TryFrom<v1::Part> for Part {
    type Error = WireError;

    fn try_from(message: v1::Part) -> Result<Self, WireError> {
        use v1::part::Part as Wire;
        Ok(match required("part", message.part)? {
            Wire::Literal(bytes) => Self::Literal(bytes),
            Wire::Slot(slot) => Self::Slot(Slot::from_wire("slot", slot)?),
            Wire::Secret(name) => Self::Secret(name),
        })
    }
}

impl From<&OrderPlan> for v1::OrderPlan {
    fn from(order: &OrderPlan) -> Self {
        Self {
            id: order.id.to_wire(),
            host: order.host.to_wire(),
            number: order.number,
            not_after_ms: order.not_after.0,
            agent: order.agent.clone(),
            boot: Some((&order.boot).into()),
            install_seconds: u32::try_from(order.install.as_secs()).unwrap_or(u32::MAX),
            attempts: order.attempts,
        }
    }
}

impl TryFrom<v1::OrderPlan> for OrderPlan {
    type Error = WireError;

    fn try_from(message: v1::OrderPlan) -> Result<Self, WireError> {
        if message.attempts == 0 {
            return Err(WireError::new("attempts", "is missing"));
        }
        Ok(Self {
            id: OrderId::from_wire("id", &message.id)?,
            host: HostId::from_wire("host", &message.host)?,
            number: message.number,
            not_after: Wall(message.not_after_ms),
            agent: message.agent,
            boot: required("boot", message.boot)?.try_into().map_err(|e: WireError| e.within("boot"))?,
            install: Duration::from_secs(message.install_seconds.into()),
            attempts: message.attempts,
            secrets: BTreeMap::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Generation;

    fn boot() -> Boot {
        let parts = vec![
            Part::Literal("#!ipxe\nkernel ".into()),
            Part::Slot(Slot::BaseUrl),
            Part::Secret("pw".into()),
        ];
        let script =
            PlannedFile { stage: Stage::Script, guard: Guard::Attempt, content: Content::Parts(parts) };
        let blob = BlobRef { digest: Digest::of(b"kernel"), size: 6 };
        let kernel =
            PlannedFile { stage: Stage::Kernel, guard: Guard::Attempt, content: Content::Blob(blob) };
        Boot {
            profile: "debian-12".into(),
            image: "debian-12-netboot".into(),
            entry: "boot.ipxe".into(),
            files: BTreeMap::from([("boot.ipxe".into(), script), ("linux".into(), kernel)]),
            loaders: vec![],
            menu: false,
        }
    }

    fn host() -> HostPlan {
        HostPlan {
            id: HostId([1; 16]),
            name: "web-1".into(),
            macs: vec![Mac([2; 6])],
            uuid: Some([3; 16]),
            serial: Some("S/N 7".into()),
            address: Some([10, 1, 0, 9].into()),
            locked: false,
            boot: Some(boot()),
            tftp_single_port: true,
            reply: ReplySettings::default(),
        }
    }

    fn network() -> Network {
        let subnet = Subnet {
            network: "10.1.0.0/24".parse().expect("a network"),
            pools: vec!["10.1.0.100-10.1.0.199".parse().expect("a range")],
            router: Some([10, 1, 0, 1].into()),
            dns: vec![[10, 1, 0, 1].into()],
            ntp: vec![],
            domain: Some("lyon.example".into()),
            lease: Duration::from_secs(3600),
            shared: None,
        };
        let blob = BlobRef { digest: Digest::of(b"ipxe"), size: 4 };
        Network {
            dhcp: DhcpMode::Authoritative,
            subnets: vec![subnet],
            unknown: UnknownMachines::Ignore,
            loaders: BTreeMap::from([(Platform::UefiX64, Loader { name: "snponly.efi".into(), blob })]),
            cache_bytes: None,
            decline_ipv6: true,
            tftp_single_port: true,
            reply: ReplySettings::default(),
            known_dhcp_servers: vec![[10, 1, 0, 3].into()],
            watch_dhcp: true,
            syslog: true,
            wan: Wan::default(),
            blob_sources: vec!["https://images.example/blobs".parse().expect("a source")],
            peers: vec![super::super::Peer {
                name: "lyon-2".into(),
                addresses: vec![([10, 1, 0, 3], 7445).into()],
            }],
        }
    }

    fn order() -> OrderPlan {
        OrderPlan {
            id: OrderId([4; 16]),
            host: HostId([1; 16]),
            number: 7,
            not_after: Wall(1_000),
            agent: "lyon-1".into(),
            boot: boot(),
            install: Duration::from_secs(3600),
            attempts: 3,
            secrets: BTreeMap::from([("pw".into(), "hunter2".into())]),
        }
    }

    fn document(entries: Vec<(String, Entry)>) -> PlanDocument {
        PlanDocument::assemble("acme", "lyon", Generation { epoch: 1, revision: 9 }, 1, entries)
    }

    #[test]
    fn a_plan_there_and_back() {
        let secrets = secrets_entry(&order()).expect("it has one");
        let document =
            document(vec![network_entry(&network()), host_entry(&host()), order_entry(&order()), secrets]);
        let plan = SitePlan::decode(&document).expect("a legal plan");
        assert_eq!(plan.network, network());
        assert_eq!(plan.host_of(Mac([2; 6])), Some(&host()));
        assert_eq!(plan.orders_of(HostId([1; 16])).collect::<Vec<_>>(), [&order()]);
        assert_eq!(plan.doubts, []);
        assert_eq!(plan.blobs().count(), 3);
        assert!(!format!("{plan:?}").contains("hunter2"));
    }

    #[test]
    fn blobs_come_in_order_of_need() {
        let blob = |text: &str| BlobRef { digest: Digest::of(text.as_bytes()), size: text.len() as u64 };
        let with = |mut boot: Boot, text: &str, menu| {
            let kernel = boot.files.get_mut("linux").expect("it has one");
            kernel.content = Content::Blob(blob(text));
            Boot { menu, ..boot }
        };
        let named = |number, text: &str, menu| HostPlan {
            id: HostId([number; 16]),
            macs: vec![Mac([number; 6])],
            address: None,
            boot: Some(with(boot(), text, menu)),
            ..host()
        };
        let order = OrderPlan { boot: with(boot(), "ordered", false), ..order() };
        let wanted = |name: &str, need, rank, text| {
            prefetch_entry(&Prefetch { name: name.into(), need, rank, blobs: vec![blob(text)] })
        };
        let entries = vec![
            network_entry(&network()),
            host_entry(&named(1, "in a menu", true)),
            host_entry(&named(2, "booted", false)),
            order_entry(&order),
            wanted("a", super::super::Need::Site, 1, "some day"),
            wanted("b", super::super::Need::Order, 0, "waited for"),
            wanted("c", super::super::Need::Site, 0, "sooner"),
        ];
        let plan = SitePlan::decode(&document(entries)).expect("a legal plan");
        assert_eq!(plan.doubts, []);
        let order = ["ipxe", "ordered", "waited for", "booted", "in a menu", "sooner", "some day"].map(blob);
        assert_eq!(plan.blobs().collect::<Vec<_>>(), order);
    }

    #[test]
    fn a_host_of_a_later_level_keeps_its_address_and_boots_its_disk() {
        let (key, mut entry) = host_entry(&host());
        entry.level = LEVEL + 1;
        let plan =
            SitePlan::decode(&document(vec![network_entry(&network()), (key, entry)])).expect("a legal plan");
        let host = plan.host_of(Mac([2; 6])).expect("still known");
        assert_eq!((host.address, host.locked, &host.boot), (Some([10, 1, 0, 9].into()), true, &None));
        assert_eq!(plan.doubts.len(), 1);
    }

    #[test]
    fn an_identity_that_two_hosts_claim_locks_both() {
        let other = HostPlan { id: HostId([9; 16]), name: "web-2".into(), ..host() };
        let plan = document(vec![network_entry(&network()), host_entry(&host()), host_entry(&other)]);
        let plan = SitePlan::decode(&plan).expect("a legal network");
        assert!(plan.hosts.values().all(|host| host.locked && host.boot.is_none()));
        assert_eq!(plan.doubts.len(), 2);
    }

    #[test]
    fn a_network_that_dhcp_could_not_rely_on_is_refused() {
        let refused = |change: fn(&mut Subnet), other: Option<&str>| {
            let mut network = network();
            let mut second = network.subnets[0].clone();
            change(&mut network.subnets[0]);
            second.pools.clear();
            second.network = other.unwrap_or("10.2.0.0/24").parse().expect("a network");
            network.subnets.push(second);
            SitePlan::decode(&document(vec![network_entry(&network)])).is_err()
        };
        assert!(!refused(|_| {}, None));
        for other in ["10.1.0.0/24", "10.1.0.128/25", "10.0.0.0/8"] {
            assert!(refused(|_| {}, Some(other)), "{other}");
        }
        assert!(refused(|subnet| subnet.network = "10.1.0.7/24".parse().expect("a network"), None));
        assert!(refused(|subnet| subnet.pools = vec!["10.1.0.1-10.9.0.9".parse().expect("a range")], None));
        assert!(refused(|subnet| subnet.pools.push(subnet.pools[0]), None));
    }

    #[test]
    fn an_entry_under_another_key_is_a_doubt() {
        let (_, entry) = host_entry(&host());
        let plan = document(vec![network_entry(&network()), (format!("host/{}", HostId([9; 16])), entry)]);
        let plan = SitePlan::decode(&plan).expect("a legal network");
        assert_eq!((plan.hosts.len(), plan.doubts.len()), (0, 1));
    }

    #[test]
    fn a_broken_order_is_a_doubt_and_a_broken_network_an_error() {
        let broken = |key: &str| (key.to_owned(), Entry { body: vec![0xff; 9].into(), level: 1 });
        let plan =
            SitePlan::decode(&document(vec![network_entry(&network()), broken("order/x"), broken("moon/1")]))
                .expect("the network is legal");
        assert_eq!(
            plan.doubts.iter().map(|doubt| doubt.key.as_str()).collect::<Vec<_>>(),
            ["moon/1", "order/x"]
        );
        SitePlan::decode(&document(vec![broken("network")])).expect_err("no network");
        assert_eq!(SitePlan::decode(&document(vec![])).expect_err("none").to_string(), "network: is missing");
    }
}

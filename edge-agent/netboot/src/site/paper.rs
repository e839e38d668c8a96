//! A small site on paper, for tests.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

pub(crate) use proto::plan::{
    Entry, HostPlan, OrderPlan, ReplySettings, host_entry, network_entry, order_entry, secrets_entry,
};
use proto::{
    Digest, Generation, HostId, Mac, OrderId, Platform, Wall,
    plan::{
        BlobRef, Boot, Content, DhcpMode, Guard, Loader, Network, Part, PlanDocument, PlannedFile, SitePlan,
        Slot, Stage, Subnet, UnknownMachines,
    },
};

pub(crate) const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
pub(crate) const AGENT: &str = "lyon-1";
pub(crate) const HOST: HostId = HostId([1; 16]);
pub(crate) const ORDER: OrderId = OrderId([2; 16]);
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
pub(crate) const NOT_AFTER: Wall = Wall(7_200_000);

pub(crate) fn host() -> HostPlan {
    HostPlan {
        id: HOST,
        name: "web-1".into(),
        macs: vec![MAC],
        uuid: None,
        serial: None,
        address: Some(ADDRESS),
        locked: false,
        boot: None,
        tftp_single_port: false,
        reply: ReplySettings::default(),
    }
}

pub(crate) fn network() -> Network {
    let subnet = Subnet {
        network: "10.1.0.0/24".parse().expect("a network"),
        pools: vec!["10.1.0.100-10.1.0.119".parse().expect("a range")],
        router: Some([10, 1, 0, 1].into()),
        dns: vec![[10, 1, 0, 1].into()],
        ntp: vec![],
        domain: None,
        lease: Duration::from_secs(3_600),
        shared: None,
    };
    let loader = |name: &str| Loader { name: name.into(), blob: blob(name) };
    Network {
        dhcp: DhcpMode::Authoritative,
        subnets: vec![subnet],
        unknown: UnknownMachines::Ignore,
        loaders: BTreeMap::from([
            (Platform::Bios, loader("undionly.kpxe")),
            (Platform::UefiX64, loader("snponly.efi")),
        ]),
        ..Network::default()
    }
}

fn blob(name: &str) -> BlobRef {
    BlobRef { digest: Digest::of(name.as_bytes()), size: name.len() as u64 }
}

fn file(stage: Stage, guard: Guard, content: Content) -> PlannedFile {
    PlannedFile { stage, guard, content }
}

pub(crate) fn boot() -> Boot {
    let script = vec![
        Part::Literal("#!ipxe\nkernel ".into()),
        Part::Slot(Slot::BaseUrl),
        Part::Literal("/a/".into()),
        Part::Slot(Slot::AttemptId),
        Part::Literal("/linux token=".into()),
        Part::Slot(Slot::OrderToken),
    ];
    let answer = vec![Part::Literal("password ".into()), Part::Secret("root".into())];
    let files = [
        ("boot.ipxe", file(Stage::Script, Guard::Attempt, Content::Parts(script))),
        ("linux", file(Stage::Kernel, Guard::Attempt, Content::Blob(blob("linux")))),
        ("preseed.cfg", file(Stage::Answer, Guard::Order, Content::Parts(answer))),
    ];
    Boot {
        profile: "debian-12".into(),
        image: "debian-12-netboot".into(),
        entry: "boot.ipxe".into(),
        files: files.into_iter().map(|(name, file)| (name.to_owned(), file)).collect(),
        loaders: vec![],
        menu: false,
    }
}

pub(crate) fn order() -> OrderPlan {
    OrderPlan {
        id: ORDER,
        host: HOST,
        number: 1,
        not_after: NOT_AFTER,
        agent: AGENT.into(),
        boot: boot(),
        install: Duration::from_secs(3_600),
        attempts: 3,
        secrets: BTreeMap::from([("root".into(), "hunter2".into())]),
    }
}

pub(crate) fn plan_of(revision: u64, entries: Vec<(String, Entry)>) -> SitePlan {
    let generation = Generation { epoch: 1, revision };
    let document = PlanDocument::assemble("acme", "lyon", generation, 1, entries);
    SitePlan::decode(&document).expect("a legal plan")
}

pub(crate) fn plan() -> SitePlan {
    plan_of(1, vec![network_entry(&network()), host_entry(&host())])
}

/// A site that gives leases to machines that it does not know.
pub(crate) fn plan_that_leases() -> SitePlan {
    let network = Network { unknown: UnknownMachines::Lease, ..network() };
    plan_of(1, vec![network_entry(&network), host_entry(&host())])
}

pub(crate) fn plan_with_order() -> SitePlan {
    let mut entries = vec![network_entry(&network()), host_entry(&host()), order_entry(&order())];
    entries.extend(secrets_entry(&order()));
    plan_of(2, entries)
}

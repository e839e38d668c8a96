//! A site with one host and one order.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use proto::plan::{
    BlobRef, Boot, Content, DhcpMode, Guard, HostPlan, Loader, Network, OrderPlan, Part, PlanDocument,
    PlannedFile, ReplySettings, SitePlan, Slot, Stage, Subnet, UnknownMachines, host_entry, network_entry,
    order_entry,
};
use proto::{Digest, Generation, HostId, Mac, OrderId, Platform, Wall};

pub(crate) const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
pub(crate) const UUID: [u8; 16] = *b"the one machine!";
pub(crate) const AGENT: &str = "lyon-1";
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
/// How long an installation may take.
pub(crate) const INSTALL: Duration = Duration::from_secs(3_600);

/// What a test changes.
pub(crate) struct Plan {
    pub(crate) host: HostPlan,
    pub(crate) network: Network,
    pub(crate) script: String,
    pub(crate) ordered: bool,
    /// How often the order may be tried.
    pub(crate) attempts: u32,
}

impl Plan {
    /// Nothing is wrong with it.
    pub(crate) fn good() -> Self {
        let script = "#!ipxe\nkernel linux url=".to_owned();
        Self { host: host(), network: network(), script, ordered: true, attempts: 3 }
    }

    pub(crate) fn decoded(&self) -> SitePlan {
        let mut entries = vec![network_entry(&self.network), host_entry(&self.host)];
        entries.extend(self.ordered.then(|| order_entry(&self.order())));
        let generation = Generation { epoch: 1, revision: 1 };
        let document = PlanDocument::assemble("acme", "lyon", generation, 1, entries);
        SitePlan::decode(&document).expect("a legal plan")
    }

    fn order(&self) -> OrderPlan {
        OrderPlan {
            id: OrderId([2; 16]),
            host: self.host.id,
            number: 1,
            not_after: Wall(7_200_000),
            agent: AGENT.into(),
            boot: self.boot(),
            install: INSTALL,
            attempts: self.attempts,
            secrets: BTreeMap::new(),
        }
    }

    fn boot(&self) -> Boot {
        let script = vec![
            Part::Literal(self.script.clone().into()),
            Part::Slot(Slot::BaseUrl),
            Part::Literal("/o/".into()),
            Part::Slot(Slot::OrderToken),
            Part::Literal("/preseed.cfg\nboot\n".into()),
        ];
        let answer = Content::Parts(vec![Part::Literal("d-i ...".into())]);
        let files = [
            ("boot.ipxe", Stage::Script, Guard::Attempt, Content::Parts(script)),
            ("linux", Stage::Kernel, Guard::Attempt, Content::Blob(blob("linux"))),
            ("preseed.cfg", Stage::Answer, Guard::Order, answer),
        ];
        let file = |(name, stage, guard, content): (&str, _, _, _)| {
            (name.to_owned(), PlannedFile { stage, guard, content })
        };
        Boot {
            profile: "web".into(),
            image: "debian".into(),
            entry: "boot.ipxe".into(),
            files: files.into_iter().map(file).collect(),
            loaders: vec![],
            menu: false,
        }
    }
}

fn host() -> HostPlan {
    HostPlan {
        id: HostId([1; 16]),
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

fn network() -> Network {
    let subnet = Subnet {
        network: "10.1.0.0/24".parse().expect("a network"),
        pools: vec![],
        router: None,
        dns: vec![],
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
        loaders: BTreeMap::from([(Platform::UefiX64, loader("snponly.efi"))]),
        ..Network::default()
    }
}

pub(crate) fn blob(name: &str) -> BlobRef {
    BlobRef { digest: Digest::of(name.as_bytes()), size: 1_000_000 }
}

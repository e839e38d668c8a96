//! A plan with many hosts and an order for each: what an agent that nobody talks to has on its disk.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use edge_agent::disk::cache::Cache;
use edge_agent::plans::PlanStore;
use proto::plan::{
    BlobRef, Boot, Content, DhcpMode, Guard, HostPlan, Loader, Network, OrderPlan, Part, PlanDocument,
    PlannedFile, ReplySettings, Slot, Stage, Subnet, UnknownMachines, host_entry, network_entry, order_entry,
    secrets_entry,
};
use proto::{Digest, Generation, HostId, Mac, OrderId, Platform, Wall};

use super::segment::{AGENT, FLEET, NETWORK, SERVER, SITE};
use rom::{Firmware, Identity};

/// The bytes of everything that machines boot: small, and long enough for a kill to fall into.
const BLOB_BYTES: usize = 200_000;
/// Where the fixed addresses of hosts begin, and the pool.
const FIXED: u32 = 0x1000;
const POOL: (u32, u32) = (0x8000, 0xbffe);
/// Lasts longer than any test.
const LEASE: Duration = Duration::from_secs(3_600);

/// A machine of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Its number.
    pub number: u32,
    /// What it shows of itself.
    pub identity: Identity,
}

/// How the site knows a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// A host with an order and an address of its own.
    Fixed,
    /// A host with an order and an address from the pool.
    Pooled,
    /// Not at all: an address from the pool, and its local disk.
    Stranger,
}

impl Stand {
    /// The machine of this number.
    #[must_use]
    pub fn new(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        let firmware = match number % 5 {
            0 | 1 => Firmware::Ipxe(proto::Platform::Bios),
            2 => Firmware::BIOS,
            _ => Firmware::UEFI,
        };
        let mac = Mac([0x52, 0x54, a, b, c, d]);
        Self { number, identity: Identity { mac, uuid: [d; 16], firmware } }
    }

    /// How the site knows it.
    #[must_use]
    pub fn known(self) -> Known {
        match self.number % 4 {
            0 | 1 => Known::Fixed,
            2 => Known::Pooled,
            _ => Known::Stranger,
        }
    }

    /// Its id in the plan.
    #[must_use]
    pub fn host(self) -> HostId {
        HostId(id(b'h', self.number))
    }

    /// The id of its order.
    #[must_use]
    pub fn order(self) -> OrderId {
        OrderId(id(b'o', self.number))
    }

    fn address(self) -> Option<Ipv4Addr> {
        (self.known() == Known::Fixed).then(|| at(FIXED + self.number))
    }
}

fn id(kind: u8, number: u32) -> [u8; 16] {
    let mut id = [kind; 16];
    id[12..].copy_from_slice(&number.to_be_bytes());
    id
}

fn at(offset: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(NETWORK.network().to_bits() + offset)
}

/// The plan for these machines.
#[must_use]
pub fn plan(machines: &[Stand]) -> PlanDocument {
    let mut entries = vec![network_entry(&network())];
    for machine in machines.iter().filter(|machine| machine.known() != Known::Stranger) {
        let order = order(*machine);
        entries.extend([host_entry(&host(*machine)), order_entry(&order)]);
        entries.extend(secrets_entry(&order));
    }
    PlanDocument::assemble(FLEET, SITE, Generation { epoch: 1, revision: 1 }, 1, entries)
}

/// Puts the plan and everything that it names where an agent with this state folder finds it.
///
/// # Errors
/// When the disk fails.
pub fn lay_down(state: &std::path::Path, plan: PlanDocument) -> anyhow::Result<()> {
    let (mut plans, _) = PlanStore::open(&state.join("plans"))?;
    let id = plan.id();
    plans.adopt(plan)?;
    // Kills are no fault of the plan: the agent is not to give it up.
    plans.settle(id)?;
    let (cache, _) = Cache::open(&state.join("cache"), SystemTime::now(), Duration::from_secs(60))?;
    let cache = Arc::new(cache);
    for name in ["linux", "initrd.gz", "disk.img", "undionly.kpxe", "snponly.efi"] {
        let bytes = bytes(name);
        let mut fill = cache.fill(Digest::of(&bytes), bytes.len() as u64)?;
        fill.write(&bytes)?;
        fill.finish()?;
    }
    Ok(())
}

/// The content of a blob by its name.
#[must_use]
pub fn bytes(name: &str) -> Vec<u8> {
    let length = if name.contains("pxe") || name.ends_with(".efi") { BLOB_BYTES / 50 } else { BLOB_BYTES };
    name.bytes().cycle().take(length).collect()
}

fn blob(name: &str) -> BlobRef {
    let bytes = bytes(name);
    BlobRef { digest: Digest::of(&bytes), size: bytes.len() as u64 }
}

fn network() -> Network {
    let pool = proto::Range::new(at(POOL.0), at(POOL.1)).expect("it begins before it ends");
    let subnet = Subnet {
        network: NETWORK,
        pools: vec![pool],
        router: Some(SERVER),
        dns: vec![SERVER],
        ntp: vec![],
        domain: None,
        lease: LEASE,
        shared: None,
    };
    let loader = |name: &str| Loader { name: name.into(), blob: blob(name) };
    Network {
        dhcp: DhcpMode::Authoritative,
        subnets: vec![subnet],
        unknown: UnknownMachines::Lease,
        loaders: BTreeMap::from([
            (Platform::Bios, loader("undionly.kpxe")),
            (Platform::UefiX64, loader("snponly.efi")),
        ]),
        ..Network::default()
    }
}

fn host(machine: Stand) -> HostPlan {
    HostPlan {
        id: machine.host(),
        name: format!("machine-{}", machine.number),
        macs: vec![machine.identity.mac],
        uuid: None,
        serial: None,
        address: machine.address(),
        locked: false,
        boot: None,
        tftp_single_port: false,
        reply: ReplySettings::default(),
    }
}

fn order(machine: Stand) -> OrderPlan {
    OrderPlan {
        id: machine.order(),
        host: machine.host(),
        number: 1,
        not_after: Wall::from(SystemTime::now()).plus(LEASE),
        agent: AGENT.into(),
        boot: boot(),
        install: LEASE,
        attempts: 3,
        secrets: BTreeMap::from([("root".into(), "hunter2".into())]),
    }
}

/// The kernel's command line says where the answer file and the image are, as an installer's does.
fn boot() -> Boot {
    let literal = |text: &'static str| Part::Literal(text.into());
    let own = || [Part::Slot(Slot::BaseUrl), literal("/o/"), Part::Slot(Slot::OrderToken)];
    let mut script = vec![literal("#!ipxe\nkernel linux order=")];
    script.extend(own());
    script.push(literal("\ninitrd initrd.gz\nboot\n"));
    let answer = vec![literal("password "), Part::Secret("root".into())];
    let file = |stage, guard, content| PlannedFile { stage, guard, content };
    let files = [
        ("boot.ipxe", file(Stage::Script, Guard::Attempt, Content::Parts(script))),
        ("linux", file(Stage::Kernel, Guard::Attempt, Content::Blob(blob("linux")))),
        ("initrd.gz", file(Stage::Initrd, Guard::Attempt, Content::Blob(blob("initrd.gz")))),
        ("answer", file(Stage::Answer, Guard::Order, Content::Parts(answer))),
        ("disk.img", file(Stage::Image, Guard::Order, Content::Blob(blob("disk.img")))),
    ];
    Boot {
        profile: "paper".into(),
        image: "paper-1".into(),
        entry: "boot.ipxe".into(),
        files: files.into_iter().map(|(name, file)| (name.to_owned(), file)).collect(),
        loaders: vec![],
        menu: false,
    }
}

//! What the first set holds: every field, every kind of event and record that there was at the time, at least once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use proto::event::{AlarmKind, Answer, Client, EventKind, LeaseEnd, OrderPhase, Transport};
use proto::ledger::{Lease, LeaseKey, OrderState, Quarantine, Record};
use proto::plan::{
    BlobRef, Boot, Content, DhcpMode, Guard, HostPlan, Loader, Network, OrderPlan, Part, PlannedFile,
    ReplySettings, Slot, Stage, Subnet, UnknownMachines,
};
use proto::{AttemptId, Digest, Generation, HostId, Mac, OrderId, PlanId, Platform, Token128, Wall};

pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
pub(super) const ORDER: OrderId = OrderId([4; 16]);
pub(super) const HOST: HostId = HostId([1; 16]);
pub(super) const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);

pub(super) fn network() -> Network {
    let subnet = Subnet {
        network: "10.1.0.0/24".parse().expect("a network"),
        pools: vec!["10.1.0.100-10.1.0.199".parse().expect("a range")],
        router: Some([10, 1, 0, 1].into()),
        dns: vec![[10, 1, 0, 1].into(), [10, 1, 0, 2].into()],
        ntp: vec![[10, 1, 0, 3].into()],
        domain: Some("lab.example".into()),
        lease: Duration::from_secs(3_600),
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
        cache_bytes: Some(1 << 30),
        ..Network::default()
    }
}

pub(super) fn host() -> HostPlan {
    HostPlan {
        id: HOST,
        name: "web-1".into(),
        macs: vec![MAC, Mac([0x52, 0x54, 0, 0, 0, 2])],
        uuid: Some([3; 16]),
        serial: Some("S/N 7".into()),
        address: Some(ADDRESS),
        locked: true,
        boot: Some(boot()),
        tftp_single_port: false,
        reply: ReplySettings::default(),
    }
}

pub(super) fn order() -> OrderPlan {
    OrderPlan {
        id: ORDER,
        host: HOST,
        number: 7,
        not_after: Wall(1_700_000_000_000),
        agent: "one".into(),
        boot: boot(),
        install: Duration::from_secs(7_200),
        attempts: 3,
        secrets: BTreeMap::from([("root".into(), "hunter2".into())]),
    }
}

pub(super) fn boot() -> Boot {
    let slots = [
        Slot::BaseUrl,
        Slot::ServerAddress,
        Slot::ClientAddress,
        Slot::ClientMac,
        Slot::OrderToken,
        Slot::AttemptId,
    ];
    let mut script = vec![Part::Literal("#!ipxe\n".into())];
    script.extend(slots.map(Part::Slot));
    let parts = |parts| Content::Parts(parts);
    let file = |stage, guard, content| PlannedFile { stage, guard, content };
    let files = [
        ("boot.ipxe", file(Stage::Script, Guard::Attempt, parts(script))),
        ("linux", file(Stage::Kernel, Guard::Attempt, Content::Blob(blob("linux")))),
        ("initrd.gz", file(Stage::Initrd, Guard::Attempt, Content::Blob(blob("initrd.gz")))),
        ("preseed.cfg", file(Stage::Answer, Guard::Order, parts(vec![Part::Secret("root".into())]))),
        ("disk.img", file(Stage::Image, Guard::Order, Content::Blob(blob("disk.img")))),
        ("late.sh", file(Stage::Other, Guard::Order, parts(vec![Part::Literal("true".into())]))),
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

pub(super) fn blob(name: &str) -> BlobRef {
    BlobRef { digest: Digest::of(name.as_bytes()), size: name.len() as u64 }
}

pub(super) fn kinds() -> Vec<EventKind> {
    let plan = PlanId {
        generation: Generation { epoch: 1, revision: 8 },
        planner: 1,
        digest: Digest::of(b"recorded"),
    };
    let (name, why) = ("linux".to_owned(), "because".to_owned());
    let (until, client) = (Wall(1_690_003_600_000), Client::Ipxe);
    vec![
        EventKind::AttemptBegan {
            platform: Some(Platform::UefiX64),
            client: Client::PxeRom,
            vendor_class: "PXEClient:Arch:00007:UNDI:003000".into(),
            uuid: Some([3; 16]),
            relay: Some([10, 2, 0, 1].into()),
            architecture: None,
        },
        EventKind::Decided { answer: Answer::Script, reason: why.clone(), order: Some(ORDER), because: None },
        EventKind::Offered { address: Some(ADDRESS), file: name.clone(), client },
        EventKind::Leased { address: ADDRESS, until, client },
        EventKind::LeaseEnded { address: ADDRESS, how: LeaseEnd::Declined },
        EventKind::FileServed {
            transport: Transport::Tftp,
            stage: Stage::Kernel,
            name: name.clone(),
            bytes: 1 << 33,
            took_ms: 12,
            retransmissions: 3,
            repeats: 0,
        },
        EventKind::FileRefused {
            transport: Transport::Http,
            name: name.clone(),
            why: why.clone(),
            refusal: None,
            by_token: false,
        },
        EventKind::FileBroken {
            transport: Transport::Http,
            stage: Stage::Image,
            name,
            bytes: 17,
            why: why.clone(),
            breakage: None,
            block_size: 0,
            retransmissions: 0,
            took_ms: 0,
        },
        EventKind::OrderMoved { order: ORDER, number: 7, phase: OrderPhase::Started, reason: why.clone() },
        EventKind::Progress { percent: Some(40), text: why.clone() },
        EventKind::OsUp { address: Some(ADDRESS) },
        EventKind::Alarm { kind: AlarmKind::ForeignDhcp, detail: why.clone() },
        EventKind::PlanAdopted(plan),
        EventKind::PlanRefused { plan, why },
    ]
}

pub(super) fn records(next_number: u64) -> [Record; 9] {
    let key = LeaseKey { mac: MAC, network: "10.1.0.0/24".parse().expect("a network") };
    let state = OrderState {
        order: ORDER,
        host: HOST,
        number: 7,
        phase: OrderPhase::Started,
        attempts: 2,
        attempt: Some(AttemptId([5; 16])),
        token: Some(Token128([6; 16])),
        started: Some(Wall(1_690_000_000_000)),
        not_after: Wall(1_700_000_000_000),
    };
    [
        Record::Acknowledged(3),
        Record::Lease(Lease { key, address: ADDRESS, until: Wall(1_690_003_600_000) }),
        Record::Order(state),
        Record::Wall(Wall(1_690_000_000_001)),
        Record::Quarantine(Quarantine { address: [10, 1, 0, 100].into(), until: Wall(1_690_086_400_000) }),
        Record::LeaseRemoved(key),
        Record::OrderRemoved(OrderId([8; 16])),
        Record::NextNumber(next_number),
        Record::WallSet(Wall(1_795_261_000_000)),
    ]
}

pub(super) const DOCUMENTS: [&str; 4] = [
    r#"{"kind":"Secret","name":"root","spec":{"value":"hunter2"}}"#,
    r#"{"kind":"Site","name":"lab","labels":{"country":"fr"},"spec":{"subnets":[{"network":"10.1.0.0/24","pools":["10.1.0.100-10.1.0.199"],"router":"10.1.0.1","dns":["10.1.0.1"],"lease":"2h"}],"unknown":"lease","cache":"10GiB","variables":{"ntp":"10.1.0.3"}}}"#,
    r#"{"kind":"Host","name":"web-1","spec":{"site":"lab","macs":["52:54:00:00:00:01"],"uuid":"03030303-0303-0303-0303-030303030303","serial":"S/N 7","address":"10.1.0.9","variables":{"disk":"/dev/vda"}}}"#,
    r#"{"kind":"Host","name":"web-2","spec":{"site":"lab","macs":["52:54:00:00:00:03"],"locked":true}}"#,
];

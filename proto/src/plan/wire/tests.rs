//! Plans there and back, and what becomes of parts that are not understood.

use std::{collections::BTreeMap, time::Duration};

use super::super::{
    BlobRef, Boot, Content, DhcpMode, Entry, Guard, HostPlan, LEVEL, Loader, Need, Network, OrderPlan, Part,
    Peer, PlanDocument, PlannedFile, Prefetch, ReplySettings, SitePlan, Slot, Stage, Subnet, UnknownMachines,
    Wan,
};
use super::{host_entry, network_entry, order_entry, prefetch_entry, secrets_entry};
use crate::{Digest, Generation, HostId, Mac, OrderId, Platform, Wall};

fn boot() -> Boot {
    let parts =
        vec![Part::Literal("#!ipxe\nkernel ".into()), Part::Slot(Slot::BaseUrl), Part::Secret("pw".into())];
    let script = PlannedFile { stage: Stage::Script, guard: Guard::Attempt, content: Content::Parts(parts) };
    let blob = BlobRef { digest: Digest::of(b"kernel"), size: 6 };
    let kernel = PlannedFile { stage: Stage::Kernel, guard: Guard::Attempt, content: Content::Blob(blob) };
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
        peers: vec![Peer { name: "lyon-2".into(), addresses: vec![([10, 1, 0, 3], 7445).into()] }],
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
        wanted("a", Need::Site, 1, "some day"),
        wanted("b", Need::Order, 0, "waited for"),
        wanted("c", Need::Site, 0, "sooner"),
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
    assert_eq!(plan.doubts.iter().map(|doubt| doubt.key.as_str()).collect::<Vec<_>>(), ["moon/1", "order/x"]);
    SitePlan::decode(&document(vec![broken("network")])).expect_err("no network");
    assert_eq!(SitePlan::decode(&document(vec![])).expect_err("none").to_string(), "network: is missing");
}

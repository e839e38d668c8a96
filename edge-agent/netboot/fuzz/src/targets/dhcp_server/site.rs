//! The site that is played on: its plans, its machines, its addresses.

use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::time::Duration;

use proto::plan::{
    DhcpMode, HostPlan, Network, PlanDocument, ReplySettings, SitePlan, Subnet, UnknownMachines, host_entry,
    network_entry,
};
use proto::{Generation, HostId, Mac};

pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
pub(super) const OTHER_SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 3);
/// The router of the server's own link, and that of a link behind a relay agent.
pub(super) const LINK: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub(super) const OTHER_LINK: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// The machines; the first three are cards of hosts.
pub(super) const MACHINES: u8 = 6;
pub(super) const KNOWN_CARDS: usize = 3;

/// What the pools hold beside router, servers and ourselves: .5 to .9 here, .4 to .7 there.
pub(super) const ADDRESSES: usize = 9;

pub(super) fn machine(n: u8) -> Mac {
    Mac([2, 0, 0, 2, 0, n])
}

/// The machine's subnet has these addresses too, and nobody is ever given them.
pub(super) fn is_reserved(address: Ipv4Addr) -> bool {
    [SERVER, OTHER_SERVER, LINK, OTHER_LINK, [10, 1, 0, 4].into()].contains(&address)
}

/// Two authoritative plans that differ in a fixed address, a proxy's and a silent one.
pub(super) fn plans() -> &'static [SitePlan; 4] {
    static PLANS: OnceLock<[SitePlan; 4]> = OnceLock::new();
    PLANS.get_or_init(|| {
        let fixed = Some([10, 1, 0, 8].into());
        [
            plan(1, DhcpMode::Authoritative, None),
            plan(2, DhcpMode::Authoritative, fixed),
            plan(3, DhcpMode::Proxy, fixed),
            plan(4, DhcpMode::Off, None),
        ]
    })
}

fn plan(revision: u64, dhcp: DhcpMode, fixed: Option<Ipv4Addr>) -> SitePlan {
    let network = Network {
        dhcp,
        subnets: vec![
            subnet("10.1.0.0/24", "10.1.0.1-10.1.0.9", LINK),
            subnet("10.9.0.0/24", "10.9.0.4-10.9.0.7", OTHER_LINK),
        ],
        unknown: UnknownMachines::Lease,
        ..Network::default()
    };
    let hosts = [
        host(1, "one", vec![machine(0), machine(1)], Some([10, 1, 0, 9].into())),
        host(2, "two", vec![machine(2)], fixed),
    ];
    let entries = [network_entry(&network)].into_iter().chain(hosts.iter().map(host_entry));
    let document = PlanDocument::assemble("acme", "lyon", Generation { epoch: 1, revision }, 1, entries);
    SitePlan::decode(&document).expect("a legal plan")
}

fn subnet(network: &str, pool: &str, router: Ipv4Addr) -> Subnet {
    Subnet {
        network: network.parse().expect("a network"),
        pools: vec![pool.parse().expect("a range")],
        router: Some(router),
        dns: vec![OTHER_SERVER],
        ntp: vec![[10, 1, 0, 4].into()],
        domain: Some("lyon.example".to_owned()),
        lease: Duration::from_secs(3600),
        shared: None,
    }
}

fn host(id: u8, name: &str, macs: Vec<Mac>, address: Option<Ipv4Addr>) -> HostPlan {
    HostPlan {
        id: HostId([id; 16]),
        name: name.to_owned(),
        macs,
        uuid: None,
        serial: None,
        address,
        locked: false,
        boot: None,
        tftp_single_port: false,
        reply: ReplySettings::default(),
    }
}

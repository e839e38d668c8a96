//! The machine before the real DHCP engine, on paper time.

use std::time::Duration;

use netboot::{
    dhcp::{BootAnswer, Context, Effect, Request, Server},
    time::Now,
};
use proto::{
    Generation, HostId, Mac, Platform,
    event::Client,
    plan::{
        DhcpMode, HostPlan, Network, PlanDocument, ReplySettings, SitePlan, Subnet, host_entry, network_entry,
    },
};

use super::*;

const BASE: &str = "http://10.1.0.2:8080";
const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);

fn plan() -> SitePlan {
    let subnet = Subnet {
        network: "10.1.0.0/24".parse().expect("a network"),
        pools: Vec::new(),
        router: None,
        dns: Vec::new(),
        ntp: Vec::new(),
        domain: None,
        lease: Duration::from_secs(3600),
        shared: None,
    };
    let network = Network { dhcp: DhcpMode::Authoritative, subnets: vec![subnet], ..Network::default() };
    let host = HostPlan {
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
    };
    let entries = [network_entry(&network), host_entry(&host)];
    let generation = Generation { epoch: 1, revision: 1 };
    let document = PlanDocument::assemble("acme", "lyon", generation, 1, entries);
    SitePlan::decode(&document).expect("a legal plan")
}

/// What each program is told, what is fetched by whom, and how it ends.
fn boot(firmware: Firmware, answer: impl Fn(Client) -> BootAnswer, script: &str) -> (Vec<Source>, End) {
    let (plan, mut server, mut now) = (plan(), Server::new(), Now::default());
    let identity = Identity { mac: MAC, uuid: [7; 16], firmware };
    let mut machine = Machine::power_on(now, identity, 1);
    let mut fetched = Vec::new();
    for _ in 0..100 {
        match machine.poll_action() {
            Some(Action::Broadcast(datagram)) => {
                let request = Request::parse(&datagram).expect("legal");
                let context = Context {
                    network: &plan.network,
                    host: plan.host_of(request.mac),
                    plan: &plan,
                    server: [10, 1, 0, 2].into(),
                    base_url: BASE,
                    answer: &answer(request.client),
                    form: proto::plan::ReplyForm::default(),
                    wire: Some(0),
                    grants_allowed: true,
                };
                for effect in server.handle(now, &request, &context) {
                    if let Effect::Send { datagram, .. } = effect {
                        machine.handle(now, Input::Datagram(&datagram));
                    }
                }
            }
            Some(Action::Ask { .. }) => panic!("there is no other server"),
            Some(Action::Fetch { from, source }) => {
                assert_eq!(from, ADDRESS);
                let there = !matches!(&source, Source::Http { url } if url.ends_with("/none"));
                fetched.push(source);
                machine.handle(now, Input::Fetched(there.then_some(script.as_bytes())));
            }
            Some(Action::End(end)) => return (fetched, end),
            None => {
                let due = machine.poll_timeout().expect("it waits for something");
                now = now.plus(due.since(now.mono));
                machine.handle_timeout(now);
            }
        }
    }
    panic!("no end");
}

fn http(path: &str) -> Source {
    Source::Http { url: format!("{BASE}/{path}") }
}

fn chain(client: Client) -> BootAnswer {
    match client {
        Client::Ipxe | Client::Gpxe => BootAnswer::Script { url: format!("{BASE}/a/0011/boot.ipxe") },
        Client::PxeRom | Client::HttpRom => BootAnswer::Loader { name: "snponly.efi".into() },
        Client::Bootp | Client::Os => BootAnswer::AddressOnly,
    }
}

#[test]
fn every_firmware_finds_its_kernel() {
    let script = "#!ipxe\nkernel linux quiet\ninitrd initrd.gz\nboot\n";
    let tftp = Source::Tftp { server: [10, 1, 0, 2].into(), name: "snponly.efi".into(), options: &[] };
    for (firmware, loader) in [
        (Firmware::BIOS, Some(tftp.clone())),
        (Firmware::UEFI, Some(tftp)),
        (Firmware::Http(Platform::UefiX64), Some(http("l/snponly.efi"))),
        (Firmware::Ipxe(Platform::Bios), None),
    ] {
        let (fetched, end) = boot(firmware, chain, script);
        let rest = [http("a/0011/boot.ipxe"), http("a/0011/linux"), http("a/0011/initrd.gz")];
        assert_eq!(fetched, loader.into_iter().chain(rest).collect::<Vec<_>>(), "{firmware:?}");
        assert_eq!(end, End::Kernel { arguments: "quiet".into(), address: ADDRESS });
    }
}

#[test]
fn every_firmware_finds_its_disk() {
    for firmware in [Firmware::BIOS, Firmware::UEFI, Firmware::Ipxe(Platform::Bios)] {
        assert_eq!(boot(firmware, |_| BootAnswer::LocalDisk, ""), (vec![], End::LocalDisk));
    }
    let (fetched, end) = boot(Firmware::Http(Platform::UefiX64), |_| BootAnswer::LocalDisk, "");
    assert_eq!((fetched, end), (vec![http("l/none")], End::NextDevice { why: "no loader" }));
}

#[test]
fn an_address_alone_leads_to_the_next_device() {
    let (_, end) = boot(Firmware::UEFI, |_| BootAnswer::AddressOnly, "");
    assert_eq!(end, End::NextDevice { why: "nothing to boot" });
}

#[test]
fn a_kernel_that_does_not_arrive_is_asked_for_again() {
    let script = "#!ipxe\nkernel linux BOOTIF=01-${netX/mac:hexhyp} || goto retry\ninitrd none\nboot\n";
    let (fetched, end) = boot(Firmware::Ipxe(Platform::Bios), chain, script);
    assert_eq!((fetched.len(), end), (11, End::NextDevice { why: "a file of the kernel is missing" }));
    let (_, end) = boot(Firmware::Ipxe(Platform::Bios), chain, &script.replace("none", "initrd.gz"));
    let arguments = "BOOTIF=01-52-54-00-00-00-01".into();
    assert_eq!(end, End::Kernel { arguments, address: ADDRESS });
}

#[test]
fn scripts_in_a_circle_end() {
    let (fetched, end) = boot(Firmware::Ipxe(Platform::Bios), chain, "#!ipxe\nchain boot.ipxe\n");
    assert_eq!((fetched.len(), end), (9, End::NextDevice { why: "scripts in a circle" }));
}

#[test]
fn silence_ends_after_a_minute() {
    let mut now = Now::default();
    let identity = Identity { mac: MAC, uuid: [7; 16], firmware: Firmware::UEFI };
    let mut machine = Machine::power_on(now, identity, 1);
    let mut sent = 0;
    while let Some(action) = machine.poll_action() {
        match action {
            Action::Broadcast(_) => sent += 1,
            Action::End(end) => {
                assert_eq!((sent, end), (4, End::NextDevice { why: "no address" }));
                assert_eq!(now.mono.0, Duration::from_secs(60));
                return;
            }
            Action::Ask { .. } | Action::Fetch { .. } => panic!("nothing was offered"),
        }
        now = now.plus(machine.poll_timeout().expect("it asks again").since(now.mono));
        machine.handle_timeout(now);
    }
    panic!("no end");
}

//! Real clients' exchanges with a real agent, as the lab captured them: the engine must say the same again, byte by byte.
//!
//! Each file of `golden` is one capture: what was heard, and what was said to it. It is recorded by
//! `cargo run -p integration --example record-exchange`; CONTRIBUTING says how. Replies that were changed on purpose are
//! written anew by `BOOTLANE_RECORD=1 cargo test -p netboot recorded`, and their differences are read before they are
//! committed.

mod text;

use std::time::Duration;

use proto::plan::{DhcpMode, Network, SitePlan, UnknownMachines, host_entry, network_entry};

use self::text::{Line, Recording};
use super::*;

/// The agent of the lab.
const AGENT: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);

macro_rules! recordings {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("golden/", $name, ".txt"))),)*]
    };
}

/// By the client that each is about.
const RECORDINGS: &[(&str, &str)] = recordings![
    "aavmf-pxe",
    "debian-installer",
    "dhclient",
    "dhcpcd",
    "dhcrelay-ipxe",
    "dhcrelay-ovmf",
    "ipxe-rom-beside",
    "ipxe-rom-virtio",
    "networkd",
    "ovmf-beside",
    "ovmf-http",
    "ovmf-pxe",
    "ovmf-secure",
    "pxelinux",
    "udhcpc",
    "undionly",
];

#[test]
fn recorded_clients_are_answered_as_they_were() {
    let mut changed = Vec::new();
    for (name, text) in RECORDINGS {
        let recording = Recording::parse(text);
        let replayed = replay(&recording);
        record(name, &replayed.to_string());
        let lines = recording.lines.iter().zip(&replayed.lines);
        if let Some((before, now)) = lines.clone().find(|(before, now)| before != now) {
            changed.push(format!("{name}: was\n{before}is\n{now}"));
        } else if recording.lines.len() != replayed.lines.len() {
            changed.push(format!("{name}: {} lines were {}", replayed.lines.len(), recording.lines.len()));
        }
    }
    assert!(changed.is_empty(), "other replies than those recorded:\n{}", changed.join("\n"));
}

/// A file that says nothing would agree with everything.
#[test]
fn every_recording_has_a_whole_exchange() {
    for (name, text) in RECORDINGS {
        let lines = Recording::parse(text).lines;
        let (heard, said): (Vec<_>, Vec<_>) =
            lines.iter().filter(|line| !matches!(line, Line::Answer(_))).partition(|line| line.is_heard());
        assert!(heard.len() >= 2 && !said.is_empty(), "{name}");
    }
}

/// Hears it all again, on paper.
fn replay(recording: &Recording) -> Recording {
    let mut site = site(recording);
    let mut lines = Vec::new();
    for line in &recording.lines {
        match line {
            Line::Said { .. } => continue,
            Line::Answer(answer) => site.answer = answer.clone(),
            Line::Heard { from, to, bytes } => {
                let request = match to.port() {
                    4011 => Request::parse_boot_service(bytes, *from),
                    _ => Request::parse(bytes),
                };
                lines.push(line.clone());
                site.wait(Duration::from_secs(1));
                let effects = site.hear_request(&request.expect("it was heard before"));
                lines.extend(effects.into_iter().filter_map(said));
                continue;
            }
        }
        lines.push(line.clone());
    }
    Recording { lines, ..recording.clone() }
}

fn said(effect: Effect) -> Option<Line> {
    let Effect::Send { datagram, to } = effect else { return None };
    Some(Line::Said { to: text::on_the_wire(to), bytes: datagram })
}

/// The lab's site, as its catalog declares it.
fn site(recording: &Recording) -> Site {
    let hosts = recording.host.iter().map(|(name, mac)| host(1, name, vec![*mac], None));
    let network = network_of(&recording.site);
    let entries = [network_entry(&network)].into_iter().chain(hosts.map(|host| host_entry(&host)));
    let document = PlanDocument::assemble("demo", "demo", Generation { epoch: 1, revision: 1 }, 1, entries);
    let mut site = Site::of(SitePlan::decode(&document).expect("a legal plan"));
    (site.address, site.base_url) = (AGENT, format!("http://{AGENT}"));
    site
}

/// deploy/examples/demo/site.yaml, and integration/lab-catalog for the others.
fn network_of(site: &str) -> Network {
    let near = |lease| lab_subnet(77, lease, Some(AGENT));
    let hour = LEASE;
    let (dhcp, subnets) = match site {
        "demo" => (DhcpMode::Authoritative, vec![near(hour)]),
        "short-leases" => (DhcpMode::Authoritative, vec![near(Duration::from_secs(60))]),
        "relayed" => {
            let near = Subnet { router: None, dns: Vec::new(), ..near(hour) };
            (DhcpMode::Authoritative, vec![near, lab_subnet(78, hour, Some([192, 168, 78, 1].into()))])
        }
        "beside" => {
            let near = Subnet { router: None, dns: Vec::new(), pools: Vec::new(), ..near(hour) };
            (DhcpMode::Proxy, vec![near])
        }
        other => panic!("no site {other}"),
    };
    Network { dhcp, subnets, unknown: UnknownMachines::Lease, ..Network::default() }
}

fn lab_subnet(third: u8, lease: Duration, router: Option<Ipv4Addr>) -> Subnet {
    let range = format!("192.168.{third}.100-192.168.{third}.199");
    Subnet {
        router,
        dns: vec![AGENT],
        ntp: Vec::new(),
        domain: None,
        lease,
        ..subnet(&format!("192.168.{third}.0/24"), &range)
    }
}

/// Writes the file anew, if that is asked for.
#[expect(
    clippy::disallowed_methods,
    reason = "a test that records writes what it records, where it is told to"
)]
fn record(name: &str, text: &str) {
    if std::env::var_os("BOOTLANE_RECORD").is_some() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dhcp/paper/golden");
        std::fs::write(format!("{folder}/{name}.txt"), text).expect("the sources can be written");
    }
}

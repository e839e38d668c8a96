//! The driver and the engine before real DHCP clients.
//!
//! A namespace of its own holds the server and a machine's end of a cable; the server runs in a process of its own:
//! this test binary again, inside the namespace. Without root there are no namespaces, and nothing is tested.

mod boots;
mod wire;

use std::{
    collections::BTreeMap,
    fs,
    future::poll_fn,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use netboot::{
    dhcp::{BootAnswer, Context, Effect, Server},
    time::{Mono, Now},
};
use proto::{
    Generation, Wall,
    plan::{DhcpMode, Network, PlanDocument, SitePlan, Subnet, UnknownMachines, network_entry},
};

use super::{Bound, Requests};
use crate::datagrams::Sender;

/// The server's end of the cable, and where it says that it is ready.
const SERVE_ON: &str = "BOOTLANE_TEST_DHCP_READY";

/// How long a client may take; BusyBox asks again after 3 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// One namespace with the server in it and one with a machine; both go when this is dropped.
struct Segment {
    server: String,
    machine: String,
    serving: Option<Child>,
    folder: tempfile::TempDir,
}

impl Segment {
    /// None without the right to make namespaces.
    fn new(label: &str) -> Option<Self> {
        let name = |end: &str| format!("dhcpt-{}-{label}-{end}", std::process::id());
        let (server, machine) = (name("s"), name("m"));
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let segment = Self { server, machine, serving: None, folder };
        let (server, machine) = (&segment.server, &segment.machine);
        ip(&["netns", "add", server]);
        ip(&["netns", "add", machine]);
        ip(&["-n", server, "link", "add", "srv0", "type", "veth", "peer", "name", "eth0", "netns", machine]);
        ip(&["-n", server, "addr", "add", "10.77.0.1/24", "dev", "srv0"]);
        for (namespace, interface) in [(server, "lo"), (server, "srv0"), (machine, "lo"), (machine, "eth0")] {
            ip(&["-n", namespace, "link", "set", interface, "up"]);
        }
        Some(segment)
    }

    fn serve(mut self) -> Self {
        let ready = self.folder.path().join("ready");
        let exe = std::env::current_exe().expect("this test");
        let mut command = inside(&self.server);
        command.arg(exe).args(["--exact", "dhcp::tests::serve", "--ignored", "--nocapture"]);
        command.env(SERVE_ON, &ready).stdout(Stdio::null()).stderr(Stdio::null());
        self.serving = Some(command.spawn().expect("ip is there"));
        wait_for(&ready);
        self
    }

    /// Runs a client to its end; what it printed.
    fn client(&self, arguments: &[&str]) -> String {
        let mut command = inside(&self.machine);
        command.args(["timeout", &PATIENCE.as_secs().to_string()]).args(arguments);
        let output = command.output().expect("the client is there");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    }

    /// BusyBox's client, which hands what it got to a script.
    fn udhcpc(&self, options: &[&str]) -> BTreeMap<String, String> {
        let (script, seen) = (self.folder.path().join("script"), self.folder.path().join("seen"));
        let text = format!("#!/bin/sh\n[ \"$1\" = bound ] && env > {}\nexit 0\n", seen.display());
        fs::write(&script, text).expect("a script");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&script, mode).expect("it is ours");
        let script = script.to_str().expect("a plain path");
        let fixed = ["busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "3", "-T", "3", "-s", script];
        self.client(&[&fixed, options].concat());
        let seen = fs::read_to_string(seen).expect("it was bound");
        seen.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
    }

    /// A capture of what the machine hears; ends with the returned process.
    fn listen(&self) -> (Child, PathBuf) {
        let file = self.folder.path().join("heard.pcap");
        let mut command = inside(&self.machine);
        command.args(["tcpdump", "-i", "eth0", "-U", "-Q", "in", "-w"]).arg(&file).arg("udp port 68");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("tcpdump is there");
        wait_for(&file);
        (child, file)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Some(child) = &mut self.serving {
            end(child);
        }
        for namespace in [&self.server, &self.machine] {
            ip(&["netns", "del", namespace]);
        }
    }
}

#[test]
fn busybox_gets_a_lease_by_unicast_and_by_broadcast() {
    let Some(segment) = Segment::new("bb").map(Segment::serve) else { return };
    let (mut capture, file) = segment.listen();
    let seen = segment.udhcpc(&["-V", "d-i"]);
    let got = |name: &str| seen.get(name).map(String::as_str);
    assert_eq!(got("subnet"), Some("255.255.255.0"));
    assert_eq!((got("router"), got("dns")), (Some("10.77.0.1"), Some("10.77.0.3")));
    assert_eq!((got("lease"), got("serverid")), (Some("600"), Some("10.77.0.1")));
    let address = got("ip").expect("an address").to_owned();
    assert!(address.starts_with("10.77.0.1"), "{address}");
    let again = segment.udhcpc(&["-B"]);
    assert_eq!(again.get("ip"), Some(&address), "the same machine, the same address");
    wait_until(|| frames(&file).len() >= 4);
    end(&mut capture);
    let frames = frames(&file);
    let to_all: Vec<bool> = frames.iter().map(|frame| frame.starts_with(&[0xff; 6])).collect();
    assert_eq!(to_all, [false, false, true, true], "OFFER and ACK, twice");
}

#[test]
fn isc_dhclient_gets_a_lease() {
    if !Path::new("/usr/sbin/dhclient").exists() && !Path::new("/sbin/dhclient").exists() {
        return;
    }
    let Some(segment) = Segment::new("isc").map(Segment::serve) else { return };
    let path = |name: &str| segment.folder.path().join(name).to_str().expect("a plain path").to_owned();
    let (leases, pid) = (path("leases"), path("pid"));
    let script = "/bin/true";
    let command = ["dhclient", "-1", "-d", "-q", "-sf", script, "-lf", &leases, "-pf", &pid, "eth0"];
    let mut client = inside(&segment.machine);
    client.args(command).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = client.spawn().expect("it is there");
    let bound = || fs::read_to_string(&leases).is_ok_and(|text| text.contains("fixed-address 10.77.0.1"));
    wait_until(bound);
    end(&mut child);
    assert!(bound(), "{:?}", fs::read_to_string(&leases));
}

/// The other process: answers on `srv0` until it is ended.
#[tokio::test]
#[ignore = "the server's process of the tests above"]
async fn serve() {
    let ready = std::env::var_os(SERVE_ON).expect("started by a test");
    let kill = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(kill)).expect("a plain request");
    let (ports, _wire) = Bound::open("srv0").and_then(Bound::watch).expect("root in its namespace");
    let address = std::net::Ipv4Addr::new(10, 77, 0, 1);
    let sockets = ports.watch(&crate::Tap::default(), address).expect("a runtime");
    assert_eq!(sockets.address().expect("an address"), address);
    fs::write(ready, "").expect("a folder");
    let (mut server, plan, started) = (Server::new(), plan(), Instant::now());
    let (mut requests, mut sender) = (Requests::default(), Sender::default());
    loop {
        poll_fn(|context| sockets.poll_readable(context)).await;
        let now = Now { mono: Mono(started.elapsed()), wall: Wall::from(SystemTime::now()) };
        let mut replies = Vec::new();
        sockets.receive(&mut requests, |request, _| {
            let Ok(request) = request else { return };
            let context = Context {
                network: &plan.network,
                host: None,
                plan: &plan,
                server: sockets.address().expect("an address"),
                base_url: "http://10.77.0.1",
                answer: &BootAnswer::AddressOnly,
                form: proto::plan::ReplyForm::default(),
                wire: None,
                grants_allowed: true,
            };
            replies.extend(server.handle(now, &request, &context));
        });
        let sent = replies.iter().filter_map(|effect| match effect {
            Effect::Send { datagram, to } => Some((datagram.as_slice(), to)),
            Effect::Persist(_)
            | Effect::Report(_)
            | Effect::Probe(_)
            | Effect::ProbeAhead { .. }
            | Effect::Wait { .. } => None,
        });
        sockets.send(&mut sender, sent);
    }
}

fn plan() -> SitePlan {
    let subnet = Subnet {
        network: "10.77.0.0/24".parse().expect("a network"),
        pools: vec!["10.77.0.100-10.77.0.199".parse().expect("a range")],
        router: Some([10, 77, 0, 1].into()),
        dns: vec![[10, 77, 0, 3].into()],
        ntp: Vec::new(),
        domain: None,
        lease: Duration::from_secs(600),
        shared: None,
    };
    let network = Network {
        dhcp: DhcpMode::Authoritative,
        subnets: vec![subnet],
        unknown: UnknownMachines::Lease,
        watch_dhcp: true,
        ..Network::default()
    };
    let generation = Generation { epoch: 1, revision: 1 };
    let document = PlanDocument::assemble("acme", "lyon", generation, 1, [network_entry(&network)]);
    SitePlan::decode(&document).expect("a legal plan")
}

/// The Ethernet frames of a capture file (pcap, host byte order).
fn frames(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap_or_default();
    let mut rest = bytes.get(24..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some((header, body)) = rest.split_first_chunk::<16>() {
        let length = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let Some((frame, next)) = body.split_at_checked(length) else { break };
        frames.push(frame.to_vec());
        rest = next;
    }
    frames
}

fn inside(namespace: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]);
    command
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("iproute2 is there");
    assert!(status.success() || std::thread::panicking(), "ip {arguments:?}");
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn wait_for(file: &Path) {
    wait_until(|| file.exists());
}

fn wait_until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

//! Core and sockets on a wire with others: a machine that uses an address without leave, and another DHCP server.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc};

use netboot::site::{self, Arrival, Input, Station};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::core::{self, Core, Options};

/// The folder of the agent's process.
const FOLDER: &str = "BOOTLANE_TEST_WIRE_FOLDER";
/// How long the agent's offers wait, so that another server is first.
const DELAY: Duration = Duration::from_secs(1);

/// A switch with the agent, a machine and a third one; all go when this is dropped.
struct Wire {
    switch: String,
    agent: String,
    machine: String,
    other: String,
    running: Vec<Child>,
    folder: tempfile::TempDir,
}

impl Wire {
    /// None without the right to make namespaces.
    fn new(label: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let name = |end: &str| format!("wiret-{}-{label}-{end}", std::process::id());
        let (running, folder) = (Vec::new(), tempfile::tempdir().expect("a folder"));
        let (switch, agent, machine, other) = (name("w"), name("a"), name("m"), name("o"));
        let wire = Self { switch, agent, machine, other, running, folder };
        wire.namespaces().iter().for_each(|namespace| ip(&["netns", "add", namespace]));
        ip(&["-n", &wire.switch, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &wire.switch, "link", "set", "br0", "up"]);
        for (port, namespace, interface) in
            [("p1", &wire.agent, "srv0"), ("p2", &wire.machine, "eth0"), ("p3", &wire.other, "eth0")]
        {
            let peer = ["type", "veth", "peer", "name", interface, "netns", namespace];
            ip(&[&["-n", &wire.switch, "link", "add", port][..], &peer].concat());
            ip(&["-n", &wire.switch, "link", "set", port, "master", "br0", "up"]);
            ip(&["-n", namespace, "link", "set", interface, "up"]);
        }
        ip(&["-n", &wire.agent, "addr", "add", "10.77.0.1/24", "dev", "srv0"]);
        Some(wire)
    }

    fn namespaces(&self) -> [&String; 4] {
        [&self.switch, &self.agent, &self.machine, &self.other]
    }

    /// An agent without a past, in a process of its own; the file that its events are written to.
    fn serve(&mut self, label: &str) -> PathBuf {
        let folder = self.folder.path().join(label);
        fs::create_dir(&folder).expect("a folder");
        let exe = std::env::current_exe().expect("this test");
        let mut command = inside(&self.agent);
        command.arg(exe).args(["--exact", "dhcp::tests::wire::serve", "--ignored", "--nocapture"]);
        command.env(FOLDER, &folder).stdout(Stdio::null()).stderr(Stdio::null());
        self.running.push(command.spawn().expect("ip is there"));
        let events = folder.join("events");
        wait_for(&events);
        events
    }

    fn stop(&mut self) {
        self.running.iter_mut().for_each(end);
        self.running.clear();
    }

    /// The address that BusyBox's client gets.
    fn udhcpc(&self, options: &[&str]) -> String {
        let (script, seen) = (self.folder.path().join("script"), self.folder.path().join("seen"));
        let text = format!("#!/bin/sh\n[ \"$1\" = bound ] && echo $ip > {}\nexit 0\n", seen.display());
        fs::write(&script, text).expect("a script");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&script, mode).expect("it is ours");
        let mut command = inside(&self.machine);
        command.args(["busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "3", "-T", "3"]);
        let output = command.args(options).arg("-s").arg(script).output().expect("BusyBox is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read_to_string(seen).expect("it was bound").trim().to_owned()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stop();
        self.namespaces().iter().for_each(|namespace| ip(&["netns", "del", namespace]));
    }
}

#[test]
fn a_squatter_is_found_and_a_system_gets_another_address() {
    let Some(mut wire) = Wire::new("arp") else { return };
    wire.serve("before");
    let usual = wire.udhcpc(&[]);
    wire.stop();
    ip(&["-n", &wire.other, "addr", "add", &format!("{usual}/24"), "dev", "eth0"]);
    let events = wire.serve("after");
    let got = wire.udhcpc(&[]);
    assert!(got != usual && got.starts_with("10.77.0.1"), "{got}, and {usual} is taken");
    let told = || fs::read_to_string(&events).expect("written");
    wait_until(|| told().contains("AddressInUse"));
    assert!(told().contains(&format!("uses {usual}")), "{}", told());
}

#[test]
fn another_server_is_asked_for_and_told_of_with_what_it_boots_and_spoils() {
    let Some(mut wire) = Wire::new("dns") else { return };
    ip(&["-n", &wire.other, "addr", "add", "10.77.0.9/24", "dev", "eth0"]);
    let log = wire.folder.path().join("dnsmasq.log");
    let mut dnsmasq = inside(&wire.other);
    dnsmasq.args(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping"]);
    dnsmasq.args(["--user=root", "--pid-file=", "--leasefile-ro", "--interface=eth0", "--bind-interfaces"]);
    dnsmasq.args(["--dhcp-range=10.77.0.50,10.77.0.60,2m", "--dhcp-boot=pxelinux.0"]);
    dnsmasq.arg(format!("--log-facility={}", log.display()));
    wire.running.push(dnsmasq.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("dnsmasq is there"));
    wait_until(|| fs::read_to_string(&log).is_ok_and(|log| log.contains("DHCP")));
    let events = wire.serve("agent");
    let told = || fs::read_to_string(&events).expect("written");
    wait_until(|| told().contains("ForeignDhcp"));
    for what in ["10.77.0.9 at ", "gives addresses", "boot file pxelinux.0", "next server 10.77.0.9"] {
        assert!(told().contains(what), "{what}: {}", told());
    }
    let log = fs::read_to_string(&log).expect("its log");
    assert!(log.contains("DHCPOFFER") && !log.contains("DHCPREQUEST"), "{log}");

    let got = wire.udhcpc(&["-V", "PXEClient:Arch:00000:UNDI:002001"]);
    assert!(got.starts_with("10.77.0.5") || got == "10.77.0.60", "{got} is of the other server's range");
    wait_until(|| told().contains("ForeignOfferTaken"));
    let line = told().lines().find(|line| line.contains("ForeignOfferTaken")).map(str::to_owned);
    let line = line.expect("just seen");
    assert!(line.contains("10.77.0.9") && line.contains("boot file pxelinux.0"), "{line}");
}

/// The other process: the agent's core on `srv0` until it is ended.
#[tokio::test]
#[ignore = "the agent's process of the tests above"]
async fn serve() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("started by a test"));
    let kill = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(kill)).expect("a plain request");
    let (ports, wire) = Bound::open("srv0").and_then(Bound::watch).expect("root in its namespace");
    let server = Ipv4Addr::new(10, 77, 0, 1);
    let arrival = Arrival { interface: 0, server, base_url: "http://10.77.0.1".into() };
    let stations = vec![Station { address: server, mac: wire.mac() }];
    let (ended_orders, _orders) = mpsc::channel(1);
    let (core, _ended) = Core::start(Options {
        ledger: folder.join("ledger"),
        site: site::Config { agent: "lyon-1".into(), journal_limit: 1_000, stations },
        low_disk_bytes: 0,
        interfaces: vec![core::Interface { arrival, ports }],
        ended_orders,
        tap: crate::Tap::default(),
        failed_boots: mpsc::channel(1).0,
        snapshots: crate::core::Snapshots::default(),
    })
    .expect("a folder of its own");
    let mut plan = plan();
    plan.network.reply.delay = Some(DELAY);
    core.input(Input::Plan(Arc::new(plan))).await.expect("it runs");
    let shutdown = CancellationToken::new();
    core.serve().await.expect("it runs");
    tokio::spawn(crate::core::overhear(core.clone(), wire, shutdown));
    loop {
        let events = core.events(0, 1_000).await.expect("it runs");
        let text: String =
            events.into_iter().map(|numbered| format!("{:?}\n", numbered.event.kind)).collect();
        // In one step: whoever reads must not find half of it.
        fs::write(folder.join("written"), text).expect("a folder");
        fs::rename(folder.join("written"), folder.join("events")).expect("the same folder");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

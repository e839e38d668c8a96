//! The driver before the kernel's own IPv6, in a namespace of its own: the agent's end has IPv6 switched off, the
//! machine's asks for a router by itself. Without root there are no namespaces, and nothing is tested.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use proto::{
    Generation,
    plan::{DhcpMode, Network, PlanDocument, SitePlan, network_entry},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{decline, open};
use crate::link::Bound;

/// Set in the other process, where it serves; a file of this name says that it is ready.
const SERVE_ON: &str = "BOOTLANE_TEST_IPV6_READY";
/// The kernel asks after at most a second, and again 4 s later (RFC 4861 §10).
const PATIENCE: Duration = Duration::from_secs(20);

/// A cable between two namespaces; both go when this is dropped.
struct Segment {
    agent: String,
    machine: String,
    serving: Option<Child>,
    folder: tempfile::TempDir,
}

impl Segment {
    /// None without the right to make namespaces.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let name = |end: &str| format!("ipv6t-{}-{end}", std::process::id());
        let (agent, machine) = (name("a"), name("m"));
        let folder = tempfile::tempdir().expect("a folder");
        let segment = Self { agent, machine, serving: None, folder };
        let (agent, machine) = (&segment.agent, &segment.machine);
        ip(&["netns", "add", agent]);
        ip(&["netns", "add", machine]);
        inside(agent, "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
        ip(&["-n", agent, "link", "add", "srv0", "type", "veth", "peer", "name", "eth0", "netns", machine]);
        ip(&["-n", agent, "link", "set", "srv0", "up"]);
        Some(segment)
    }

    fn serve(&mut self) {
        let ready = self.folder.path().join("ready");
        let exe = std::env::current_exe().expect("this test");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.agent]).arg(exe);
        command.args(["--exact", "ipv6::tests::serve", "--ignored", "--nocapture"]);
        command.env(SERVE_ON, &ready).stdout(Stdio::null()).stderr(Stdio::null());
        self.serving = Some(command.spawn().expect("ip is there"));
        wait_until(|| ready.exists());
    }

    /// How many router advertisements the machine's kernel has taken in.
    fn advertisements(&self) -> u32 {
        let counters = inside(&self.machine, "cat /proc/net/dev_snmp6/eth0");
        let value = |line: &str| line.strip_prefix("Icmp6InRouterAdvertisements")?.trim().parse().ok();
        counters.lines().find_map(value).unwrap_or(0)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Some(child) = &mut self.serving {
            let _ = child.kill();
            let _ = child.wait();
        }
        for namespace in [&self.agent, &self.machine] {
            ip(&["netns", "del", namespace]);
        }
    }
}

#[test]
fn a_kernel_that_asks_for_a_router_hears_of_none() {
    let Some(mut segment) = Segment::new() else { return };
    segment.serve();
    // Its first solicitation follows its link-local address.
    ip(&["-n", &segment.machine, "link", "set", "eth0", "up"]);
    wait_until(|| segment.advertisements() > 0);
    let routes = inside(&segment.machine, "ip -6 route show dev eth0; ip -6 neigh show dev eth0");
    let routes: Vec<&str> = routes.lines().filter(|line| !line.contains("proto kernel")).collect();
    assert_eq!(routes, [""; 0], "no route, no neighbour");
}

/// The other process: answers on `srv0` until it is ended.
#[tokio::test]
#[ignore = "the agent's process of the test above"]
async fn serve() {
    let ready = std::env::var_os(SERVE_ON).expect("started by a test");
    let kill = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(kill)).expect("a plain request");
    let socket = open("srv0").and_then(Bound::watch).expect("root in its namespace");
    let (_plan_out, plan) = watch::channel(Some(Arc::new(plan())));
    fs::write(ready, "").expect("a folder");
    decline(socket, plan, CancellationToken::new()).await;
}

fn plan() -> SitePlan {
    let network = Network { dhcp: DhcpMode::Authoritative, decline_ipv6: true, ..Network::default() };
    let generation = Generation { epoch: 1, revision: 1 };
    let document = PlanDocument::assemble("acme", "lyon", generation, 1, [network_entry(&network)]);
    SitePlan::decode(&document).expect("a legal plan")
}

/// What a command prints in a namespace.
fn inside(namespace: &str, command: &str) -> String {
    let output = Command::new("ip").args(["netns", "exec", namespace, "sh", "-c", command]).output();
    String::from_utf8(output.expect("ip is there").stdout).expect("text")
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("iproute2 is there");
    assert!(status.success() || std::thread::panicking(), "ip {arguments:?}");
}

fn wait_until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

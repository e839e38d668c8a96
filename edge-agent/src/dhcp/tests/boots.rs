//! A machine that boots at a core with all that keeps and tells of it: its packets when it fails, and what it logs.

use std::{collections::BTreeMap, net::Ipv4Addr, path::PathBuf, sync::Arc};

use netboot::site::{self, Arrival, Input, Station};
use proto::{
    HostId, Mac,
    event::EventKind,
    plan::{Boot, Content, Guard, HostPlan, Part, PlannedFile, ReplySettings, Stage, host_entry},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    Tap,
    captures::Captures,
    core::{self, Core, Options},
    syslog,
};

/// The folder of the agent's process.
const FOLDER: &str = "BOOTLANE_TEST_BOOTS_FOLDER";
const MACHINE: Mac = Mac([0x52, 0x54, 0, 0x77, 0, 1]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// As a UEFI ROM says of itself, and iPXE behind it.
const ROM: [&str; 4] = ["-V", "PXEClient:Arch:00007:UNDI:003000", "-x", "0x5d:0007"];
const IPXE: [&str; 2] = ["-x", "0x4d:69505845"];

/// None without the right to make namespaces, which continuous integration must have.
fn booting(label: &str) -> Option<(Segment, PathBuf)> {
    let Some(mut segment) = Segment::new(label) else {
        assert!(std::env::var_os("CI").is_none(), "namespaces take root");
        return None;
    };
    ip(&["-n", &segment.machine, "link", "set", "eth0", "address", &MACHINE.to_string()]);
    let folder = segment.folder.path().to_owned();
    let exe = std::env::current_exe().expect("this test");
    let mut command = inside(&segment.server);
    command.arg(exe).args(["--exact", "dhcp::tests::boots::serve", "--ignored", "--nocapture"]);
    command.env(FOLDER, &folder).stdout(Stdio::null()).stderr(Stdio::null());
    segment.serving = Some(command.spawn().expect("ip is there"));
    wait_for(&folder.join("events"));
    Some((segment, folder))
}

fn told(folder: &Path) -> String {
    fs::read_to_string(folder.join("events")).expect("written")
}

#[test]
fn what_a_real_logger_sends_is_told_with_its_boot() {
    let Some((segment, folder)) = booting("log") else { return };
    let address = segment.udhcpc(&[&ROM[..], &IPXE].concat())["ip"].clone();
    ip(&["-n", &segment.machine, "addr", "add", &format!("{address}/24"), "dev", "eth0"]);
    let logger = ["logger", "--server", "10.77.0.1", "--port", "514", "--udp", "-t", "apt"];
    let token = "00112233445566778899aabbccddeeff";
    let secret = format!("GET /o/{token}/preseed.cfg failed");
    segment.client(&[&logger[..], &["--rfc3164", "-p", "daemon.err", &secret]].concat());
    segment.client(&[&logger[..], &["--rfc5424", "-p", "user.info", "second line"]].concat());
    wait_until(|| told(&folder).contains("second line"));
    let told = told(&folder);
    let line = |text: &str| told.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned();
    let first = line("preseed.cfg");
    assert!(
        first.contains("SyslogLine") && first.contains("severity: 3") && first.contains("\"apt\""),
        "{told}"
    );
    assert!(line("second line").contains("severity: 6") && line("second line").contains("\"apt\""), "{told}");
    assert!(!told.contains(token), "{told}");
}

#[test]
fn a_boot_that_fails_leaves_a_capture_that_tcpdump_reads() {
    let Some((segment, folder)) = booting("cap") else { return };
    segment.udhcpc(&[&ROM[..], &IPXE].concat());
    // Its ROM speaks again: the boot before has come to nothing.
    segment.udhcpc(&ROM);
    wait_until(|| told(&folder).contains("CaptureKept"));
    assert!(told(&folder).contains("the machine began anew"), "{}", told(&folder));
    let mut files =
        fs::read_dir(folder.join("captures")).expect("made").map(|entry| entry.expect("listed").path());
    let file = files.next().expect("one capture");
    assert!(file.to_str().expect("plain").ends_with("-525400770001.pcap"), "{}", file.display());
    must_be_an_exchange(&file);
}

#[test]
fn a_boot_under_way_is_read_from_memory() {
    let Some((segment, folder)) = booting("live") else { return };
    segment.udhcpc(&[&ROM[..], &IPXE].concat());
    let file = folder.join("live.pcap");
    wait_until(|| file.exists() && dump(&file).contains("length 1: ACK"));
    must_be_an_exchange(&file);
    assert_eq!(fs::read_dir(folder.join("captures")).expect("made").count(), 0, "it has not failed");
}

fn dump(file: &Path) -> String {
    let output = Command::new("tcpdump").args(["-nn", "-vv", "-e", "-r"]).arg(file).output();
    let output = output.expect("tcpdump is there: its package is needed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// From the machine's DISCOVER to its ACK, as tcpdump has it, with sums that hold.
fn must_be_an_exchange(file: &Path) {
    let text = dump(file);
    for what in [
        "52:54:00:77:00:01 > ff:ff:ff:ff:ff:ff",
        "0.0.0.0.68 > 255.255.255.255.67: [udp sum ok] BOOTP/DHCP, Request from 52:54:00:77:00:01",
        "10.77.0.1.67 > ",
        "BOOTP/DHCP, Reply",
        "DHCP-Message (53), length 1: Discover",
        "DHCP-Message (53), length 1: ACK",
    ] {
        assert!(text.contains(what), "{what} in {text}");
    }
    assert!(!text.contains("bad udp cksum") && !text.contains("bad cksum"), "{text}");
}

fn site_plan() -> SitePlan {
    let script = Content::Parts(vec![Part::Literal("#!ipxe\n".into())]);
    let file = PlannedFile { stage: Stage::Script, guard: Guard::Attempt, content: script };
    let boot = Boot {
        profile: "run".into(),
        image: "live".into(),
        entry: "boot.ipxe".into(),
        files: BTreeMap::from([("boot.ipxe".to_owned(), file)]),
        loaders: vec![],
        menu: false,
    };
    let host = HostPlan {
        id: HostId([1; 16]),
        name: "web-1".into(),
        macs: vec![MACHINE],
        uuid: None,
        serial: None,
        address: None,
        locked: false,
        boot: Some(boot),
        tftp_single_port: false,
        reply: ReplySettings::default(),
    };
    let network = Network { syslog: true, watch_dhcp: false, ..plan().network };
    let generation = Generation { epoch: 1, revision: 1 };
    let entries = [network_entry(&network), host_entry(&host)];
    SitePlan::decode(&PlanDocument::assemble("acme", "lyon", generation, 1, entries)).expect("a legal plan")
}

/// The other process: the agent's core, its captures and its syslog port until it is ended.
#[tokio::test]
#[ignore = "the agent's process of the tests above"]
async fn serve() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("started by a test"));
    let kill = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(kill)).expect("a plain request");
    let (ports, wire) = Bound::open("srv0").and_then(Bound::watch).expect("root in its namespace");
    let arrival = Arrival { interface: 0, server: SERVER, base_url: "http://10.77.0.1".into() };
    let (tap, stations) = (Tap::new(1 << 20), vec![Station { address: SERVER, mac: wire.mac() }]);
    let ((ended_orders, _orders), (failed_boots, to_keep)) = (mpsc::channel(1), mpsc::channel(8));
    let (core, _ended) = Core::start(Options {
        ledger: folder.join("ledger"),
        site: site::Config { agent: "lyon-1".into(), journal_limit: 1_000, stations },
        low_disk_bytes: 0,
        interfaces: vec![core::Interface { arrival, ports }],
        ended_orders,
        tap: tap.clone(),
        failed_boots,
        snapshots: crate::core::Snapshots::default(),
    })
    .expect("a folder of its own");
    let captures = (folder.join("captures"), 1 << 20);
    let ends = vec![(SERVER, wire.mac())];
    let captures = Captures::open((&captures.0, captures.1), tap, core.clone(), ends).expect("opened");
    tokio::spawn(captures.clone().keep(to_keep));
    let socket = syslog::bind(SERVER).expect("nobody else has it");
    tokio::spawn(syslog::serve(socket, core.clone(), CancellationToken::new()));
    core.input(Input::Plan(Arc::new(site_plan()))).await.expect("it runs");
    core.serve().await.expect("it runs");
    loop {
        let events = core.events(0, 1_000).await.expect("it runs");
        let mut leased =
            events.iter().filter(|numbered| matches!(numbered.event.kind, EventKind::Leased { .. }));
        if let Some(attempt) = leased.next_back().and_then(|numbered| numbered.event.attempt)
            && let Ok(pcap) = captures.read(attempt).await
        {
            fs::write(folder.join("half.pcap"), pcap).expect("a folder");
            fs::rename(folder.join("half.pcap"), folder.join("live.pcap")).expect("the same folder");
        }
        let text: String =
            events.into_iter().map(|numbered| format!("{:?}\n", numbered.event.kind)).collect();
        // In one step: whoever reads must not find half of it.
        fs::write(folder.join("written"), text).expect("a folder");
        fs::rename(folder.join("written"), folder.join("events")).expect("the same folder");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

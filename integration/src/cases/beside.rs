//! Booting on a segment whose DHCP server is somebody else's: dnsmasq leases, the agent says what to boot.

use std::time::Duration;

use anyhow::ensure;
use proto::event::EventKind;

use super::Bench;
use super::network;
use super::setting::{Setting, catalog};
use crate::lab::netns::BRIDGE;
use crate::lab::qemu::Firmware;
use crate::lab::{MachineSpec, Namespace, Process};

/// The other server's address on the segment, and what it leases.
const ADDRESS: &str = "192.168.77.3/24";
const LEASES: &str = "192.168.77.50,192.168.77.60,255.255.255.0,1h";
const BOUND: Duration = Duration::from_secs(600);

pub(super) fn bios(bench: &Bench<'_>) -> anyhow::Result<()> {
    boot(bench, &MachineSpec::new("bios", Firmware::BiosIpxe), &[("iPXE", "the card's iPXE ROM runs")])
}

pub(super) fn uefi(bench: &Bench<'_>) -> anyhow::Result<()> {
    let stages = [("PXE over IPv4", "OVMF boots by PXE"), ("iPXE", "iPXE runs")];
    boot(bench, &MachineSpec::new("uefi", Firmware::UefiPxe), &stages)
}

fn boot(bench: &Bench<'_>, spec: &MachineSpec, first: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    setting.apply(&catalog("beside.yaml"))?;
    let other = OtherServer::start(bench, &setting)?;
    let order = network::probe(&mut setting, spec, first)?;
    let ledger = setting.ledger()?;
    ensure!(ledger.leases.is_empty(), "the agent has leased {:?}", ledger.leases);
    let mut offers = Vec::new();
    for numbered in &ledger.events {
        if let EventKind::Offered { address, .. } = &numbered.event.kind {
            offers.push(*address);
        }
    }
    ensure!(!offers.is_empty() && offers.iter().all(Option::is_none), "addresses were offered: {offers:?}");
    drop(other);
    network::conclude(&mut setting, spec, &order, &[])
}

/// dnsmasq in a namespace of its own on the site's segment.
pub(super) struct OtherServer {
    // Ended before its namespace goes.
    _process: Process,
    _namespace: Namespace,
}

impl OtherServer {
    pub(super) fn start(bench: &Bench<'_>, setting: &Setting<'_>) -> anyhow::Result<Self> {
        let namespace = Namespace::create(&bench.run, "other")?;
        let site = setting.fleet.site(0).namespace();
        namespace.connect("eth0", site, "other0")?;
        namespace.add_address("eth0", ADDRESS.parse()?)?;
        site.ip(["link", "set", "other0", "master", BRIDGE])?;
        let range = format!("--dhcp-range={LEASES}");
        let launch = namespace.command("dnsmasq", "dnsmasq").args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--interface=eth0",
            "--bind-interfaces",
            "--dhcp-authoritative",
            "--dhcp-leasefile=/dev/null",
            "--log-dhcp",
            "--log-facility=-",
            "--user=root",
            "--dhcp-option=3,192.168.77.1",
            &range,
        ]);
        Ok(Self { _process: launch.bound(BOUND).spawn(&bench.run)?, _namespace: namespace })
    }
}

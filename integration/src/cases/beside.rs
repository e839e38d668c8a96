//! Booting on a segment whose DHCP server is somebody else's: dnsmasq leases, the agent says what to boot.

use std::time::Duration;

use anyhow::ensure;
use proto::event::{EventKind, Transport};
use proto::plan::Stage;

use super::Bench;
use super::loaders::{add_with_loaders, must_have_read};
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

/// Firmware and shim take our offer. GRUB 2.06 does not: it asks whatever server the lease itself names (`siaddr`), so the
/// other server must name us there, as "next server" without a file (QUIRKS 49, 50).
pub(super) fn secure_boot(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    setting.apply(&catalog("beside.yaml"))?;
    setting.apply(&catalog("probe-loud.yaml"))?;
    let root = setting.signed_loaders()?;
    let spec = add_with_loaders(&mut setting, Firmware::UefiSecure, "shim-signed", &root)?;
    let other = OtherServer::start(bench, &setting, &["--dhcp-boot=,,192.168.77.1"])?;
    let stages = [
        ("PXE over IPv4", "OVMF boots by PXE"),
        ("Secure boot enabled", "the kernel is trusted, and knows why"),
    ];
    let order = network::run_probe(&mut setting, &spec, &stages)?;
    drop(other);
    must_have_read(&setting.wire()?, &["own/shimx64.efi", "grubx64.efi", "/grub/grub.cfg"])?;
    let stages = [Stage::Loader, Stage::Script, Stage::Kernel, Stage::Initrd];
    network::must_have_served(&mut setting, &spec, &order, &stages.map(|stage| (Transport::Tftp, stage)))
}

fn boot(bench: &Bench<'_>, spec: &MachineSpec, first: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    setting.apply(&catalog("beside.yaml"))?;
    let other = OtherServer::start(bench, &setting, &[])?;
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
    /// `more` are further arguments.
    pub(super) fn start(bench: &Bench<'_>, setting: &Setting<'_>, more: &[&str]) -> anyhow::Result<Self> {
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
        let launch = launch.args(more);
        Ok(Self { _process: launch.bound(BOUND).spawn(&bench.run)?, _namespace: namespace })
    }
}

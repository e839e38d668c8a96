//! Booting over the network: from the firmware's first packet to a kernel's user space.

use std::time::Duration;

use anyhow::ensure;
use proto::event::{EventKind, OrderPhase, Transport};
use proto::plan::Stage;

use super::Bench;
use super::console::follow;
use super::setting::{Setting, catalog, mac};
use crate::fleet::Ledger;
use crate::lab::qemu::{Card, Firmware};
use crate::lab::{Machine, MachineSpec};

const OFF_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn bios_ipxe(bench: &Bench<'_>) -> anyhow::Result<()> {
    by_http_alone(&mut Setting::new(bench, false)?, &MachineSpec::new("bios", Firmware::BiosIpxe))
}

/// The same firmware drives another card, and so does the kernel.
pub(super) fn bios_e1000(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let installer = setting.installer_for_any_card()?;
    setting.import(&installer, "linux", "installer-any")?;
    setting.apply(&catalog("probe-any.yaml"))?;
    let spec = MachineSpec { card: Card::E1000, ..MachineSpec::new("e1000", Firmware::BiosIpxe) };
    by_http_alone(&mut setting, &spec)
}

fn by_http_alone(setting: &mut Setting<'_>, spec: &MachineSpec) -> anyhow::Result<()> {
    let order = probe(setting, spec, &[("iPXE", "the card's iPXE ROM runs")])?;
    let wire = setting.wire()?;
    ensure!(wire.leased(mac(spec)), "no DHCP reply to the machine was captured");
    ensure!(wire.tftp_names().is_empty(), "iPXE asked by TFTP for {:?}", wire.tftp_names());
    must_request(&wire.http_requests(), &["/boot.ipxe", "/linux", "/initrd.img", "/hello.txt"])?;
    ensure!(wire.carried(&format!("Hello, {}.", spec.name)), "the rendered file was not sent");
    conclude(setting, spec, &order, &[])
}

pub(super) fn uefi_pxe(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let spec = MachineSpec::new("uefi", Firmware::UefiPxe);
    let stages = [("PXE over IPv4", "OVMF boots by PXE"), ("iPXE", "iPXE runs")];
    let order = probe(&mut setting, &spec, &stages)?;
    let wire = setting.wire()?;
    ensure!(wire.leased(mac(&spec)), "no DHCP reply to the machine was captured");
    ensure!(wire.tftp_names().contains(&"ipxe/snponly.efi"), "by TFTP was asked for {:?}", wire.tftp_names());
    must_request(&wire.http_requests(), &["/boot.ipxe", "/linux", "/initrd.img", "/hello.txt"])?;
    conclude(&mut setting, &spec, &order, &[(Transport::Tftp, Stage::Loader)])
}

/// What iPXE shows from its script on.
pub(super) const BY_IPXE: &[(&str, &str)] = &[
    ("boot.ipxe... ok", "it has its script"),
    ("linux... ok", "it has the kernel"),
    // Not its "ok": the kernel takes the serial port over while that is still on its way out.
    ("initrd.img...", "it loads the initrd"),
];

/// Boots the probe by iPXE under an order, to its power-off. Returns the order's name.
pub(super) fn probe(
    setting: &mut Setting<'_>,
    spec: &MachineSpec,
    first: &[(&str, &str)],
) -> anyhow::Result<String> {
    setting.add_host(spec)?;
    run_probe(setting, spec, &[first, BY_IPXE].concat())
}

/// Boots the probe on a host that is there, to its power-off; `stages` are what the machine shows before its kernel.
pub(super) fn run_probe(
    setting: &mut Setting<'_>,
    spec: &MachineSpec,
    stages: &[(&str, &str)],
) -> anyhow::Result<String> {
    let order = setting.order(spec, "probe")?;
    watch_probe(setting, setting.power_on(spec)?, stages)?;
    Ok(order)
}

/// Follows a machine that boots the probe, to its power-off.
pub(super) fn watch_probe(
    setting: &Setting<'_>,
    mut machine: Machine,
    stages: &[(&str, &str)],
) -> anyhow::Result<()> {
    follow(setting, &mut machine, stages)?;
    follow(
        setting,
        &mut machine,
        &[
            ("BOOTLANE-MARK userspace", "the kernel's user space runs"),
            ("BOOTLANE-MARK fetched", "it has fetched the order's file"),
        ],
    )?;
    must_go_off(&mut machine)
}

fn must_go_off(machine: &mut Machine) -> anyhow::Result<()> {
    ensure!(machine.wait_off(OFF_TIMEOUT)?, "the machine did not power off");
    Ok(())
}

/// Each of these ends of paths was asked for.
pub(super) fn must_request(requests: &[String], ends: &[&str]) -> anyhow::Result<()> {
    for end in ends {
        ensure!(requests.iter().any(|request| request.ends_with(end)), "no {end} among {requests:#?}");
    }
    Ok(())
}

/// The controller's story of a boot by iPXE agrees.
pub(super) fn conclude(
    setting: &mut Setting<'_>,
    spec: &MachineSpec,
    order: &str,
    more: &[(Transport, Stage)],
) -> anyhow::Result<()> {
    let by_http =
        [Stage::Script, Stage::Kernel, Stage::Initrd, Stage::Answer].map(|stage| (Transport::Http, stage));
    must_have_served(setting, spec, order, &[&by_http, more].concat())
}

/// The controller tells of one boot in which these files were sent, and of the order that it started.
pub(super) fn must_have_served(
    setting: &mut Setting<'_>,
    spec: &MachineSpec,
    order: &str,
    files: &[(Transport, Stage)],
) -> anyhow::Result<()> {
    let timeline = setting.timeline(&spec.name)?;
    ensure!(timeline.boots.len() == 1, "one power-on, but {} boots", timeline.boots.len());
    let ledger = setting.ledger()?;
    for (transport, stage) in files {
        ensure!(served(&ledger, *transport, *stage), "the timeline has no {} by {transport:?}", stage.word());
    }
    setting.wait_phase(order, OrderPhase::Started.word())
}

/// Whether the agent wrote down that such a file was sent in full.
pub(super) fn served(ledger: &Ledger, by: Transport, what: Stage) -> bool {
    ledger.events.iter().any(|numbered| {
        matches!(&numbered.event.kind,
            EventKind::FileServed { transport, stage, .. } if *transport == by && *stage == what)
    })
}

//! Booting the local disk: the answer to every doubt.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use proto::event::{Answer, EventKind};

use super::Bench;
use super::console::reach;
use super::setting::{Setting, mac};
use crate::fleet::{DISK_LABEL, Ledger};
use crate::lab::MachineSpec;
use crate::lab::qemu::Firmware;

const BIOS: Duration = Duration::from_secs(120);
/// UEFI tries PXE and HTTP Boot over IPv4 and IPv6 before its disk, 4 s each where it is told at once that it is to; the
/// rest is for a computer that does ten things beside.
const UEFI: Duration = Duration::from_secs(280);

/// Where the agent sends UEFI HTTP Boot that is to boot its disk.
const NO_FILE: &str = " /l/none";

pub(super) fn without_an_order(bench: &Bench<'_>) -> anyhow::Result<()> {
    known_machine(bench, MachineSpec::new("bios", Firmware::BiosIpxe), BIOS)
}

pub(super) fn without_an_order_uefi(bench: &Bench<'_>) -> anyhow::Result<()> {
    known_machine(bench, MachineSpec::new("uefi", Firmware::UefiPxe), UEFI)
}

fn known_machine(bench: &Bench<'_>, spec: MachineSpec, bound: Duration) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    setting.add_host(&spec)?;
    boot_the_disk(&mut setting, spec, bound).map(drop)
}

pub(super) fn revoked_order(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, true)?;
    let spec = MachineSpec::new("bios", Firmware::BiosIpxe);
    setting.add_host(&spec)?;
    let order = setting.order(&spec, "demo-disk")?;
    setting.fleet.cli().run(&["order", "revoke", &order])?;
    setting.wait_phase(&order, "revoked")?;
    setting.say("the agent has confirmed that the order is revoked");
    let ledger = boot_the_disk(&mut setting, spec, BIOS)?;
    let offered = ledger.orders.iter().any(|state| state.attempt.is_some());
    ensure!(!offered, "the revoked order was offered: {:?}", ledger.orders);
    Ok(())
}

pub(super) fn unknown_machine(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let disk = setting.installed_disk("stranger")?;
    let spec = MachineSpec::new("stranger", Firmware::BiosIpxe).with_raw_disk(disk);
    start_from_disk(&setting, &spec, BIOS)?;
    must_have_asked_for_nothing(&mut setting, &spec)?;
    setting.fleet.wait_reported(0)?;
    let listed = setting.fleet.cli().json(&["boot", "list"])?;
    let boots = listed.as_array().context("`boot list` printed no list")?;
    let mac = spec.mac.to_string();
    let boot = boots.iter().find(|boot| boot["mac"] == mac.as_str());
    let boot = boot.with_context(|| format!("the controller tells of no boot of {mac}: {boots:?}"))?;
    ensure!(boot["host"] == "", "a stranger has become host {}", boot["host"]);
    Ok(())
}

/// Switches the machine on with a system on its disk: it starts from there, and the controller's story says so.
fn boot_the_disk(setting: &mut Setting<'_>, spec: MachineSpec, bound: Duration) -> anyhow::Result<Ledger> {
    let disk = setting.installed_disk(&spec.name)?;
    let spec = spec.with_raw_disk(disk);
    start_from_disk(setting, &spec, bound)?;
    must_have_asked_for_nothing(setting, &spec)?;
    let ledger = setting.wait_ledger("event that the system is up", Duration::from_secs(5), is_up)?;
    let told = ledger
        .events
        .iter()
        .any(|numbered| matches!(numbered.event.kind, EventKind::Decided { answer: Answer::LocalDisk, .. }));
    ensure!(told, "the agent did not decide for the local disk");
    let timeline = setting.timeline(&spec.name)?;
    ensure!(timeline.boots.len() == 1, "one power-on, but {} boots", timeline.boots.len());
    ensure!(timeline.boots[0].outcome == "up", "the boot's outcome is {}", timeline.boots[0].outcome);
    Ok(ledger)
}

fn start_from_disk(setting: &Setting<'_>, spec: &MachineSpec, bound: Duration) -> anyhow::Result<()> {
    let mut machine = setting.power_on(spec)?;
    reach(setting, &mut machine, turns_to_disk(spec.firmware), "its firmware turns to the disk", bound)?;
    let marker = format!("BOOTLANE-MARK disk-booted {DISK_LABEL}");
    reach(setting, &mut machine, &marker, "the system on its disk runs", bound)?;
    let marker = format!("BOOTLANE-MARK disk-network {DISK_LABEL}");
    reach(setting, &mut machine, &marker, "it has an address", Duration::from_secs(30))?;
    machine.power_off();
    Ok(())
}

/// What the firmware says when it is done with the network.
pub(super) fn turns_to_disk(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::BiosIpxe => "Booting from Hard Disk",
        // OVMF's name for a virtio disk.
        Firmware::UefiPxe
        | Firmware::UefiHttp
        | Firmware::UefiIpxe
        | Firmware::UefiSecure
        | Firmware::Arm64 => "\"UEFI Misc Device\" from",
    }
}

/// It was answered by DHCP, and fetched nothing. UEFI HTTP Boot must be given a URL, and goes on to the disk at once when
/// there is nothing behind it (LAB, OVMF); whether there is, the console has shown.
fn must_have_asked_for_nothing(setting: &mut Setting<'_>, spec: &MachineSpec) -> anyhow::Result<()> {
    let wire = setting.wire()?;
    ensure!(wire.leased(mac(spec)), "no DHCP reply to the machine was captured");
    ensure!(wire.declined_ipv6(mac(spec)), "nobody told the machine that there is no IPv6");
    let (files, mut requests) = (wire.tftp_names(), wire.http_requests());
    requests.retain(|request| !request.ends_with(NO_FILE));
    ensure!(files.is_empty() && requests.is_empty(), "it fetched {files:?} and {requests:?}");
    Ok(())
}

/// Whether the agent wrote down that an operating system has come up.
pub(super) fn is_up(ledger: &Ledger) -> bool {
    ledger.events.iter().any(|numbered| matches!(numbered.event.kind, EventKind::OsUp { .. }))
}

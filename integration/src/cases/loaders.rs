//! Booting by each loader: what firmware is given first, and what that asks for by itself.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use proto::event::Transport::{Http, Tftp};
use proto::plan::Stage;

use super::Bench;
use super::console::{follow, reach};
use super::network::{must_have_served, must_request, run_probe, served};
use super::setting::{Setting, catalog};
use super::wire::Wire;
use crate::lab::qemu::Firmware;
use crate::lab::{MachineSpec, media};

/// How long files may take to the edge.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest between two markers of an emulated ARM64 machine, beside others: three times what it takes alone.
const ARM64_STAGE: Duration = Duration::from_secs(240);
const ARM64_ON: Duration = Duration::from_secs(600);

/// QEMU's ROM is iPXE; the host names a set of its own, which takes that one's place.
pub(super) fn undionly(bench: &Bench<'_>) -> anyhow::Result<()> {
    let (mut setting, spec) = with_loaders(bench, Firmware::BiosIpxe, "ipxe", Path::new("/"))?;
    let stages = [
        ("own/undionly.kpxe... ok", "the ROM has loaded undionly.kpxe"),
        ("boot.ipxe... ok", "it has its script"),
        ("initrd.img...", "it loads kernel and initrd"),
    ];
    let order = run_probe(&mut setting, &spec, &stages)?;
    must_have_read(&setting.wire()?, &["own/undionly.kpxe"])?;
    let files = [(Tftp, Stage::Loader), (Http, Stage::Script), (Http, Stage::Kernel)];
    must_have_served(&mut setting, &spec, &order, &files)
}

pub(super) fn pxelinux(bench: &Bench<'_>) -> anyhow::Result<()> {
    let (mut setting, spec) = with_loaders(bench, Firmware::BiosIpxe, "pxelinux", Path::new("/"))?;
    let order = run_probe(&mut setting, &spec, &[("PXELINUX", "PXELINUX runs")])?;
    let wire = setting.wire()?;
    must_have_read(&wire, &["own/pxelinux.0", "own/ldlinux.c32"])?;
    let requests = wire.http_requests();
    ensure!(requests.iter().all(|request| !request.ends_with("/linux")), "HTTP was used: {requests:?}");
    let stages = [Stage::Loader, Stage::Script, Stage::Kernel, Stage::Initrd];
    must_have_served(&mut setting, &spec, &order, &stages.map(|stage| (Tftp, stage)))
}

pub(super) fn lpxelinux(bench: &Bench<'_>) -> anyhow::Result<()> {
    let (mut setting, spec) = with_loaders(bench, Firmware::BiosIpxe, "lpxelinux", Path::new("/"))?;
    let order = run_probe(&mut setting, &spec, &[("PXELINUX", "PXELINUX runs")])?;
    let wire = setting.wire()?;
    ensure!(wire.tftp_names().iter().all(|name| *name == "own/lpxelinux.0"), "{:?}", wire.tftp_names());
    must_request(&wire.http_requests(), &["/l/own/ldlinux.c32", "/linux", "/initrd.img"])?;
    let files = [(Tftp, Stage::Loader), (Http, Stage::Script), (Http, Stage::Kernel), (Http, Stage::Initrd)];
    must_have_served(&mut setting, &spec, &order, &files)
}

pub(super) fn uefi_http(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let spec = MachineSpec::new("uefi", Firmware::UefiHttp);
    setting.add_host(&spec)?;
    let stages = [
        ("HTTP Boot over IPv4", "OVMF boots by HTTP"),
        ("boot.ipxe... ok", "iPXE has its script"),
        ("initrd.img...", "it loads kernel and initrd"),
    ];
    let order = run_probe(&mut setting, &spec, &stages)?;
    let wire = setting.wire()?;
    ensure!(wire.tftp_names().is_empty(), "by TFTP was asked for {:?}", wire.tftp_names());
    let requests = wire.http_requests();
    let first: Vec<_> = requests.iter().take(2).map(String::as_str).collect();
    ensure!(first == ["HEAD /l/ipxe/snponly.efi", "GET /l/ipxe/snponly.efi"], "first came {first:?}");
    let stages = [Stage::Loader, Stage::Script, Stage::Kernel, Stage::Initrd, Stage::Answer];
    must_have_served(&mut setting, &spec, &order, &stages.map(|stage| (Http, stage)))
}

pub(super) fn secure_boot(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    // A kernel that says what it finds.
    setting.apply(&catalog("probe-loud.yaml"))?;
    let root = setting.signed_loaders()?;
    let spec = add_with_loaders(&mut setting, Firmware::UefiSecure, "shim-signed", &root)?;
    let stages = [
        ("PXE over IPv4", "OVMF boots by PXE"),
        ("Secure boot enabled", "the kernel is trusted, and knows why"),
    ];
    let order = run_probe(&mut setting, &spec, &stages)?;
    must_have_read(&setting.wire()?, &["own/shimx64.efi", "grubx64.efi", "/grub/grub.cfg"])?;
    let stages = [Stage::Loader, Stage::Script, Stage::Kernel, Stage::Initrd];
    must_have_served(&mut setting, &spec, &order, &stages.map(|stage| (Tftp, stage)))
}

/// The ISO image is iPXE's own: what starts from it says so, out of a file of the image.
pub(super) fn memdisk_iso(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    setting.import(Path::new("/usr/lib/ipxe/ipxe.iso"), "iso", "tools-1")?;
    setting.apply(&catalog("tools.yaml"))?;
    let spec = add_with_loaders(&mut setting, Firmware::BiosIpxe, "pxelinux", Path::new("/"))?;
    setting.set_host(&spec, "--profile", "tools")?;
    setting.fleet.wait_files(0, "tools", FETCH_TIMEOUT)?;
    let mut machine = setting.power_on(&spec)?;
    let stages = [
        ("PXELINUX", "PXELINUX runs"),
        ("MEMDISK", "memdisk runs"),
        ("ISOLINUX", "the ISO image has started"),
        ("iPXE ISO boot image", "it reads its own files"),
    ];
    follow(&setting, &mut machine, &stages)?;
    machine.pull_plug();
    must_have_read(&setting.wire()?, &["/memdisk", "/ipxe.iso"])
}

/// GRUB, kernel and user space are those of Debian's installer. Firmware and GRUB come by TFTP, the rest by HTTP: this GRUB
/// brings the module for it.
pub(super) fn arm64_uefi(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let tree = media::debian_arm64();
    setting.import(&tree, "debian", "debian-12")?;
    setting.import(&tree, "loaders", "own")?;
    setting.apply(&catalog("debian-arm64.yaml"))?;
    let spec = MachineSpec { bound: ARM64_ON, ..MachineSpec::new("arm", Firmware::Arm64) };
    setting.add_host(&spec)?;
    setting.set_host(&spec, "--loaders", "own")?;
    let order = setting.order(&spec, "debian")?;
    let mut machine = setting.power_on(&spec)?;
    reach(&setting, &mut machine, "Welcome to GRUB!", "GRUB runs", ARM64_STAGE)?;
    reach(&setting, &mut machine, "Linux version", "the kernel runs", ARM64_STAGE)?;
    setting.wait_ledger("fetched preseed", ARM64_STAGE, |ledger| served(ledger, Http, Stage::Answer))?;
    setting.say(&format!("{:>6.1} s  the installer has its preseed", machine.uptime().as_secs_f32()));
    machine.pull_plug();
    let wire = setting.wire()?;
    must_have_read(&wire, &["own/bootnetaa64.efi", "own/grubaa64.efi", "/grub/grub.cfg", "/http.mod"])?;
    must_request(&wire.http_requests(), &["/linux", "/initrd.gz"])?;
    let files = [
        (Tftp, Stage::Loader),
        (Tftp, Stage::Script),
        (Http, Stage::Kernel),
        (Http, Stage::Initrd),
        (Http, Stage::Answer),
    ];
    must_have_served(&mut setting, &spec, &order, &files)
}

/// A fleet with a host that names the loaders of these Debian packages as its own.
fn with_loaders<'a>(
    bench: &'a Bench<'a>,
    firmware: Firmware,
    packages: &str,
    root: &Path,
) -> anyhow::Result<(Setting<'a>, MachineSpec)> {
    let mut setting = Setting::new(bench, false)?;
    let spec = add_with_loaders(&mut setting, firmware, packages, root)?;
    Ok((setting, spec))
}

pub(super) fn add_with_loaders(
    setting: &mut Setting<'_>,
    firmware: Firmware,
    packages: &str,
    root: &Path,
) -> anyhow::Result<MachineSpec> {
    setting.import_packages(packages, root, "own")?;
    let spec = MachineSpec::new("box", firmware);
    setting.add_host(&spec)?;
    setting.set_host(&spec, "--loaders", "own")?;
    Ok(spec)
}

/// Each of these ends of names was asked for by TFTP.
pub(super) fn must_have_read(wire: &Wire, ends: &[&str]) -> anyhow::Result<()> {
    let names = wire.tftp_names();
    for end in ends {
        ensure!(names.iter().any(|name| name.ends_with(end)), "no {end} among {names:?}");
    }
    Ok(())
}

//! Firmware and loaders that cannot be had here, played by machines of paper (`rom`) over real sockets, from their
//! specifications and from what others have seen of them (QUIRKS 20, 31, 45, 58). What they show is that we do as these say;
//! not that the firmware does.

pub(super) mod drive;
mod paper;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use proto::event::{OrderPhase, Transport};
use proto::plan::Stage;

use self::drive::{Told, boot};
use super::Bench;
use super::beside::OtherServer;
use super::exchange::{BOOT_SERVICE, Step};
use super::guest::Guest;
use super::network::{conclude, served};
use super::setting::{Setting, catalog, mac};
use crate::lab::{MachineSpec, qemu};
use rom::{End, Firmware, Identity};

/// A machine before which an agent is that it does not obey yet is switched on so often, with this pause.
const MOST_BOOTS: u32 = 5;
const BETWEEN_BOOTS: Duration = Duration::from_secs(3);
/// The longest file of Windows' loader here; some windows of blocks.
const WIM: usize = 300_000;

/// A PXE ROM that is no iPXE: no user class, no option 175. It gets what `bootlane host simulate` has foretold.
pub(super) fn rom(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let (spec, guest) = stand(bench, &mut setting, "rom")?;
    let order = setting.order(&spec, "probe")?;
    let paper = paper::simulate(&setting, &spec, "bios")?;
    let told = boot(&guest, identity(&spec, Firmware::BIOS))?;
    must_run_the_probe(&setting, &told, "ipxe/undionly.kpxe")?;
    paper.must_match(&setting, &told)?;
    setting.say("it was given what was said on paper, to the byte");
    conclude(&mut setting, &spec, &order, &[(Transport::Tftp, Stage::Loader)])
}

/// EDK2 before 2017 beside another server.
pub(super) fn old_edk2(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    setting.apply(&catalog("beside.yaml"))?;
    let _other = OtherServer::start(bench, &setting, &[])?;
    let (spec, guest) = stand(bench, &mut setting, "edk2")?;
    let order = setting.order(&spec, "probe")?;
    for time in 1..=MOST_BOOTS {
        let told = boot(&guest, identity(&spec, Firmware::UefiPxeOld))?;
        setting.say(&format!("boot {time} ended so: {}", told.end_in_words()));
        if matches!(told.end, End::Kernel { .. }) {
            must_run_the_probe(&setting, &told, "ipxe/snponly.efi")?;
            let exchange = setting.wire()?.dhcp(mac(&spec));
            let answered = exchange.iter().any(|heard| {
                heard.step() == Step::Ack
                    && heard.from.port() == BOOT_SERVICE
                    && heard.to.port() == BOOT_SERVICE
            });
            ensure!(answered, "the boot service has not answered: {exchange:#?}");
            return setting.wait_phase(&order, OrderPhase::Started.word());
        }
        std::thread::sleep(BETWEEN_BOOTS);
    }
    bail!("it has not booted within {MOST_BOOTS} times")
}

/// Windows' boot manager: names in mixed case with backslashes, and windows of blocks.
pub(super) fn windows(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let folder = windows_folder(bench)?;
    let folder = folder.to_str().context("the folder's name is no UTF-8")?;
    let import = ["image", "import", folder, "--family", "loaders", "--name", "windows"];
    setting.fleet.cli().run(&[&import[..], &["--loader", "uefi-x64=bootmgfw.efi", "--force"]].concat())?;
    let (spec, guest) = stand(bench, &mut setting, "windows")?;
    setting.set_host(&spec, "--loaders", "windows")?;
    let order = setting.order(&spec, "probe")?;
    let told = boot(&guest, identity(&spec, Firmware::UefiWindows))?;
    let End::Files(found) = &told.end else { bail!("it ended so: {}", told.end_in_words()) };
    ensure!(found.len() == 5, "it has found {found:?}");
    let wim = told.files.get("\\sources\\boot.wim").context("no boot.wim")?;
    ensure!(*wim == content("sources/boot.wim", WIM), "boot.wim has {} other bytes", wim.len());
    ensure!(told.files["\\Boot\\BCD"] == content("Boot/BCD", 600), "another BCD");
    ensure!(served(&setting.ledger()?, Transport::Tftp, Stage::Loader), "no loader was told of");
    setting.wait_phase(&order, OrderPhase::Offered.word())
}

/// What stands in a Raspberry Pi's chip: it says that it is a PC, and asks below its serial number.
pub(super) fn raspberry_pi(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let folder = bench.run.folder().join("pi");
    let firmware = [("start4.elf", 100_000), ("fixup4.dat", 5_000), ("config.txt", 100)];
    for (name, size) in firmware {
        write(&folder.join(name), &content(name, size))?;
    }
    setting.import(&folder, "loaders", "pi")?;
    let mut spec = MachineSpec::new("pi", qemu::Firmware::BiosIpxe);
    // One of its maker's addresses; and option 97 begins with "RPi4", as four bytes of a number are sent (QUIRKS 15, 16).
    spec.mac.0[..3].copy_from_slice(&[0xdc, 0xa6, 0x32]);
    spec.uuid.0[..4].copy_from_slice(b"4iPR");
    let guest = stand_as(bench, &mut setting, &spec)?;
    setting.set_host(&spec, "--loaders", "pi")?;
    let order = setting.order(&spec, "probe")?;
    let told = boot(&guest, identity(&spec, Firmware::RaspberryPi))?;
    let End::Files(found) = &told.end else { bail!("it ended so: {}", told.end_in_words()) };
    ensure!(found.len() == firmware.len(), "it has found {found:?}");
    for (name, size) in firmware {
        let fetched = told.files.iter().find(|(path, _)| path.ends_with(name));
        ensure!(fetched.is_some_and(|(_, bytes)| *bytes == content(name, size)), "another {name}");
    }
    setting.wait_phase(&order, OrderPhase::Offered.word())
}

/// A host of the catalog, and a namespace with its card.
pub(super) fn stand(
    bench: &Bench<'_>,
    setting: &mut Setting<'_>,
    name: &str,
) -> anyhow::Result<(MachineSpec, Guest)> {
    let spec = MachineSpec::new(name, qemu::Firmware::BiosIpxe);
    let guest = stand_as(bench, setting, &spec)?;
    Ok((spec, guest))
}

fn stand_as(bench: &Bench<'_>, setting: &mut Setting<'_>, spec: &MachineSpec) -> anyhow::Result<Guest> {
    setting.add_host(spec)?;
    Guest::plug_in_as(bench, setting, &spec.name, mac(spec))
}

pub(super) fn identity(spec: &MachineSpec, firmware: Firmware) -> Identity {
    Identity { mac: mac(spec), uuid: spec.uuid.0, firmware }
}

/// It went by its loader, which was iPXE, to the kernel and the order's file, and each came whole.
fn must_run_the_probe(setting: &Setting<'_>, told: &Told, loader: &str) -> anyhow::Result<()> {
    ensure!(matches!(told.end, End::Kernel { .. }), "it ended so: {}", told.end_in_words());
    let (_, name) = loader.split_once('/').context("a set and its file")?;
    let stock =
        [(loader, setting.stock.loaders.join(name)), ("/linux", setting.stock.installer.join("linux"))];
    for (end, file) in stock {
        let fetched = told.files.iter().find(|(name, _)| name.ends_with(end));
        let (_, bytes) = fetched.with_context(|| format!("{end} was not fetched"))?;
        ensure!(*bytes == fs::read(&file)?, "{end} came otherwise than {}", file.display());
    }
    ensure!(told.answer.starts_with(b"Hello, "), "the order's file is {:?}", told.answer);
    Ok(())
}

/// What stands on a server for Windows, in its vendor's spelling; the bytes are nobody's.
fn windows_folder(bench: &Bench<'_>) -> anyhow::Result<PathBuf> {
    let folder = bench.run.folder().join("windows");
    let files = [
        ("bootmgfw.efi", 5_000),
        ("Boot/BCD", 600),
        ("Boot/Fonts/wgl4_boot.ttf", 1_456),
        ("Boot/Fonts/segmono_boot.ttf", 4 * 1_456),
        ("Boot/boot.sdi", 10_000),
        ("sources/boot.wim", WIM),
    ];
    for (name, size) in files {
        write(&folder.join(name), &content(name, size))?;
    }
    Ok(folder)
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::create_dir_all(path.parent().context("a folder")?)?;
    fs::write(path, bytes).with_context(|| format!("failed to write {}", path.display()))
}

/// Bytes that differ from file to file and from block to block.
pub(super) fn content(name: &str, size: usize) -> Vec<u8> {
    let line = |at: usize| format!("{name} {at}\n").into_bytes();
    (0..).flat_map(line).take(size).collect()
}

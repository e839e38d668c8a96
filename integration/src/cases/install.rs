//! Installing: by a disk image, and by Debian's installer.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use proto::AttemptId;
use proto::event::{EventKind, NumberedEvent, OrderPhase, Transport};
use proto::ledger::OrderState;
use proto::plan::Stage;

use super::Bench;
use super::console::follow;
use super::local::is_up;
use super::network::{must_request, served};
use super::setting::{Setting, catalog, mac};
use crate::fleet::{Ledger, Stock};
use crate::lab::MachineSpec;
use crate::lab::qemu::Firmware;

/// From power-on to the preseed's callback; the installer asks several questions to the network first.
const DEBIAN: Duration = Duration::from_secs(240);

/// What the console shows from power-on to the installation's end.
pub(super) const INSTALLS: &[(&str, &str)] = &[
    ("boot.ipxe... ok", "it has its script"),
    // Not its "ok": the kernel takes the serial port over while that is still on its way out.
    ("initrd.img...", "it loads kernel and initrd"),
    ("BOOTLANE-MARK userspace", "the installer environment runs"),
    ("BOOTLANE-MARK installed", "the image is on the disk and verified"),
];
/// And from there to the installed system.
pub(super) const STARTS: &[(&str, &str)] = &[
    ("SeaBIOS", "it has rebooted"),
    ("BOOTLANE-MARK disk-booted lab-disk", "the installed system runs"),
    ("BOOTLANE-MARK disk-network lab-disk", "it has an address"),
];

pub(super) fn disk_image(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, true)?;
    let disk = setting.empty_disk("bios")?;
    let spec = MachineSpec::new("bios", Firmware::BiosIpxe).with_raw_disk(&disk);
    setting.add_host(&spec)?;
    let order = setting.order(&spec, "demo-disk")?;
    let mut machine = setting.power_on(&spec)?;
    follow(&setting, &mut machine, INSTALLS)?;
    follow(&setting, &mut machine, STARTS)?;
    machine.power_off();
    must_hold(&disk, &setting.stock.raw_disk)?;
    let requests = setting.wire()?.http_requests();
    must_request(&requests, &["/boot.ipxe", "/linux", "/initrd.img", "/disk.img.gz"])?;
    must_request(&requests, &["/report/started", "/report/installed"])?;
    must_be_installed_once(&mut setting, &spec, &order)
}

/// The controller's story: one order, started once and installed once; then the system up from its disk.
pub(super) fn must_be_installed_once(
    setting: &mut Setting<'_>,
    spec: &MachineSpec,
    order: &str,
) -> anyhow::Result<()> {
    let ledger = setting.wait_ledger("event that the system is up", Duration::from_secs(5), is_up)?;
    must_have_moved_once(&ledger, OrderPhase::Started)?;
    must_have_moved_once(&ledger, OrderPhase::Installed)?;
    let timeline = setting.timeline(&spec.name)?;
    setting.wait_phase(order, OrderPhase::Installed.word())?;
    let outcomes: Vec<_> = timeline.boots.iter().map(|boot| boot.outcome.as_str()).collect();
    ensure!(outcomes == ["installed", "up"], "the boots' outcomes are {outcomes:?}");
    Ok(())
}

pub(super) fn must_have_moved_once(ledger: &Ledger, into: OrderPhase) -> anyhow::Result<()> {
    let moves = ledger.events.iter().filter(
        |numbered| matches!(numbered.event.kind, EventKind::OrderMoved { phase, .. } if phase == into),
    );
    let times = moves.count();
    ensure!(times == 1, "the order became {} {times} times", into.word());
    Ok(())
}

/// The disk begins with all bytes of the image.
pub(super) fn must_hold(disk: &Path, image: &Path) -> anyhow::Result<()> {
    let mut expected = Vec::new();
    File::open(image)
        .and_then(|mut file| file.read_to_end(&mut expected))
        .context("failed to read the image")?;
    let mut found = vec![0; expected.len()];
    File::open(disk).and_then(|mut file| file.read_exact(&mut found)).context("failed to read the disk")?;
    // The system that has started from it may have written; its boot sectors and kernel it has not.
    let differ =
        found.chunks(4096).zip(expected.chunks(4096)).filter(|(found, wanted)| found != wanted).count();
    ensure!(differ == 0, "{differ} blocks of the disk are not those of the image");
    Ok(())
}

pub(super) fn debian_preseed(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    setting.import(&Stock::debian(&bench.run)?, "debian", "debian-12")?;
    setting.apply(&catalog("debian.yaml"))?;
    let disk = setting.empty_disk("debian-box")?;
    let spec = MachineSpec::new("debian-box", Firmware::BiosIpxe).with_raw_disk(disk);
    setting.add_host(&spec)?;
    let order = setting.order(&spec, "debian")?;
    let mut machine = setting.power_on(&spec)?;
    follow(
        &setting,
        &mut machine,
        &[("boot.ipxe... ok", "it has its script"), ("initrd.gz...", "it loads the installer")],
    )?;
    setting
        .wait_ledger("fetched preseed", DEBIAN, |ledger| served(ledger, Transport::Http, Stage::Answer))?;
    setting.say(&format!("{:>6.1} s  it has its preseed", machine.uptime().as_secs_f32()));
    let ledger = setting.wait_ledger("callback", DEBIAN, has_progress)?;
    setting.say(&format!("{:>6.1} s  the installer has called back", machine.uptime().as_secs_f32()));
    let said =
        setting.wait_ledger("line of the installer's syslog", DEBIAN, |ledger| !lines(ledger).is_empty())?;
    machine.pull_plug();
    must_be_told(&setting, &said)?;
    must_have_moved_once(&ledger, OrderPhase::Started)?;
    let wire = setting.wire()?;
    ensure!(wire.leased(mac(&spec)), "no DHCP reply to the machine was captured");
    ensure!(
        wire.carried("rendered by Bootlane for debian-box"),
        "the preseed on the wire is not this host's"
    );
    let requests = wire.http_requests();
    must_request(&requests, &["/preseed.cfg", "/report/progress?percent=1&text=installer"])?;
    setting.timeline(&spec.name)?;
    setting.wait_phase(&order, OrderPhase::Started.word())
}

/// What the installer logs (`log_host`) stands in the timeline of its boot, without the token that it has read there.
fn must_be_told(setting: &Setting<'_>, ledger: &Ledger) -> anyhow::Result<()> {
    let lines = lines(ledger);
    let offered = |order: &OrderState| order.token.map(|token| (order.attempt, token));
    let (of_order, token) = ledger.orders.iter().rev().find_map(offered).context("no order was offered")?;
    for (attempt, line) in &lines {
        ensure!(*attempt == of_order, "a line of another boot: {line}");
        ensure!(!line.contains(&token.reveal()), "a line with the order's token: {line}");
    }
    setting.say(&format!("{} lines of its syslog are told, such as {:?}", lines.len(), lines[0].1));
    Ok(())
}

/// Lines of syslog, with the boots that they were told with.
fn lines(ledger: &Ledger) -> Vec<(Option<AttemptId>, String)> {
    let line = |numbered: &NumberedEvent| {
        let EventKind::SyslogLine { program, text, .. } = &numbered.event.kind else { return None };
        Some((numbered.event.attempt, format!("{program}: {text}")))
    };
    ledger.events.iter().filter_map(line).collect()
}

fn has_progress(ledger: &Ledger) -> bool {
    ledger.events.iter().any(|numbered| matches!(numbered.event.kind, EventKind::Progress { .. }))
}

//! The packets of a boot that failed, as an operator fetches them: what explains it is there, and no secret.

use std::path::Path;

use anyhow::{Context as _, ensure};
use proto::Token128;
use proto::event::{EventKind, OrderPhase};
use rom::Firmware;
use serde_json::Value;

use super::Bench;
use super::exchange::{Step, contains, steps};
use super::network::must_request;
use super::setting::{Setting, mac};
use super::synthetic::drive::{self, Kernel, ask};
use super::synthetic::{identity, stand};
use super::wire::Wire;
use crate::fleet::Ledger;
use crate::lab::MachineSpec;

/// The file of the profile `probe`, and the script, as they begin.
const BODIES: [&str; 2] = ["Hello, ", "#!ipxe"];
/// What stands for an order's token.
const MASKED: &str = "/o/********************************/";

pub(super) fn capture(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let (spec, guest) = stand(bench, &mut setting, "box")?;
    let order = setting.order(&spec, "probe")?;
    let kernel = Kernel::of(drive::boot(&guest, identity(&spec, Firmware::UEFI))?.end)?;
    ask(&guest, kernel.address, &kernel.report("failed?reason=no%20disk")?)?;
    setting.wait_phase(&order, OrderPhase::Failed.word())?;
    let ledger = setting.wait_ledger("capture", std::time::Duration::from_secs(10), is_kept)?;
    let timeline = setting.timeline(&spec.name)?;
    let attempt = timeline.boots.first().context("the controller tells of no boot")?.attempt.as_str();
    let file = bench.run.folder().join("boot.pcap");
    let path = file.to_str().context("the file's name is no UTF-8")?;
    // As people type it.
    let told = setting.fleet.cli().run(&["boot", "capture", &attempt[..8], "--out", path])?;
    setting.say(told.trim());
    must_explain(&file, &spec)?;
    let token = ledger.orders.iter().rev().find_map(|order| order.token).context("no order was offered")?;
    must_keep_secrets(&mut setting, &file, token)?;
    must_be_readable(&setting, path)?;
    must_be_audited(&setting, attempt)
}

fn is_kept(ledger: &Ledger) -> bool {
    ledger.events.iter().any(|numbered| matches!(numbered.event.kind, EventKind::CaptureKept { .. }))
}

/// DHCP, TFTP and HTTP of the boot are there.
fn must_explain(file: &Path, spec: &MachineSpec) -> anyhow::Result<()> {
    let wire = Wire::read(file)?;
    let exchange = wire.dhcp(mac(spec));
    let twice = [Step::Discover, Step::Offer, Step::Select, Step::Ack].repeat(2);
    ensure!(contains(&exchange, &twice), "of DHCP of ROM and loader there is {:?}", steps(&exchange));
    ensure!(wire.tftp_names().contains(&"ipxe/snponly.efi"), "of TFTP there is {:?}", wire.tftp_names());
    must_request(&wire.http_requests(), &["/boot.ipxe", "/linux", "/hello.txt", "/failed?reason=no%20disk"])
}

/// What went over the segment with everything in it is without it in the capture.
fn must_keep_secrets(setting: &mut Setting<'_>, file: &Path, token: Token128) -> anyhow::Result<()> {
    let (segment, kept) = (setting.wire()?, Wire::read(file)?);
    let token = token.reveal();
    for secret in BODIES.into_iter().chain([token.as_str()]) {
        ensure!(segment.carried(secret), "the segment's own capture lacks what is looked for");
        ensure!(
            !kept.carried(secret),
            "the boot's capture has a secret, which begins with {:?}",
            &secret[..4]
        );
    }
    ensure!(kept.carried(MASKED), "no token was masked");
    setting.say("neither the order's token nor a body is in it");
    Ok(())
}

/// Another program reads it, too, and finds every sum right.
fn must_be_readable(setting: &Setting<'_>, path: &str) -> anyhow::Result<()> {
    let site = setting.fleet.site(0).namespace();
    let read = site.shell(&format!("tcpdump -nvv -r '{path}'"))?;
    for protocol in ["BOOTP/DHCP", "TFTP", "HTTP/1.1 200"] {
        ensure!(read.contains(protocol), "tcpdump finds no {protocol} in {path}");
    }
    ensure!(!read.contains("incorrect") && !read.contains("bad "), "tcpdump finds a wrong sum in {path}");
    Ok(())
}

fn must_be_audited(setting: &Setting<'_>, attempt: &str) -> anyhow::Result<()> {
    let records = setting.fleet.cli().json(&["audit", "list", "--limit", "5"])?;
    let fetched = |record: &Value| {
        record["action"] == "fetch-capture"
            && record["detail"].as_str().is_some_and(|detail| detail.contains(attempt))
    };
    ensure!(records.as_array().is_some_and(|records| records.iter().any(fetched)), "not audited: {records}");
    Ok(())
}

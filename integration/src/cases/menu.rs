//! Menus that nobody answers: they give way to the local disk, and nothing that they offer is fetched.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::Bench;
use super::console::follow;
use super::loaders::must_have_read;
use super::local::is_up;
use super::network::must_request;
use super::setting::{Setting, catalog};
use super::wire::Wire;
use crate::fleet::example::SITE;
use crate::lab::MachineSpec;
use crate::lab::qemu::Firmware;

/// How long files may take to the edge, and a system to its address.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) fn pxelinux(bench: &Bench<'_>) -> anyhow::Result<()> {
    let wire = boot(bench, "pxelinux")?;
    must_have_read(&wire, &["own/menu.c32"])
}

pub(super) fn lpxelinux(bench: &Bench<'_>) -> anyhow::Result<()> {
    let wire = boot(bench, "lpxelinux")?;
    ensure!(wire.tftp_names().iter().all(|name| *name == "own/lpxelinux.0"), "{:?}", wire.tftp_names());
    must_request(&wire.http_requests(), &["/l/own/menu.c32", "/l/own/libutil.c32"])
}

/// A host that shows a menu by the loaders of this package, switched on with nobody at its keys.
fn boot(bench: &Bench<'_>, package: &str) -> anyhow::Result<Wire> {
    let mut setting = Setting::new(bench, false)?;
    setting.apply(&catalog("rescue.yaml"))?;
    setting.import_packages(package, Path::new("/"), "own")?;
    let spec = MachineSpec::new("box", Firmware::BiosIpxe);
    let spec = spec.clone().with_raw_disk(setting.installed_disk(&spec.name)?);
    let document = bench.run.folder().join("box.yaml");
    let text = format!(
        "kind: Host\nname: box\nspec:\n  site: {SITE}\n  macs: [\"{}\"]\n  loaders: own\n  menu:\n    timeout: 3s\n    entries: [rescue]\n",
        spec.mac
    );
    std::fs::write(&document, text).context("failed to write the host's document")?;
    setting.apply(&document)?;
    setting.fleet.wait_applied(0)?;
    setting.fleet.wait_files(0, "rescue", FETCH_TIMEOUT)?;
    let mut machine = setting.power_on(&spec)?;
    let stages = [
        ("PXELINUX", "PXELINUX runs"),
        ("Bootlane: box", "it shows the menu"),
        ("BOOTLANE-MARK disk-booted", "the system on its disk runs"),
    ];
    follow(&setting, &mut machine, &stages)?;
    setting.wait_ledger("event that the system is up", FETCH_TIMEOUT, is_up)?;
    machine.power_off();
    let wire = setting.wire()?;
    must_have_fetched_no_kernel(&wire)?;
    let timeline = setting.timeline(&spec.name)?;
    let outcomes: Vec<_> = timeline.boots.iter().map(|boot| boot.outcome.as_str()).collect();
    ensure!(outcomes == ["up"], "the boots' outcomes are {outcomes:?}");
    Ok(wire)
}

fn must_have_fetched_no_kernel(wire: &Wire) -> anyhow::Result<()> {
    let (names, requests) = (wire.tftp_names(), wire.http_requests());
    let mut fetched = names.into_iter().chain(requests.iter().map(String::as_str));
    let kernel = fetched.find(|name| name.ends_with("/linux"));
    ensure!(kernel.is_none(), "a kernel was fetched: {kernel:?}");
    Ok(())
}

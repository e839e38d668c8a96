//! A site behind a slow link: its images are seen on their way with the time that they take, and an order waits for them.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Bench;
use super::console::follow;
use super::install::{INSTALLS, STARTS, must_be_installed_once, must_hold};
use super::setting::Setting;
use crate::fleet::Interrupt;
use crate::lab::MachineSpec;
use crate::lab::qemu::Firmware;

/// The router's end of the site's cable: what leaves there are the site's downloads. The lab's images take half a minute.
const SLOW: &str = "tc qdisc add dev site1 root tbf rate 8mbit burst 32kb latency 200ms";
/// From the first byte to the last, on a busy computer.
const ARRIVAL: Duration = Duration::from_secs(150);
const SOON: Duration = Duration::from_secs(30);

pub(super) fn order_waits(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, true)?;
    setting.fleet.network().router.shell(SLOW)?;
    let disk = setting.empty_disk("bios")?;
    let spec = MachineSpec::new("bios", Firmware::BiosIpxe).with_raw_disk(&disk);
    setting.add_host(&spec)?;
    let create = ["order", "create", &spec.name, "--profile", "demo-disk", "--when-ready"];
    let created = setting.fleet.cli().json(&create)?;
    let order = created["name"].as_str().context("the order has no name")?.to_owned();
    ensure!(created.pointer("/spec/waiting").is_some(), "the order does not wait: {created}");

    let arriving = wait_image(&setting, "image on its way with its time", SOON, |image| {
        image["state"] == "arriving" && image["done_ms"].is_u64()
    })?;
    setting.say(&format!("image status says {arriving}"));
    let listed = setting.fleet.cli().run(&["order", "list"])?;
    ensure!(
        listed.contains("waiting") && listed.contains("the rest is there in"),
        "order list says {listed}"
    );
    ensure!(setting.ledger()?.orders.is_empty(), "the agent has an order that is no permission yet");

    wait_image(&setting, "image at the site", ARRIVAL, |image| image["state"] == "ready")?;
    setting.wait_phase(&order, "armed")?;
    let armed = setting.fleet.cli().json(&["order", "get", &order])?;
    ensure!(armed.pointer("/spec/waiting").is_none(), "the order waits on: {armed}");
    setting.say("everything is at the site, and the order is armed");

    let mut machine = setting.power_on(&spec)?;
    follow(&setting, &mut machine, INSTALLS)?;
    follow(&setting, &mut machine, STARTS)?;
    machine.power_off();
    must_hold(&disk, &setting.stock.raw_disk)?;
    must_be_installed_once(&mut setting, &spec, &order)
}

/// Waits until `image status` says of the disk image what is wanted.
fn wait_image(
    setting: &Setting<'_>,
    what: &str,
    bound: Duration,
    good: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let cli = setting.fleet.cli();
    let found = Interrupt::default().wait(what, bound).until(|| {
        let shown = cli.json(&["image", "status", "demo-disk-1"])?;
        Ok(match shown.get(0) {
            Some(image) if good(image) => Ok(image.clone()),
            _ => Err(format!("image status says {shown}")),
        })
    });
    Ok(found?)
}

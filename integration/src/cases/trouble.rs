//! Installing while something is killed: the site works alone, and nothing is done or told twice.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;

use super::Bench;
use super::console::{follow, reach};
use super::install::{INSTALLS, STARTS, must_be_installed_once, must_hold};
use super::local::is_up;
use super::setting::{Setting, mac};
use crate::fleet::Ledger;
use crate::lab::MachineSpec;
use crate::lab::qemu::Firmware;

const STAGE: Duration = Duration::from_secs(120);

pub(super) fn controller_down(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, true)?;
    let disk = setting.empty_disk("bios")?;
    let spec = MachineSpec::new("bios", Firmware::BiosIpxe).with_raw_disk(&disk);
    setting.add_host(&spec)?;
    let order = setting.order(&spec, "demo-disk")?;
    setting.fleet.kill_controller();
    setting.say("the controller is killed");
    let mut machine = setting.power_on(&spec)?;
    follow(&setting, &mut machine, INSTALLS)?;
    follow(&setting, &mut machine, STARTS)?;
    let ledger = setting.wait_ledger("event that the system is up", Duration::from_secs(5), is_up)?;
    machine.power_off();
    must_hold(&disk, &setting.stock.raw_disk)?;
    ensure!(ledger.acknowledged < ledger.events.len() as u64, "who has acknowledged the events?");
    setting.fleet.start_controller()?;
    setting.say(&format!(
        "the controller is back; {} of {} events wait for it",
        ledger.events.len() as u64 - ledger.acknowledged,
        ledger.events.len()
    ));
    setting.fleet.wait_connected(0)?;
    must_be_installed_once(&mut setting, &spec, &order)
}

pub(super) fn agent_restart(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, true)?;
    let disk = setting.empty_disk("bios")?;
    let spec = MachineSpec::new("bios", Firmware::BiosIpxe).with_raw_disk(&disk);
    setting.add_host(&spec)?;
    let order = setting.order(&spec, "demo-disk")?;
    let mut machine = setting.power_on(&spec)?;
    reach(&setting, &mut machine, "boot.ipxe... ok", "it has its script", STAGE)?;
    restart_agent(&mut setting)?;
    reach(&setting, &mut machine, "BOOTLANE-MARK userspace", "the installer environment runs", STAGE)?;
    restart_agent(&mut setting)?;
    follow(&setting, &mut machine, &INSTALLS[INSTALLS.len() - 1..])?;
    follow(&setting, &mut machine, STARTS)?;
    machine.power_off();
    must_hold(&disk, &setting.stock.raw_disk)?;
    must_have_kept_its_lease(&setting.ledger()?, &spec)?;
    setting.fleet.wait_connected(0)?;
    must_be_installed_once(&mut setting, &spec, &order)
}

fn restart_agent(setting: &mut Setting<'_>) -> anyhow::Result<()> {
    setting.fleet.kill_agent(0);
    setting.fleet.start_agent(0)?;
    setting.say("the agent was killed and started again");
    Ok(())
}

/// From the first packet to the installed system it had one address, and nobody else had it.
fn must_have_kept_its_lease(ledger: &Ledger, spec: &MachineSpec) -> anyhow::Result<()> {
    let of_machine = ledger.leases.iter().filter(|lease| lease.key.mac == mac(spec));
    let addresses: BTreeSet<_> = of_machine.map(|lease| lease.address).collect();
    ensure!(addresses.len() == 1, "the machine had the addresses {addresses:?}");
    let others =
        ledger.leases.iter().any(|lease| lease.key.mac != mac(spec) && addresses.contains(&lease.address));
    ensure!(!others, "another machine was given {addresses:?}");
    Ok(())
}

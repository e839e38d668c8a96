//! Firmware that trusts less than it is given.

use std::time::Duration;

use anyhow::ensure;
use controller::diagnosis::Cause;
use proto::event::Transport::{Http, Tftp};
use proto::plan::Stage;

use super::Bench;
use super::console::reach;
use super::explain::{SILENT, must_name};
use super::loaders::must_have_read;
use super::local::turns_to_disk;
use super::network::served;
use super::setting::Setting;
use crate::lab::MachineSpec;
use crate::lab::qemu::Firmware;

/// It fetches the loader by PXE and by HTTP Boot, and listens for IPv6, before it turns to its disk.
const UNTIL_DISK: Duration = Duration::from_secs(280);

/// iPXE of 2019 is not signed: the machine fetches it whole, refuses it without a word to us, and goes on to its disk.
pub(super) fn unsigned_loader(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let spec = MachineSpec::new("box", Firmware::UefiSecure);
    let spec = spec.clone().with_raw_disk(setting.installed_disk(&spec.name)?);
    setting.add_host(&spec)?;
    let order = setting.order(&spec, "probe")?;
    let mut machine = setting.power_on(&spec)?;
    reach(&setting, &mut machine, "PXE over IPv4", "OVMF boots by PXE", UNTIL_DISK)?;
    reach(&setting, &mut machine, "Access Denied", "it refuses the loader", UNTIL_DISK)?;
    reach(&setting, &mut machine, turns_to_disk(spec.firmware), "it turns to its disk", UNTIL_DISK)?;
    machine.pull_plug();
    must_have_read(&setting.wire()?, &["ipxe/snponly.efi"])?;
    // The timeline's last word is the loader, fetched whole; what makes an order `started` was never asked for.
    let timeline = setting.timeline(&spec.name)?;
    let outcomes: Vec<_> = timeline.boots.iter().map(|boot| boot.outcome.as_str()).collect();
    ensure!(outcomes == ["running"], "the boots' outcomes are {outcomes:?}");
    let ledger = setting.ledger()?;
    ensure!(served(&ledger, Tftp, Stage::Loader), "the timeline has no loader by TFTP");
    ensure!(!served(&ledger, Http, Stage::Script), "something spoke that had been refused");
    setting.wait_phase(&order, "offered")?;
    std::thread::sleep(SILENT);
    must_name(&setting, &spec.name, Cause::LoaderSilent).map(drop)
}

//! Two machines whose vendor gave them one SMBIOS UUID. Hosts are known by their MACs, so each gets what is its own; a UUID
//! that is recorded and contradicted is a doubt, and in doubt a machine boots its disk (QUIRKS 16, 55).

use std::collections::BTreeSet;

use anyhow::ensure;
use proto::Mac;
use proto::event::{AlarmKind, EventKind, OrderPhase};

use super::Bench;
use super::console::follow;
use super::network::{BY_IPXE, watch_probe};
use super::setting::{Setting, mac};
use crate::fleet::Ledger;
use crate::fleet::example::SITE;
use crate::lab::MachineSpec;
use crate::lab::qemu::Firmware;

pub(super) fn one_uuid(bench: &Bench<'_>) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    let first = MachineSpec::new("twin-1", Firmware::BiosIpxe);
    let labelled = MachineSpec::new("twin-2", Firmware::BiosIpxe);
    let disk = setting.installed_disk(&labelled.name)?;
    let second = MachineSpec { uuid: first.uuid, ..labelled.clone() }.with_raw_disk(disk);
    setting.add_host(&first)?;
    must_be_refused(&setting, &second)?;
    // So somebody records what stands on its case.
    setting.add_host(&labelled)?;
    let orders = [setting.order(&first, "probe")?, setting.order(&second, "probe")?];
    boot_both(&setting, &first, &second)?;
    setting.wait_phase(&orders[0], OrderPhase::Started.word())?;
    setting.wait_phase(&orders[1], OrderPhase::Armed.word())?;
    must_have_told(&setting.ledger()?, &first, &second)?;
    boot_without_a_record(&mut setting, &second)?;
    setting.wait_phase(&orders[1], OrderPhase::Started.word())?;
    let wire = setting.wire()?;
    ensure!(wire.carried("Hello, twin-1.") && wire.carried("Hello, twin-2."), "a file was not sent");
    setting.timeline(&first.name)?;
    setting.timeline(&second.name).map(drop)
}

/// The catalog has each UUID once.
fn must_be_refused(setting: &Setting<'_>, spec: &MachineSpec) -> anyhow::Result<()> {
    let (mac, uuid) = (spec.mac.to_string(), spec.uuid.to_string());
    let arguments = ["host", "add", &spec.name, "--site", SITE, "--mac", &mac, "--uuid", &uuid];
    match setting.fleet.cli().run(&arguments) {
        Ok(_) => anyhow::bail!("two hosts have one UUID"),
        Err(error) => ensure!(error.to_string().contains("uuid"), "refused for another reason: {error}"),
    }
    setting.say("the catalog refuses the UUID a second time");
    Ok(())
}

/// At once: the one is installed, the other, which shows another UUID than is recorded, goes to its disk.
fn boot_both(setting: &Setting<'_>, first: &MachineSpec, second: &MachineSpec) -> anyhow::Result<()> {
    let one = setting.power_on(first)?;
    let mut other = setting.power_on(second)?;
    watch_probe(setting, one, BY_IPXE)?;
    follow(setting, &mut other, &[("BOOTLANE-MARK disk-booted", "the other's disk runs")])?;
    other.power_off();
    Ok(())
}

/// The wrong record is taken away: the order that waited is obeyed.
fn boot_without_a_record(setting: &mut Setting<'_>, spec: &MachineSpec) -> anyhow::Result<()> {
    setting.fleet.cli().run(&["host", "set", &spec.name, "--unset", "uuid"])?;
    setting.fleet.wait_applied(0)?;
    setting.say("the wrong UUID is no longer recorded");
    watch_probe(setting, setting.power_on(spec)?, BY_IPXE)
}

/// An alarm for the one that disagrees and none for the other, and two addresses.
fn must_have_told(ledger: &Ledger, first: &MachineSpec, second: &MachineSpec) -> anyhow::Result<()> {
    let disagrees =
        |kind: &EventKind| matches!(kind, EventKind::Alarm { kind: AlarmKind::IdentityDisagrees, .. });
    let events = ledger.events.iter().map(|numbered| &numbered.event);
    let alarmed: BTreeSet<Mac> =
        events.filter(|event| disagrees(&event.kind)).filter_map(|event| event.mac).collect();
    ensure!(alarmed == BTreeSet::from([mac(second)]), "alarms were raised for {alarmed:?}");
    let address = |spec| {
        let leases = ledger.leases.iter().filter(|lease| lease.key.mac == mac(spec));
        leases.map(|lease| lease.address).collect::<BTreeSet<_>>()
    };
    let (one, other) = (address(first), address(second));
    ensure!(one.len() == 1 && other.len() == 1 && one != other, "the addresses are {one:?} and {other:?}");
    Ok(())
}

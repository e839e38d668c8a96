//! The DHCP clients of operating systems: each takes a lease, renews it, finds another way when its server does not answer,
//! and gives the lease back.

mod programs;

use std::time::Duration;

use anyhow::ensure;
use proto::event::{EventKind, LeaseEnd};

use self::programs::{DHCLIENT, DHCPCD, NETWORKD, Program, UDHCPC};
use super::Bench;
use super::exchange::{Step, contains, leased_address};
use super::guest::Guest;
use super::setting::{Setting, catalog};
use crate::fleet::Ledger;

/// A lease is 60 s long, so clients renew at 30 s and rebind at 53 s; the rest is for a busy machine and the capture.
const STAGE: Duration = Duration::from_secs(90);

/// How a client takes its first lease.
const TAKEN: [Step; 4] = [Step::Discover, Step::Offer, Step::Select, Step::Ack];

pub(super) fn dhclient(bench: &Bench<'_>) -> anyhow::Result<()> {
    live(bench, &DHCLIENT)
}

pub(super) fn udhcpc(bench: &Bench<'_>) -> anyhow::Result<()> {
    live(bench, &UDHCPC)
}

pub(super) fn dhcpcd(bench: &Bench<'_>) -> anyhow::Result<()> {
    live(bench, &DHCPCD)
}

pub(super) fn networkd(bench: &Bench<'_>) -> anyhow::Result<()> {
    live(bench, &NETWORKD)
}

/// The life of a lease, from its first packet to its last.
fn live(bench: &Bench<'_>, program: &Program) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    setting.apply(&catalog("short-leases.yaml"))?;
    setting.fleet.wait_applied(0)?;
    let guest = Guest::plug_in(bench, &setting, program.name)?;
    let mut process = (program.start)(&guest)?.spawn(&bench.run)?;
    guest.reaches(&setting, &TAKEN, "it has a lease", STAGE)?;
    guest.reaches(&setting, &[&TAKEN[..], &[Step::Renew, Step::Ack]].concat(), "it has renewed it", STAGE)?;
    guest.deafen_server(&setting, true)?;
    let rebound = [&TAKEN[..], &[Step::Renew, Step::Ack, Step::Renew, Step::Rebind, Step::Ack]].concat();
    guest.reaches(&setting, &rebound, "its server was silent, and it has asked all", STAGE)?;
    guest.deafen_server(&setting, false)?;
    (program.release)(&guest, &mut process)?;
    guest.reaches(&setting, &[&rebound[..], &[Step::Release]].concat(), "it has given it back", STAGE)?;
    process.stop();
    must_have_lived(&mut setting, &guest)
}

/// One address all along, on the wire and in the ledger, and nothing of it is left.
fn must_have_lived(setting: &mut Setting<'_>, guest: &Guest) -> anyhow::Result<()> {
    let released = |ledger: &Ledger| {
        let kinds = ledger.events.iter().map(|numbered| &numbered.event.kind);
        kinds.filter(|kind| matches!(kind, EventKind::LeaseEnded { how: LeaseEnd::Released, .. })).count()
            == 1
    };
    let ledger = setting.wait_ledger("end of the lease", STAGE, released)?;
    let exchange = setting.wire()?.dhcp(guest.mac);
    let address = leased_address(&exchange)?;
    ensure!(!contains(&exchange, &[Step::Nak]), "it was refused: {exchange:#?}");
    let leases: Vec<_> = ledger.leases.iter().filter(|lease| lease.key.mac == guest.mac).collect();
    let acks = exchange.iter().filter(|heard| heard.step() == Step::Ack).count();
    ensure!(leases.iter().all(|lease| lease.address == address), "{address} was leased, and {leases:?}");
    ensure!(leases.len() == acks, "{acks} ACKs rest on {} leases", leases.len());
    ensure!(leases.is_sorted_by_key(|lease| lease.until), "a renewal made the lease shorter: {leases:?}");
    setting.fleet.wait_reported(0)?;
    setting.say(&format!("{address} all along: {acks} times acknowledged, and told to the controller"));
    Ok(())
}

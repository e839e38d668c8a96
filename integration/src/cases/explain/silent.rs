//! They stop somewhere, and no more is heard of them.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, ensure};
use controller::diagnosis::Cause;
use proto::event::OrderPhase;
use rom::Firmware;

use super::super::beside::OtherServer;
use super::super::guest::CARD;
use super::super::synthetic::drive::{self, Fate, Kernel, ask};
use super::super::synthetic::{content, write};
use super::Broken;
use crate::lab::MachineSpec;

/// Of whom no lease is known.
const ELSEWHERE: Ipv4Addr = drive::NOBODY;
/// Long enough for a boot.
const SHORT: &str = "60s";

/// The agent's replies do not reach the machine, as by a switch that guards against DHCP servers.
const SNOOPING: [&str; 2] = [
    "nft add table bridge snooping
     nft add chain bridge snooping output '{ type filter hook output priority 0; }'
     nft add rule bridge snooping output oifname guest0 udp sport 67 drop",
    "nft delete table bridge snooping",
];
/// TFTP does not reach the agent.
const CLOSED: [&str; 2] = [
    "nft add table inet closed
     nft add chain inet closed input '{ type filter hook input priority 0; }'
     nft add rule inet closed input udp dport 69 drop",
    "nft delete table inet closed",
];

impl Broken<'_> {
    pub(super) fn silent_ones(&mut self) -> anyhow::Result<()> {
        let late = self.soon_to_expire()?;
        self.loaders()?;
        let (spec, _) = self.ordered(Cause::NothingAsked)?;
        self.boot_behind(&spec, CLOSED)?;
        let (spec, _) = self.ordered(Cause::OfferNotTaken)?;
        self.boot_behind(&spec, SNOOPING)?;
        let (spec, _) = self.ordered(Cause::ForeignOfferTaken)?;
        let other = OtherServer::start(self.bench, &self.setting, &["--no-ping"])?;
        self.boot_behind(&spec, SNOOPING)?;
        drop(other);
        self.answers_in_vain(late)
    }

    /// Loaders that are not whole, not for the machine, or not to its taste.
    fn loaders(&mut self) -> anyhow::Result<()> {
        let spec = self.host(Cause::FileMissing)?;
        let folder = self.bench.run.folder().join("half");
        write(&folder.join("bootmgfw.efi"), &content("bootmgfw.efi", 5_000))?;
        self.import_loaders(&folder, "half", "uefi-x64=bootmgfw.efi")?;
        self.setting.set_host(&spec, "--loaders", "half")?;
        self.setting.order(&spec, "probe")?;
        self.boot(&spec, Firmware::UefiWindows, Fate::Whole)?;

        let spec = self.host(Cause::WrongLoader)?;
        let folder = self.bench.run.folder().join("confused");
        let bios = std::fs::read(self.setting.stock.loaders.join("undionly.kpxe")).context("no loader")?;
        write(&folder.join("undionly.kpxe"), &bios)?;
        self.import_loaders(&folder, "confused", "uefi-x64=undionly.kpxe")?;
        self.setting.set_host(&spec, "--loaders", "confused")?;
        self.setting.order(&spec, "probe")?;
        self.boot(&spec, Firmware::UEFI, Fate::LoaderRefused)?;

        let (spec, _) = self.ordered(Cause::LoaderSilent)?;
        self.boot(&spec, Firmware::UEFI, Fate::LoaderRefused).map(drop)
    }

    fn import_loaders(&self, folder: &Path, name: &str, loader: &str) -> anyhow::Result<()> {
        let folder = folder.to_str().context("the folder's name is no UTF-8")?;
        let import = ["image", "import", folder, "--family", "loaders", "--name", name, "--loader", loader];
        // They are no loaders for that firmware, and refused otherwise.
        self.setting.fleet.cli().run(&[&import[..], &["--force"]].concat())?;
        Ok(())
    }

    /// A machine that has its kernel, and an order that will not stand for long.
    fn soon_to_expire(&mut self) -> anyhow::Result<(MachineSpec, String, Kernel)> {
        let spec = self.host_that_says(Cause::AnswerRefused, "the order is expired")?;
        let created = ["order", "create", &spec.name, "--profile", "probe", "--expires", SHORT];
        let created = self.setting.fleet.cli().json(&created)?;
        let order = created["name"].as_str().context("the order has no name")?.to_owned();
        self.setting.wait_phase(&order, OrderPhase::Armed.word())?;
        let kernel = self.boot_to_kernel(&spec, Fate::KernelAlone)?;
        Ok((spec, order, kernel))
    }

    /// Answer files are asked for too late, and from where nobody was given an address.
    fn answers_in_vain(
        &mut self,
        (late, order, kernel): (MachineSpec, String, Kernel),
    ) -> anyhow::Result<()> {
        self.setting.wait_phase(&order, OrderPhase::Expired.word())?;
        self.plug_in(&late)?;
        let address = format!("{}/24", kernel.address);
        self.guest.namespace.ip(["address", "replace", &address, "dev", CARD])?;
        let asked = ask(&self.guest, kernel.address, kernel.file()?);
        ensure!(asked.is_err(), "it was given the file of an expired order");

        let spec = self.host_that_says(Cause::AnswerRefused, "no lease of the order's host")?;
        self.setting.order(&spec, "probe")?;
        let kernel = self.boot_to_kernel(&spec, Fate::KernelAlone)?;
        let asked = ask(&self.guest, ELSEWHERE, kernel.file()?);
        ensure!(asked.is_err(), "another address was given the order's file");
        Ok(())
    }

    /// Boots it while the site's network is closed so.
    fn boot_behind(&mut self, spec: &MachineSpec, [close, open]: [&str; 2]) -> anyhow::Result<()> {
        self.setting.fleet.site(0).namespace().shell(close)?;
        let booted = self.boot(spec, Firmware::UEFI, Fate::Whole);
        self.setting.fleet.site(0).namespace().shell(open)?;
        booted.map(drop)
    }
}

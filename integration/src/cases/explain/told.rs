//! What is wrong with them is told as soon as it is.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use controller::diagnosis::Cause;
use proto::Platform;
use proto::event::OrderPhase;
use rom::Firmware;
use rustix::process::{Pid, Signal, kill_process};

use super::super::setting::catalog;
use super::super::synthetic::drive::{self, Fate, ask};
use super::super::synthetic::identity;
use super::{Broken, Planted, must_name};
use crate::fleet::example;

/// A machine of which nobody has heard.
const STRANGER: &str = "02:00:5e:00:00:77";
/// Long enough to be found without an address.
const A_WHILE: Duration = Duration::from_secs(4);
/// So many in a few minutes are a loop.
const BOOTS: usize = 4;

impl Broken<'_> {
    pub(super) fn told_ones(&mut self) -> anyhow::Result<()> {
        self.kept_from_booting()?;
        let leased = self.installers()?;
        self.resets()?;
        self.ordered(Cause::NotHeard)?;
        self.planted.push(Planted { host: STRANGER.into(), cause: Cause::UnknownMachine, says: "" });
        self.without_addresses(leased)
    }

    /// The site has no pool; and one host's address is somebody else's lease.
    fn without_addresses(&mut self, leased: Ipv4Addr) -> anyhow::Result<()> {
        let (empty, _) = self.ordered(Cause::PoolEmpty)?;
        let (taken, _) = self.ordered(Cause::AddressInUse)?;
        self.setting.set_host(&taken, "--address", &leased.to_string())?;
        self.setting.apply(&catalog("no-pools.yaml"))?;
        self.setting.fleet.wait_applied(0)?;
        for spec in [empty, taken] {
            self.plug_in(&spec)?;
            // Its firmware would ask for a minute.
            drive::boot_deaf(&self.guest.namespace, identity(&spec, Firmware::UEFI), A_WHILE)?;
        }
        self.setting.apply(&example::file("site.yaml"))?;
        Ok(self.setting.fleet.wait_applied(0)?)
    }

    /// The plan has nothing for them but their disk.
    fn kept_from_booting(&mut self) -> anyhow::Result<()> {
        let (spec, _) = self.ordered(Cause::IdentityDisagrees)?;
        self.setting.set_host(&spec, "--uuid", "6f2a1d9e-0c55-4a57-9f1e-3d0f5b6c7a88")?;
        self.boot(&spec, Firmware::UEFI, Fate::Whole)?;

        let (spec, _) = self.ordered(Cause::OrderNotObeyed)?;
        self.setting.fleet.cli().run(&["host", "set", &spec.name, "--lock"])?;
        self.setting.fleet.wait_applied(0)?;
        self.boot(&spec, Firmware::UEFI, Fate::Whole)?;

        let (spec, _) = self.ordered(Cause::NoLoader)?;
        self.boot(&spec, Firmware::Pxe(Platform::UefiArm64), Fate::Whole).map(drop)
    }

    /// They run, and do not come to their end. The address of one of them.
    fn installers(&mut self) -> anyhow::Result<Ipv4Addr> {
        let (spec, order) = self.ordered(Cause::InstallerFailed)?;
        let kernel = self.boot_to_kernel(&spec, Fate::Whole)?;
        ask(&self.guest, kernel.address, &kernel.report("failed?reason=no%20disk")?)?;
        self.setting.wait_phase(&order, OrderPhase::Failed.word())?;

        let (spec, order) = self.ordered(Cause::OrderEnded)?;
        self.boot(&spec, Firmware::UEFI, Fate::Whole)?;
        self.setting.wait_phase(&order, OrderPhase::Started.word())?;
        self.setting.fleet.cli().run(&["order", "revoke", &order, "--force"])?;
        self.setting.wait_phase(&order, OrderPhase::Revoked.word())?;
        Ok(kernel.address)
    }

    /// What it boots resets it.
    fn resets(&mut self) -> anyhow::Result<()> {
        self.setting.apply(&catalog("rescue.yaml"))?;
        let spec = self.host(Cause::Loops)?;
        self.setting.set_host(&spec, "--profile", "rescue")?;
        for _ in 0..BOOTS {
            self.boot_to_kernel(&spec, Fate::KernelAlone)?;
        }
        Ok(())
    }

    /// Nothing is answered there, or nothing is known of it.
    pub(super) fn sites_without_service(&mut self) -> anyhow::Result<()> {
        let spec = self.host(Cause::DhcpOff)?;
        self.setting.apply(&catalog("dhcp-off.yaml"))?;
        self.setting.fleet.wait_applied(0)?;
        must_name(&self.setting, &spec.name, Cause::DhcpOff)?;
        self.setting.apply(&example::file("site.yaml"))?;
        self.setting.fleet.wait_applied(0)?;

        let spec = self.host(Cause::PlanNotObeyed)?;
        self.freeze_agent(Signal::STOP)?;
        self.setting.fleet.cli().run(&["order", "create", &spec.name, "--profile", "probe"])?;
        let named = must_name(&self.setting, &spec.name, Cause::PlanNotObeyed);
        self.freeze_agent(Signal::CONT)?;
        named?;

        let (spec, _) = self.ordered(Cause::AgentAway)?;
        self.setting.fleet.kill_agent(0);
        must_name(&self.setting, &spec.name, Cause::AgentAway).map(drop)
    }

    /// It is connected, and does nothing; or it goes on.
    fn freeze_agent(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.setting.fleet.agent(0).pid().and_then(Pid::from_raw).context("no agent runs")?;
        kill_process(pid, signal).context("failed to stop the agent")
    }
}

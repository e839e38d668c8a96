//! Broken hosts, one fault planted in each: `bootlane host explain` is asked for each alone, and must name its fault.
//!
//! The machines are of paper ([`rom`]) before a real agent and a real controller. Those that fall silent are asked
//! after when no more is expected of them. Which cause is planted where, [`crate::provoked`] says.

mod silent;
mod told;

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use controller::diagnosis::Cause;
use rom::Firmware;
use serde_json::Value;

use super::Bench;
use super::guest::{CARD, Guest};
use super::setting::{Setting, mac};
use super::synthetic::drive::{self, Fate, Kernel, Told};
use super::synthetic::identity;
use crate::lab::{MachineSpec, qemu};
use crate::provoked;

/// The case's name.
const NAME: &str = "explain";
/// After a ROM or a loader was last heard, and somewhat more: [`controller::diagnosis::Step::patience`].
pub(super) const SILENT: Duration = Duration::from_secs(95);
/// How long the controller may take to hear of a fault.
const HEARD: Duration = Duration::from_secs(60);

/// What is asked of `host explain`, and what it must answer.
struct Planted {
    host: String,
    cause: Cause,
    /// Words of the answer.
    says: &'static str,
}

/// The fleet and what was planted in it.
struct Broken<'a> {
    bench: &'a Bench<'a>,
    setting: Setting<'a>,
    planted: Vec<Planted>,
    number: u8,
    /// One card for all machines, which are switched on one after the other.
    guest: Guest,
}

pub(super) fn broken_hosts(bench: &Bench<'_>) -> anyhow::Result<()> {
    let setting = Setting::new(bench, false)?;
    let guest = Guest::plug_in(bench, &setting, "box")?;
    let mut broken = Broken { bench, setting, planted: Vec::new(), number: 0, guest };
    broken.silent_ones()?;
    let silent = Instant::now();
    broken.told_ones()?;
    broken.setting.fleet.wait_reported(0)?;
    let rest = SILENT.saturating_sub(silent.elapsed());
    broken.setting.say(&format!("waits {} s for those that fell silent", rest.as_secs()));
    std::thread::sleep(rest);
    broken.must_name_all()?;
    broken.sites_without_service()?;
    broken.must_be_all()
}

impl Broken<'_> {
    /// A host that has this fault.
    fn host(&mut self, cause: Cause) -> anyhow::Result<MachineSpec> {
        self.host_that_says(cause, "")
    }

    /// The same, whose answer has these words.
    fn host_that_says(&mut self, cause: Cause, says: &'static str) -> anyhow::Result<MachineSpec> {
        self.number += 1;
        // The name says nothing of the fault to whoever explains it.
        let spec = MachineSpec::new(&format!("box-{}", self.number), qemu::Firmware::BiosIpxe);
        self.setting.add_host(&spec)?;
        self.planted.push(Planted { host: spec.name.clone(), cause, says });
        Ok(spec)
    }

    /// The same, with an order.
    fn ordered(&mut self, cause: Cause) -> anyhow::Result<(MachineSpec, String)> {
        let spec = self.host(cause)?;
        let order = self.setting.order(&spec, "probe")?;
        Ok((spec, order))
    }

    /// Boots it to wherever it comes.
    fn boot(&mut self, spec: &MachineSpec, firmware: Firmware, fate: Fate) -> anyhow::Result<Option<Told>> {
        self.plug_in(spec)?;
        // Where a port is closed its transfer breaks off, which is the fault.
        match drive::boot_as(&self.guest.namespace, identity(spec, firmware), fate) {
            Ok(told) => {
                self.setting.say(&format!("{} ended so: {}", spec.name, told.end_in_words()));
                Ok(Some(told))
            }
            Err(error) => {
                self.setting.say(&format!("{} ended so: {error:#}", spec.name));
                Ok(None)
            }
        }
    }

    /// The card is this machine's.
    fn plug_in(&self, spec: &MachineSpec) -> anyhow::Result<()> {
        let namespace = &self.guest.namespace;
        namespace.ip(["link", "set", CARD, "address", &mac(spec).to_string()])?;
        Ok(namespace.ip(["address", "flush", "dev", CARD])?)
    }

    /// Boots it to its kernel: the kernel's arguments name the file of its order.
    fn boot_to_kernel(&mut self, spec: &MachineSpec, fate: Fate) -> anyhow::Result<Kernel> {
        Kernel::of(self.boot(spec, Firmware::UEFI, fate)?.context("it has not ended")?.end)
    }

    fn must_name_all(&self) -> anyhow::Result<()> {
        self.planted.iter().try_for_each(|Planted { host, cause, says }| {
            let answer = must_name(&self.setting, host, *cause)?;
            ensure!(answer.contains(says), "{host} has {says:?}, and is explained so: {answer}");
            Ok(())
        })
    }

    /// What the manual says is provoked here.
    fn must_be_all(&self) -> anyhow::Result<()> {
        for cause in provoked::by_case(NAME) {
            let planted = self.planted.iter().any(|planted| planted.cause == cause);
            ensure!(planted, "{} is said to be provoked here, and is not", cause.word());
        }
        Ok(())
    }
}

/// `host explain` names this cause, and gives this answer. What is still on its way is waited for.
pub(super) fn must_name(setting: &Setting<'_>, host: &str, cause: Cause) -> anyhow::Result<String> {
    let end = Instant::now() + HEARD;
    loop {
        let explained = setting.fleet.cli().json(&["host", "explain", host])?;
        let seen = explained["findings"].as_array().cloned().unwrap_or_default();
        let answer = explained["answer"].as_str().unwrap_or_default();
        if named(&causes(&seen), cause) {
            setting.say(&format!("{host}, {}: {answer}", cause.word()));
            keep(setting, host)?;
            return Ok(answer.to_owned());
        }
        ensure!(Instant::now() < end, "{host} has {}, and is explained by {:?}", cause.word(), causes(&seen));
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Keeps what people read of a host beside the logs (`--keep-logs`), for who wants to try whether they understand it.
fn keep(setting: &Setting<'_>, host: &str) -> anyhow::Result<()> {
    let text = setting.fleet.cli().run(&["host", "explain", host])?;
    setting.keep(&format!("explained-{}.txt", host.replace(':', "-")), &text)
}

/// The first answers; only a loop comes behind what each of its attempts met.
fn named(found: &[&str], cause: Cause) -> bool {
    found.first() == Some(&cause.word()) || (cause == Cause::Loops && found.contains(&cause.word()))
}

fn causes(findings: &[Value]) -> Vec<&str> {
    findings.iter().filter_map(|finding| finding["cause"].as_str()).collect()
}

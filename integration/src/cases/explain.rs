//! Broken hosts, one fault planted in each: `bootlane host explain` is asked for each alone, and must name its fault.
//!
//! The machines are of paper ([`rom`]) before a real agent and a real controller. Those that fall silent are asked
//! after when no more is expected of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use proto::event::OrderPhase;
use rom::{End, Firmware};
use serde_json::Value;

use super::Bench;
use super::guest::{CARD, Guest};
use super::setting::{Setting, catalog, mac};
use super::synthetic::drive::{self, Told};
use super::synthetic::{content, identity, write};
use crate::fleet::example;
use crate::lab::{MachineSpec, qemu};

/// After a ROM or a loader was last heard, and somewhat more: [`controller::diagnosis::Step::patience`].
pub(super) const SILENT: Duration = Duration::from_secs(95);
/// How long the controller may take to hear of a fault.
const HEARD: Duration = Duration::from_secs(60);

/// What is asked of `host explain`, and the cause that it must name.
struct Planted {
    host: String,
    cause: &'static str,
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
    for planted in std::mem::take(&mut broken.planted) {
        must_name(&broken.setting, &planted.host, planted.cause)?;
    }
    broken.sites_without_service()
}

impl Broken<'_> {
    /// They stop somewhere, and no more is heard of them.
    fn silent_ones(&mut self) -> anyhow::Result<()> {
        let spec = self.host("file-missing")?;
        let folder = self.bench.run.folder().join("half");
        write(&folder.join("bootmgfw.efi"), &content("bootmgfw.efi", 5_000))?;
        let folder = folder.to_str().context("the folder's name is no UTF-8")?;
        let import = ["image", "import", folder, "--family", "loaders", "--name", "half"];
        self.setting
            .fleet
            .cli()
            .run(&[&import[..], &["--loader", "uefi-x64=bootmgfw.efi", "--force"]].concat())?;
        self.setting.set_host(&spec, "--loaders", "half")?;
        self.setting.order(&spec, "probe")?;
        self.boot(&spec, Firmware::UefiWindows, "")?;

        let spec = self.host("nothing-asked")?;
        self.setting.order(&spec, "probe")?;
        let closed = "nft add table inet closed
            nft add chain inet closed input '{ type filter hook input priority 0; }'
            nft add rule inet closed input udp dport 69 drop";
        self.boot_behind(&spec, closed, "nft delete table inet closed")?;

        let spec = self.host("offer-not-taken")?;
        self.setting.order(&spec, "probe")?;
        let snooping = "nft add table bridge snooping
            nft add chain bridge snooping output '{ type filter hook output priority 0; }'
            nft add rule bridge snooping output oifname guest0 udp sport 67 drop";
        self.boot_behind(&spec, snooping, "nft delete table bridge snooping")
    }

    /// What is wrong is told as soon as it is.
    fn told_ones(&mut self) -> anyhow::Result<()> {
        let spec = self.host("identity-disagrees")?;
        self.setting.order(&spec, "probe")?;
        self.setting.set_host(&spec, "--uuid", "6f2a1d9e-0c55-4a57-9f1e-3d0f5b6c7a88")?;
        self.boot(&spec, Firmware::UEFI, "")?;

        let spec = self.host("order-not-obeyed")?;
        self.setting.order(&spec, "probe")?;
        self.setting.fleet.cli().run(&["host", "set", &spec.name, "--lock"])?;
        self.setting.fleet.wait_applied(0)?;
        self.boot(&spec, Firmware::UEFI, "")?;

        let spec = self.host("installer-failed")?;
        let order = self.setting.order(&spec, "probe")?;
        self.boot(&spec, Firmware::UEFI, "failed?reason=no%20disk")?;
        self.setting.wait_phase(&order, OrderPhase::Failed.word())?;

        let spec = self.host("order-ended")?;
        let order = self.setting.order(&spec, "probe")?;
        self.boot(&spec, Firmware::UEFI, "")?;
        self.setting.wait_phase(&order, OrderPhase::Started.word())?;
        self.setting.fleet.cli().run(&["order", "revoke", &order, "--force"])?;
        self.setting.wait_phase(&order, OrderPhase::Revoked.word())?;

        let spec = self.host("not-heard")?;
        self.setting.order(&spec, "probe")?;
        self.planted.push(Planted { host: "02:00:5e:00:00:77".into(), cause: "unknown-machine" });

        let spec = self.host("pool-empty")?;
        self.setting.order(&spec, "probe")?;
        self.setting.apply(&catalog("no-pools.yaml"))?;
        self.setting.fleet.wait_applied(0)?;
        self.boot(&spec, Firmware::UEFI, "")?;
        self.setting.apply(&example::file("site.yaml"))?;
        Ok(self.setting.fleet.wait_applied(0)?)
    }

    /// Nothing is answered there.
    fn sites_without_service(&mut self) -> anyhow::Result<()> {
        let spec = self.host("dhcp-off")?;
        self.setting.apply(&catalog("dhcp-off.yaml"))?;
        self.setting.fleet.wait_applied(0)?;
        must_name(&self.setting, &spec.name, "dhcp-off")?;
        self.setting.apply(&example::file("site.yaml"))?;
        self.setting.fleet.wait_applied(0)?;
        let spec = self.host("agent-away")?;
        self.setting.order(&spec, "probe")?;
        self.setting.fleet.kill_agent(0);
        must_name(&self.setting, &spec.name, "agent-away")
    }

    /// A host that is to be named after its fault.
    fn host(&mut self, cause: &'static str) -> anyhow::Result<MachineSpec> {
        self.number += 1;
        // The name says nothing of the fault to whoever explains it.
        let spec = MachineSpec::new(&format!("box-{}", self.number), qemu::Firmware::BiosIpxe);
        self.setting.add_host(&spec)?;
        self.planted.push(Planted { host: spec.name.clone(), cause });
        Ok(spec)
    }

    /// Boots it to wherever it comes; `report` is then said to its order, if it came to its kernel.
    fn boot(&mut self, spec: &MachineSpec, firmware: Firmware, report: &str) -> anyhow::Result<()> {
        self.guest.namespace.ip(["link", "set", CARD, "address", &mac(spec).to_string()])?;
        self.guest.namespace.ip(["address", "flush", "dev", CARD])?;
        match drive::boot(&self.guest, identity(spec, firmware)) {
            Ok(told) => {
                self.setting.say(&format!("{} ended so: {}", spec.name, told.end_in_words()));
                if report.is_empty() { Ok(()) } else { say(&self.guest, &told, report) }
            }
            // Where a port is closed its transfer breaks off, which is the fault.
            Err(error) => {
                self.setting.say(&format!("{} ended so: {error:#}", spec.name));
                Ok(())
            }
        }
    }

    /// The same while the site's network is closed by these words, and opened again by those.
    fn boot_behind(&mut self, spec: &MachineSpec, close: &str, open: &str) -> anyhow::Result<()> {
        self.setting.fleet.site(0).namespace().shell(close)?;
        let booted = self.boot(spec, Firmware::UEFI, "");
        self.setting.fleet.site(0).namespace().shell(open)?;
        booted
    }
}

/// Says something to the order that the kernel's arguments name.
fn say(guest: &Guest, told: &Told, report: &str) -> anyhow::Result<()> {
    let End::Kernel { arguments, address } = &told.end else { anyhow::bail!("it came to no kernel") };
    let url = arguments.split(' ').find_map(|word| word.strip_prefix("bootlane.report="));
    let url = url.context("the kernel's arguments name nothing to report to")?;
    let url = url.trim_end_matches('/');
    // From the leased address: an order's files and reports are its host's alone.
    guest.namespace.shell(&format!("curl -sSf --max-time 20 --interface {address} '{url}/{report}'"))?;
    Ok(())
}

/// `host explain` names this cause first. What is still on its way is waited for.
pub(super) fn must_name(setting: &Setting<'_>, host: &str, cause: &str) -> anyhow::Result<()> {
    let end = Instant::now() + HEARD;
    loop {
        let explained = setting.fleet.cli().json(&["host", "explain", host])?;
        let named = explained["findings"][0]["cause"].as_str() == Some(cause);
        if named {
            setting.say(&format!("{host}: {}", explained["answer"].as_str().unwrap_or_default()));
            return Ok(());
        }
        let seen = explained["findings"].as_array().cloned().unwrap_or_default();
        ensure!(Instant::now() < end, "{host} has {cause}, and is explained by {:?}", causes(&seen));
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn causes(findings: &[Value]) -> Vec<&str> {
    findings.iter().filter_map(|finding| finding["cause"].as_str()).collect()
}

//! Bootlane beside dnsmasq and nginx: how long machines take from power-on, by turns in one run, each in a namespace of its
//! own with the same addresses, machines, loaders, kernel and disk.
//!
//! What is measured is seen on the machine's serial console, so the same eyes judge both.

mod figures;
mod peer;

use std::time::Duration;

use anyhow::Context as _;

pub use figures::{Figures, Times};

use super::Bench;
use super::local::turns_to_disk;
use super::setting::{Setting, catalog};
use crate::lab::qemu::Firmware;
use crate::lab::{Machine, MachineSpec, Site};
use peer::Peer;

/// How long files may take to the edge.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest that one machine may take: OVMF beside a server that does not speak of its disk takes 200 s.
const BOOT: Duration = Duration::from_secs(400);
/// The profile that both sides boot over the network: the installer environment, which says that it runs.
const PROFILE: &str = "rescue";

/// A way of booting that is compared.
#[derive(Debug)]
pub struct Scenario {
    /// In a table.
    pub name: &'static str,
    /// What is waited for on the console, and its name in a table, in this order.
    marks: [(&'static str, &'static str); 2],
    /// What the issue asks of it.
    pub goal: Goal,
    firmware: Firmware,
    /// Does it start from its disk?
    local: bool,
}

/// What is asked of the figures.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// Of the median of the second mark: at most this part of the other side's.
    Part(f64),
    /// The median of the first mark.
    Within(Duration),
}

const NETWORK: [(&str, &str); 2] =
    [("boot.ipxe... ok", "it has its script"), ("BOOTLANE-MARK userspace", "user space")];
const DISK: &str = "BOOTLANE-MARK disk-booted";

/// All of them.
#[must_use]
pub fn scenarios() -> [Scenario; 4] {
    let disk = |firmware| [(turns_to_disk(firmware), "it turns to its disk"), (DISK, "user space")];
    let network = |name, firmware, part| Scenario {
        name,
        marks: NETWORK,
        goal: Goal::Part(part),
        firmware,
        local: false,
    };
    let local = |name, firmware, seconds| Scenario {
        name,
        marks: disk(firmware),
        goal: Goal::Within(Duration::from_secs(seconds)),
        firmware,
        local: true,
    };
    [
        network("bios-network", Firmware::BiosIpxe, 0.5),
        network("uefi-network", Firmware::UefiPxe, 0.75),
        local("bios-disk", Firmware::BiosIpxe, 10),
        local("uefi-disk", Firmware::UefiPxe, 20),
    ]
}

/// Boots each scenario on both sides, `rounds` times; who comes first changes with the round.
///
/// # Errors
/// When one of the two cannot be set up, or a machine does not come up.
pub fn compare(bench: &Bench<'_>, rounds: u32) -> anyhow::Result<Vec<Figures>> {
    let scenarios = scenarios();
    let mut setting = Setting::new(bench, false)?;
    // Nobody captures packets on the other side either.
    drop(setting.wire()?);
    setting.apply(&catalog("rescue.yaml"))?;
    for scenario in &scenarios {
        setting.add_host(&scenario.machine())?;
        if !scenario.local {
            setting.set_host(&scenario.machine(), "--profile", PROFILE)?;
        }
    }
    setting.fleet.wait_files(0, PROFILE, FETCH_TIMEOUT)?;
    let booted: Vec<_> = scenarios.iter().filter(|scenario| !scenario.local).map(Scenario::machine).collect();
    let peer = Peer::start(bench, &setting.stock, &booted).context("failed to start dnsmasq and nginx")?;
    let mut figures: Vec<_> = scenarios.into_iter().map(Figures::of).collect();
    for round in 0..rounds {
        for figure in &mut figures {
            for ours in if round % 2 == 0 { [true, false] } else { [false, true] } {
                let site = if ours { setting.fleet.site(0) } else { peer.site() };
                let times = boot(&setting, site, &figure.scenario)?;
                let side = if ours { "Bootlane" } else { "dnsmasq + nginx" };
                setting.say(&format!("round {}, {}, {side}: {times}", round + 1, figure.scenario.name));
                if ours { &mut figure.ours } else { &mut figure.theirs }.push(times);
            }
        }
    }
    Ok(figures)
}

impl Scenario {
    fn machine(&self) -> MachineSpec {
        MachineSpec { bound: BOOT, ..MachineSpec::new(self.name, self.firmware) }
    }
}

fn boot(setting: &Setting<'_>, site: &Site, scenario: &Scenario) -> anyhow::Result<Times> {
    let spec = scenario.machine();
    let spec = if scenario.local { spec.with_raw_disk(setting.installed_disk(scenario.name)?) } else { spec };
    let mut machine = Machine::power_on(site, &spec)?;
    let seen = machine.expect(&scenario.marks.map(|(marker, _)| marker), BOOT)?;
    machine.pull_plug();
    let [first, second] = seen.as_slice() else { unreachable!("two marks were waited for") };
    Ok(Times([first.after, second.after]))
}

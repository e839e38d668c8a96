//! What most cases begin with: a fleet of one site with one agent, a few images, and machines to switch on.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use proto::Mac;

use super::Bench;
use super::chain::chains;
use super::timeline::Timeline;
use super::wire::Wire;
use crate::fleet::example::{self, AGENT, SITE};
use crate::fleet::{Fleet, Interrupt, Ledger, Stock, installer_for_any_card, signed_loaders};
use crate::lab::capture::Capture;
use crate::lab::{Machine, MachineSpec, media};

/// How long images may take to the edge.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an agent may take to report or to obey.
const OBEY_TIMEOUT: Duration = Duration::from_secs(60);
const CAPTURE_BOUND: Duration = Duration::from_secs(600);
/// The kernel hands packets to tcpdump in blocks, at the latest after a second.
const CAPTURE_LAG: Duration = Duration::from_millis(1_200);
/// Room for the lab's disk image, and more.
const DISK_MIB: u32 = 256;

/// A fleet with one site and one agent, and what was captured of its segment.
pub(super) struct Setting<'a> {
    // Dropped first: it captures on the fleet's network.
    capture: Option<Capture>,
    pub(super) fleet: Fleet,
    pub(super) stock: Stock,
    bench: &'a Bench<'a>,
}

impl<'a> Setting<'a> {
    /// The fleet with the site of the demo, its loaders, the installer environment and the profile `probe`; its
    /// agent has enrolled. The disk image and its profile only if `disk`.
    pub(super) fn new(bench: &'a Bench<'a>, disk: bool) -> anyhow::Result<Self> {
        let began = Instant::now();
        let stock = Stock::prepare(bench.lab, &bench.run, &mut |line| (bench.say)(line))?;
        let fleet = Fleet::start_example(&bench.run, bench.binaries, &Interrupt::default())?;
        let mut setting = Self { capture: None, fleet, stock, bench };
        setting.import(&setting.stock.loaders, "loaders", "ipxe")?;
        setting.import(&setting.stock.installer, "linux", "installer-1")?;
        setting.apply(&example::file("site.yaml"))?;
        setting.apply(&catalog("probe.yaml"))?;
        if disk {
            setting.import(&setting.stock.disk, "disk-image", "demo-disk-1")?;
            setting.apply(&example::file("disk.yaml"))?;
        }
        setting.fleet.enrol(0, AGENT)?;
        setting.fleet.wait_applied(0)?;
        setting.say(&format!("the fleet is up after {:.1} s", began.elapsed().as_secs_f32()));
        let capture = Capture::start(setting.fleet.site(0).namespace(), "segment", CAPTURE_BOUND)?;
        setting.capture = Some(capture);
        Ok(setting)
    }

    pub(super) fn say(&self, line: &str) {
        (self.bench.say)(line);
    }

    /// Keeps a text beside the run's logs.
    pub(super) fn keep(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.bench.run.folder().join(name);
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    }

    pub(super) fn import(&self, folder: &Path, family: &str, name: &str) -> anyhow::Result<()> {
        let folder = text(folder)?;
        let arguments = ["image", "import", folder, "--family", family, "--name", name];
        self.fleet.cli().run(&arguments)?;
        Ok(())
    }

    /// Imports loaders from Debian packages that lie below `root`.
    pub(super) fn import_packages(&self, packages: &str, root: &Path, name: &str) -> anyhow::Result<()> {
        let (source, root) = (format!("debian:{packages}"), text(root)?);
        let arguments = ["image", "import", &source, "--root", root, "--family", "loaders", "--name", name];
        self.fleet.cli().run(&arguments)?;
        Ok(())
    }

    /// Debian's shim and GRUB, as packages would install them.
    pub(super) fn signed_loaders(&self) -> anyhow::Result<PathBuf> {
        Ok(signed_loaders(self.bench.lab, &self.bench.run, &mut |line| (self.bench.say)(line))?)
    }

    /// The installer environment with the drivers of every card of the lab.
    pub(super) fn installer_for_any_card(&self) -> anyhow::Result<PathBuf> {
        Ok(installer_for_any_card(self.bench.lab, &mut |line| (self.bench.say)(line))?)
    }

    pub(super) fn apply(&self, file: &Path) -> anyhow::Result<()> {
        self.fleet.cli().run(&["apply", "-f", text(file)?])?;
        Ok(())
    }

    /// Adds the machine to the catalog, with the identities that its firmware shows.
    pub(super) fn add_host(&mut self, spec: &MachineSpec) -> anyhow::Result<()> {
        let (mac, uuid) = (spec.mac.to_string(), spec.uuid.to_string());
        let arguments = ["host", "add", &spec.name, "--site", SITE, "--mac", &mac, "--uuid", &uuid];
        self.fleet.cli().run(&arguments)?;
        Ok(self.fleet.wait_applied(0)?)
    }

    /// Sets a field of a host that is there.
    pub(super) fn set_host(&mut self, spec: &MachineSpec, option: &str, value: &str) -> anyhow::Result<()> {
        self.fleet.cli().run(&["host", "set", &spec.name, option, value])?;
        Ok(self.fleet.wait_applied(0)?)
    }

    /// Creates an order and waits until the agent has it and all that it names. Returns the order's name.
    pub(super) fn order(&mut self, spec: &MachineSpec, profile: &str) -> anyhow::Result<String> {
        let created = self.fleet.cli().json(&["order", "create", &spec.name, "--profile", profile])?;
        let name = created["name"].as_str().context("the order has no name")?.to_owned();
        self.wait_phase(&name, "armed")?;
        self.fleet.wait_files(0, profile, FETCH_TIMEOUT)?;
        Ok(name)
    }

    /// Waits until the controller has heard that the order is in this phase.
    pub(super) fn wait_phase(&self, order: &str, phase: &str) -> anyhow::Result<()> {
        Ok(self.fleet.wait_order(order, phase, OBEY_TIMEOUT)?)
    }

    pub(super) fn power_on(&self, spec: &MachineSpec) -> anyhow::Result<Machine> {
        self.say("power on");
        Ok(Machine::power_on(self.fleet.site(0), spec)?)
    }

    /// An empty disk for a machine.
    pub(super) fn empty_disk(&self, name: &str) -> anyhow::Result<PathBuf> {
        let disk = self.bench.run.folder().join(format!("{name}.img"));
        media::make_empty_disk(&disk, DISK_MIB)?;
        Ok(disk)
    }

    /// A disk with an operating system on it.
    pub(super) fn installed_disk(&self, name: &str) -> anyhow::Result<PathBuf> {
        let disk = self.bench.run.folder().join(format!("{name}.img"));
        fs::copy(&self.stock.raw_disk, &disk).context("failed to make a disk")?;
        Ok(disk)
    }

    /// Everything that the agent has written down.
    pub(super) fn ledger(&self) -> anyhow::Result<Ledger> {
        Ok(Ledger::read(&self.fleet.agent(0).state())?)
    }

    /// Waits until the agent has written down what `good` looks for.
    pub(super) fn wait_ledger(
        &self,
        what: &str,
        bound: Duration,
        good: impl Fn(&Ledger) -> bool,
    ) -> anyhow::Result<Ledger> {
        let end = Instant::now() + bound;
        loop {
            let ledger = self.ledger()?;
            if good(&ledger) {
                return Ok(ledger);
            }
            ensure!(Instant::now() < end, "the agent wrote down no {what} within {}s", bound.as_secs());
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// What the controller has stored of this machine's boots, compared with what the agent has written down: no
    /// event is missing, none is there twice.
    pub(super) fn timeline(&mut self, host: &str) -> anyhow::Result<Timeline> {
        self.fleet.wait_reported(0)?;
        let ledger = self.ledger()?;
        let timeline = Timeline::read(self.fleet.cli(), host)?;
        timeline.must_match(&ledger)?;
        chains(&ledger).iter().for_each(|line| self.say(line));
        self.say(&format!("the controller has all {} events of the agent, each once", ledger.events.len()));
        Ok(timeline)
    }

    /// What was captured so far; the last second of it may be missing.
    pub(super) fn overheard(&self) -> anyhow::Result<Wire> {
        Wire::read(self.capture.as_ref().context("the capture was read before")?.path())
    }

    /// Ends the capture and reads it.
    pub(super) fn wire(&mut self) -> anyhow::Result<Wire> {
        let capture = self.capture.take().context("the capture was read before")?;
        std::thread::sleep(CAPTURE_LAG);
        Wire::read(&capture.finish())
    }
}

/// The machine's address, as events have it.
pub(super) fn mac(spec: &MachineSpec) -> Mac {
    Mac(spec.mac.0)
}

/// A file that only the lab needs.
pub(super) fn catalog(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lab-catalog").join(name)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}

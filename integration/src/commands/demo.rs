//! `cargo lab demo`: one machine, all the way, told step by step.
//!
//! Everything is done as an operator would do it: by the CLI, with the files of deploy/examples/demo.

use std::fs;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use integration::binaries::{Binaries, Profile};
use integration::fleet::example::{self, AGENT, PROFILE, SITE};
use integration::fleet::{
    DISK_LABEL, ENROL_PORT, FLEET_PORT, Fleet, FleetError, Interrupt, Stock, last_lines,
};
use integration::lab::qemu::Firmware;
use integration::lab::{LabFolder, Machine, MachineSpec, Process, Run, media};

use super::Verdict;
use super::boot;
use super::console::Console;
use super::setup;

/// The machine that is installed.
const HOST: &str = "web-1";
const DISK_MIB: u32 = 256;
/// How long images may take to the edge.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the agent may take to arm the order.
const OBEY_TIMEOUT: Duration = Duration::from_secs(60);
/// From power-on to the installed system.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(240);
/// The longest that `--keep` keeps.
const KEEP: Duration = Duration::from_secs(24 * 3_600);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Keeps the fleet and the machine up until Ctrl-C, and prints the command line to work with them.
    #[arg(long)]
    keep: bool,
}

/// Shows a machine's way from an empty controller to its own disk.
pub(crate) fn run(arguments: &Arguments, console: &Console) -> anyhow::Result<Verdict> {
    let lab = setup::prepare(console)?;
    let binaries = boot::build(Profile::Debug, console)?;
    let run = Run::begin(&lab).context("failed to begin a run")?;
    let interrupt = Interrupt::default();
    let story = Story { console, run: &run, interrupt: &interrupt, began: Instant::now() };
    let outcome = story.tell(&lab, &binaries, arguments.keep);
    match outcome {
        Ok(()) => story.line("everything is taken down again"),
        Err(error) if interrupt.is_set() => {
            console.line(format!("taken down again after Ctrl-C ({error:#})"));
        }
        Err(error) => {
            console.line(last_lines(run.folder()));
            console.line(format!("all logs: {}", run.folder().display()));
            return Err(error);
        }
    }
    fs::remove_dir_all(run.folder()).context("failed to remove the run's folder")?;
    Ok(Verdict::of(!interrupt.is_set() || arguments.keep))
}

/// What tells it.
struct Story<'a> {
    console: &'a Console,
    run: &'a Run,
    interrupt: &'a Interrupt,
    began: Instant,
}

impl Story<'_> {
    fn tell(&self, lab: &LabFolder, binaries: &Binaries, keep: bool) -> anyhow::Result<()> {
        let stock = Stock::prepare(lab, self.run, &mut |line| self.line(line))?;
        heed_signals(self.interrupt)?;
        let mut fleet = self.bring_up(binaries, &stock)?;
        let spec = self.prepare_machine(&mut fleet, &stock)?;
        let machine = self.install(&fleet, &spec)?;
        self.conclude(&fleet)?;
        if keep {
            return self.keep(fleet, machine, &spec);
        }
        machine.power_off();
        drop(fleet);
        self.say_what_is_next();
        Ok(())
    }

    /// A controller, a site, and an agent that has enrolled with a token.
    fn bring_up(&self, binaries: &Binaries, stock: &Stock) -> anyhow::Result<Fleet> {
        self.line("starting a controller, in a network namespace of its own");
        let mut fleet = Fleet::start_example(self.run, binaries, self.interrupt)?;
        self.line(&format!(
            "it is up; between it and the site a router drops all but its ports {FLEET_PORT} and {ENROL_PORT}"
        ));
        self.import(&fleet, &stock.loaders, "loaders", "ipxe")?;
        self.apply(&fleet, "site.yaml")?;
        self.line(&format!("starting agent {AGENT} at the site, with a join token"));
        self.command(&["token", "add", "--site", SITE, "--agent", AGENT]);
        fleet.enrol(0, AGENT)?;
        self.line("the agent has enrolled, and serves the segment");
        Ok(fleet)
    }

    /// Images, a host, and the order to install it.
    fn prepare_machine(&self, fleet: &mut Fleet, stock: &Stock) -> anyhow::Result<MachineSpec> {
        self.import(fleet, &stock.installer, "linux", "installer-1")?;
        self.import(fleet, &stock.disk, "disk-image", "demo-disk-1")?;
        self.apply(fleet, "disk.yaml")?;
        let disk = self.run.folder().join("web-1.img");
        media::make_empty_disk(&disk, DISK_MIB)?;
        let spec =
            MachineSpec { bound: KEEP, ..MachineSpec::new(HOST, Firmware::BiosIpxe).with_raw_disk(disk) };
        let mac = spec.mac.to_string();
        self.cli(fleet, &["host", "add", HOST, "--site", SITE, "--mac", &mac, "--profile", PROFILE])?;
        self.line("without an order the machine would boot its own disk; this one permits one installation");
        self.cli(fleet, &["order", "create", HOST])?;
        fleet.wait_order(&format!("{HOST}-1"), "armed", OBEY_TIMEOUT)?;
        fleet.wait_files(0, PROFILE, FETCH_TIMEOUT)?;
        self.line("the agent has the order, and all files of the image, on its own disk");
        Ok(spec)
    }

    /// Switches the machine on and shows its timeline until the installed system is up.
    fn install(&self, fleet: &Fleet, spec: &MachineSpec) -> anyhow::Result<Machine> {
        self.line(&format!("switching {HOST} on: BIOS, iPXE in its network card's ROM, an empty disk"));
        let watch = ["boot", "watch", "--host", HOST];
        self.command(&watch);
        let (process, output) = fleet.cli().follow(&watch, KEEP)?;
        let mut timeline = Growing::new(output);
        let mut machine = Machine::power_on(fleet.site(0), spec)?;
        self.follow(&mut timeline, &mut machine)?;
        end_watch(process);
        Ok(machine)
    }

    fn follow(&self, timeline: &mut Growing, machine: &mut Machine) -> anyhow::Result<()> {
        let marker = format!("BOOTLANE-MARK disk-booted {DISK_LABEL}");
        let (mut from_disk, mut up) = (false, false);
        while !(from_disk && up) {
            ensure!(!self.interrupt.is_set(), FleetError::Interrupted);
            for line in timeline.lines()? {
                up |= line.contains("the operating system runs");
                self.console.line(format!("           │ {line}"));
            }
            if !from_disk && machine.has_shown(&marker)? {
                from_disk = true;
                self.line("the machine's serial console: the system on its disk has started");
            }
            ensure!(
                machine.uptime() < INSTALL_TIMEOUT,
                "the machine was not installed within {}s; its console ends with:\n{}",
                INSTALL_TIMEOUT.as_secs(),
                machine.tail(10)
            );
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn conclude(&self, fleet: &Fleet) -> anyhow::Result<()> {
        self.line("done: installed by its order, and started from its own disk");
        self.cli(fleet, &["order", "list"])?;
        self.cli(fleet, &["boot", "list", "--host", HOST])
    }

    /// Until Ctrl-C. Enter switches the machine off and on again.
    fn keep(&self, fleet: Fleet, machine: Machine, spec: &MachineSpec) -> anyhow::Result<()> {
        self.console.line(format!(
            "\nThe fleet stays up until Ctrl-C. In another terminal, as root:\n\n  \
             alias bootlane='{}'\n  \
             bootlane agent list\n  \
             bootlane boot show ATTEMPT            # a boot's timeline; `boot list` names the attempts\n  \
             bootlane order create {HOST}        # then press Enter here: the machine is switched off and on\n  \
             bootlane boot watch --host {HOST}\n  \
             bootlane apply --dry-run -f {}\n\n\
             The logs of all processes: {}\n",
            fleet.cli().by_hand(),
            relative(&example::file("")).display(),
            self.run.folder().display()
        ));
        let enter = enter_keys();
        let mut machine = Some(machine);
        while !self.interrupt.is_set() {
            if enter.recv_timeout(POLL_INTERVAL).is_ok() {
                machine.take().into_iter().for_each(Machine::power_off);
                machine = Some(Machine::power_on(fleet.site(0), spec)?);
                self.line(&format!("{HOST} was switched off and on again"));
            } else {
                // Without a terminal there is no Enter.
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        Ok(())
    }

    fn say_what_is_next(&self) {
        self.console.line(format!(
            "\nWhat to try next\n  \
             cargo lab demo --keep    the same, and then the fleet is yours: arm orders, watch boots, break things\n  \
             cargo lab boot --list    other ways to boot, one by one: UEFI, Debian's installer, killed controllers\n  \
             cargo lab test           everything that a change must pass\n  \
             {}     what was applied here: a site and a profile, to copy\n",
            relative(&example::file("")).display()
        ));
    }

    fn import(&self, fleet: &Fleet, folder: &Path, family: &str, name: &str) -> anyhow::Result<()> {
        let folder = folder.to_str().context("the lab's folder is no UTF-8")?;
        let arguments = ["image", "import", folder, "--family", family, "--name", name];
        self.cli(fleet, &arguments)
    }

    fn apply(&self, fleet: &Fleet, name: &str) -> anyhow::Result<()> {
        let file = example::file(name);
        self.cli(fleet, &["apply", "-f", file.to_str().context("the source folder is no UTF-8")?])
    }

    /// Runs a command of the CLI, and shows it with what it prints.
    fn cli(&self, fleet: &Fleet, arguments: &[&str]) -> anyhow::Result<()> {
        ensure!(!self.interrupt.is_set(), FleetError::Interrupted);
        self.command(arguments);
        let printed = fleet.cli().run(arguments)?;
        printed.lines().for_each(|line| self.console.line(format!("           │ {line}")));
        Ok(())
    }

    fn command(&self, arguments: &[&str]) {
        let words: Vec<_> =
            arguments.iter().map(|word| relative(Path::new(word)).display().to_string()).collect();
        self.line(&format!("$ bootlane {}", words.join(" ")));
    }

    fn line(&self, text: &str) {
        self.console.line(format!("{:>8.1} s  {text}", self.began.elapsed().as_secs_f32()));
    }
}

/// A path as somebody in the working folder would type it.
fn relative(path: &Path) -> PathBuf {
    let normal = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let here = std::env::current_dir().and_then(|folder| folder.canonicalize());
    match here.as_deref().map(|here| normal.strip_prefix(here)) {
        Ok(Ok(inside)) if path.is_absolute() => inside.to_owned(),
        _ if path.is_absolute() => normal,
        _ => path.to_owned(),
    }
}

/// Ctrl-C and SIGTERM end the waits; then everything is taken down in order.
fn heed_signals(interrupt: &Interrupt) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupted, mut terminated) = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let interrupt = interrupt.clone();
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
        });
        interrupt.set();
        // The runtime stays, so that a second Ctrl-C does not leave half of it behind.
        runtime.block_on(std::future::pending::<()>());
    });
    Ok(())
}

/// One message for each Enter; none without a terminal.
fn enter_keys() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || sender.send(()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn end_watch(mut watch: Process) {
    watch.kill();
}

/// A file that another process writes, line by line.
struct Growing {
    path: PathBuf,
    read: usize,
}

impl Growing {
    fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// The whole lines that were written since.
    fn lines(&mut self) -> anyhow::Result<Vec<String>> {
        let bytes =
            fs::read(&self.path).with_context(|| format!("failed to read {}", self.path.display()))?;
        let new = bytes.get(self.read..).unwrap_or_default();
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole;
        Ok(String::from_utf8_lossy(&new[..whole]).lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_file_is_read_by_whole_lines() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut growing = Growing::new(file.path().to_owned());
        fs::write(file.path(), "one\ntw").expect("written");
        assert_eq!(growing.lines().expect("read"), ["one"]);
        assert!(growing.lines().expect("read").is_empty());
        fs::write(file.path(), "one\ntwo\nthree\n").expect("written");
        assert_eq!(growing.lines().expect("read"), ["two", "three"]);
    }

    #[test]
    fn only_paths_below_the_working_folder_are_shortened() {
        let here = std::env::current_dir().expect("there is one");
        assert_eq!(relative(&here.join("src")), Path::new("src"));
        assert_eq!(relative(Path::new("/nowhere/at/all")), Path::new("/nowhere/at/all"));
        assert_eq!(relative(Path::new("apply")), Path::new("apply"));
    }
}

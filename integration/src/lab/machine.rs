//! A running machine: switched on, watched by its serial console, switched off.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::netns::{Namespace, NetworkError};
use super::process::{LaunchError, Process};
use super::qemu::{self, MachineSpec};
use super::serial::SerialConsole;
use super::site::Site;

const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// An emulated UART has a small queue; faster keys are lost.
const KEY_INTERVAL: Duration = Duration::from_millis(20);
/// How much of the console an error shows.
const TAIL_LINES: usize = 15;

/// Failure to switch a machine on, or to see what was expected of it.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// Its TAP could not be made.
    #[error("plug in the machine {name}")]
    Plug {
        /// The machine.
        name: String,
        /// Why not.
        source: NetworkError,
    },
    /// One of its files could not be made or read.
    #[error("use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// QEMU did not start.
    #[error("switch on the machine {name}")]
    Launch {
        /// The machine.
        name: String,
        /// Why not.
        source: LaunchError,
    },
    /// The time was up.
    #[error("{name}: no {marker:?} on the serial console within {}s; it ends with:\n{tail}", .timeout.as_secs())]
    Timeout {
        /// The machine.
        name: String,
        /// What was waited for.
        marker: String,
        /// For how long.
        timeout: Duration,
        /// The console's last lines.
        tail: String,
    },
    /// It went off first.
    #[error("{name}: switched off ({status}) before {marker:?} was seen; its console ends with:\n{tail}")]
    Off {
        /// The machine.
        name: String,
        /// What was waited for.
        marker: String,
        /// QEMU's exit status; 124 means that the machine's bound was reached.
        status: String,
        /// The last lines of the console and of QEMU's own log.
        tail: String,
    },
}

/// A marker that was found.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The rest of the line behind the marker.
    pub rest: String,
    /// Since the machine was switched on; as exact as the polling, 50 ms.
    pub after: Duration,
}

/// A machine that is on. Dropping it pulls the plug.
#[derive(Debug)]
pub struct Machine {
    name: String,
    process: Process,
    console: SerialConsole,
    powered_on: Instant,
}

impl Machine {
    /// Plugs the machine into the site and switches it on.
    ///
    /// # Errors
    /// When its TAP or files cannot be made, or QEMU cannot be started.
    pub fn power_on(site: &Site, spec: &MachineSpec) -> Result<Self, MachineError> {
        let tap = tap_name(spec);
        let namespace = site.namespace();
        let has_tap = namespace.ip(["link", "show", &tap]).is_ok();
        if !has_tap {
            site.add_tap(&tap).map_err(|source| MachineError::Plug { name: spec.name.clone(), source })?;
        }
        Self::power_on_at(namespace, &tap, spec)
    }

    /// Switches it on with its card on a TAP that exists already.
    ///
    /// # Errors
    /// When its files cannot be made, or QEMU cannot be started.
    pub fn power_on_at(namespace: &Namespace, tap: &str, spec: &MachineSpec) -> Result<Self, MachineError> {
        let folder = fresh_folder(&namespace.run().folder().join("machines"), &spec.name)?;
        prepare_variables(spec, &folder)?;
        let serial = folder.join("serial.log");
        let process = namespace
            .command(&spec.name, spec.firmware.program())
            .args(qemu::arguments(spec, tap, &folder))
            .bound(spec.bound)
            .output_to(&serial)
            .errors_to(folder.join("qemu.log"))
            .with_keyboard()
            .spawn(namespace.run())
            .map_err(|source| MachineError::Launch { name: spec.name.clone(), source })?;
        Ok(Self {
            name: spec.name.clone(),
            process,
            console: SerialConsole::at(serial),
            powered_on: Instant::now(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that its serial console is written to.
    #[must_use]
    pub fn console_path(&self) -> &Path {
        self.console.path()
    }

    /// Since it was switched on.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.powered_on.elapsed()
    }

    /// Waits until the console shows `marker`, behind the last one that was waited for.
    ///
    /// # Errors
    /// When the time is up, or the machine goes off without having shown it.
    pub fn wait_for(&mut self, marker: &str, timeout: Duration) -> Result<Seen, MachineError> {
        let until = Instant::now() + timeout;
        loop {
            // Asked before the console is read: what it said last is then read too.
            let status = self.process.ended().map_err(|source| self.file_error(source))?;
            let found = self.console.find(marker).map_err(|source| self.file_error(source))?;
            if let Some(rest) = found {
                let after = self.uptime();
                return Ok(Seen { rest, after });
            }
            if let Some(status) = status {
                return Err(MachineError::Off {
                    name: self.name.clone(),
                    marker: marker.to_owned(),
                    status: status.to_string(),
                    tail: self.last_words(),
                });
            }
            if Instant::now() >= until {
                return Err(MachineError::Timeout {
                    name: self.name.clone(),
                    marker: marker.to_owned(),
                    timeout,
                    tail: self.console.tail(TAIL_LINES),
                });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits for several markers, in this order, all within `timeout`.
    ///
    /// # Errors
    /// As [`Machine::wait_for`], for the first one that does not come.
    pub fn expect(&mut self, markers: &[&str], timeout: Duration) -> Result<Vec<Seen>, MachineError> {
        let until = Instant::now() + timeout;
        markers
            .iter()
            .map(|marker| self.wait_for(marker, until.saturating_duration_since(Instant::now())))
            .collect()
    }

    /// Whether the console has shown `marker` by now, behind the last one that was found.
    ///
    /// # Errors
    /// When the console cannot be read.
    pub fn has_shown(&mut self, marker: &str) -> Result<bool, MachineError> {
        let found = self.console.find(marker).map_err(|source| self.file_error(source))?;
        Ok(found.is_some())
    }

    /// Waits until it is off by itself, as after a guest's power-off. False when it is still on.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn wait_off(&mut self, timeout: Duration) -> Result<bool, MachineError> {
        let ended = self.process.wait(timeout).map_err(|source| self.file_error(source))?;
        Ok(ended.is_some())
    }

    /// Types `keys` into the serial port, slowly.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn type_keys(&mut self, keys: &str) -> Result<(), MachineError> {
        for key in keys.bytes() {
            let typed = match self.process.keyboard() {
                Some(keyboard) => keyboard.write_all(&[key]).and_then(|()| keyboard.flush()),
                None => Err(io::ErrorKind::BrokenPipe.into()),
            };
            typed.map_err(|source| self.file_error(source))?;
            std::thread::sleep(KEY_INTERVAL);
        }
        Ok(())
    }

    /// Switches it off; QEMU writes its disk's last blocks.
    pub fn power_off(mut self) {
        self.process.stop();
    }

    /// Pulls the plug.
    pub fn pull_plug(mut self) {
        self.process.kill();
    }

    /// The console's last lines, without escapes.
    pub fn tail(&mut self, lines: usize) -> String {
        self.console.tail(lines)
    }

    fn last_words(&mut self) -> String {
        let mut words = self.console.tail(TAIL_LINES);
        if let Ok(said) = fs::read_to_string(self.process.log())
            && !said.trim().is_empty()
        {
            words.push_str("\nqemu: ");
            words.push_str(said.trim());
        }
        words
    }

    fn file_error(&self, source: io::Error) -> MachineError {
        MachineError::File { path: self.console.path().to_owned(), source }
    }
}

/// The TAP of a machine is named after the end of its address, which no two machines of a site share.
fn tap_name(spec: &MachineSpec) -> String {
    let [.., a, b, c] = spec.mac.0;
    format!("tap{a:02x}{b:02x}{c:02x}")
}

/// `NAME`, or `NAME.2` and so on when the machine was switched on before in this run.
fn fresh_folder(machines: &Path, name: &str) -> Result<PathBuf, MachineError> {
    let first = machines.join(name);
    let mut folder = first.clone();
    let mut number = 1_u32;
    while folder.exists() {
        number += 1;
        folder = first.with_file_name(format!("{name}.{number}"));
    }
    match fs::create_dir_all(&folder) {
        Ok(()) => Ok(folder),
        Err(source) => Err(MachineError::File { path: folder, source }),
    }
}

fn prepare_variables(spec: &MachineSpec, folder: &Path) -> Result<(), MachineError> {
    let Some((_, variables)) = spec.firmware.flash() else { return Ok(()) };
    fs::copy(variables, folder.join(qemu::VARIABLES))
        .map(drop)
        .map_err(|source| MachineError::File { path: variables.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::qemu::Firmware;

    #[test]
    fn a_tap_name_fits_the_kernel_whatever_the_machine_is_called() {
        let spec = MachineSpec::new("a-machine-with-a-rather-long-name", Firmware::BiosIpxe);
        assert!(tap_name(&spec).len() <= 15);
    }

    #[test]
    fn a_machine_switched_on_again_keeps_the_earlier_logs() {
        let machines = tempfile::tempdir().expect("a temporary folder");
        let first = fresh_folder(machines.path(), "m").expect("made");
        let second = fresh_folder(machines.path(), "m").expect("made");
        assert_eq!(first, machines.path().join("m"));
        assert_eq!(second, machines.path().join("m.2"));
    }
}

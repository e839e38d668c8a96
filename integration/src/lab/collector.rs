//! An OpenTelemetry collector that nobody here wrote: Rotel, as PyPI has it.
//!
//! It is a program that its wheel happens to carry; Python unpacks it and does not run it. pip fetches it, and checks its
//! digest.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::folder::LabFolder;

/// Which.
const VERSION: &str = "0.0.1a15";
/// SHA-256 of its wheel for Python 3.11 and glibc 2.34 on x86-64.
const DIGEST: &str = "2f4117e58410c933e0dc042a268ef738dab2e3a5d63b5831209acdac2a6ddcb7";
/// The wheel that is meant, whatever Python asks for it.
const WHEEL: [&str; 8] = [
    "--no-deps",
    "--only-binary=:all:",
    "--implementation",
    "cp",
    "--python-version",
    "311",
    "--platform",
    "manylinux_2_34_x86_64",
];

/// Failure to get it.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// pip or Python failed, or is not there.
    #[error("`{command}`: {message}")]
    Refused {
        /// The command line.
        command: String,
        /// The end of what it said.
        message: String,
    },
    /// The lab's folder could not be written.
    #[error("write {path}")]
    Folder {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Where the program is once it was fetched.
#[must_use]
pub fn program(lab: &LabFolder) -> PathBuf {
    folder(lab).join("rotel/rotel-agent")
}

fn folder(lab: &LabFolder) -> PathBuf {
    lab.packages().join(format!("rotel-{VERSION}"))
}

/// Can anything be fetched?
#[must_use]
pub fn has_pip() -> bool {
    run(Command::new("python3").args(["-m", "pip", "--version"])).is_ok()
}

/// Fetches it unless it is there; needs pip.
///
/// # Errors
/// What pip says, also of a wheel with another digest.
pub fn fetch(lab: &LabFolder, say: &mut dyn FnMut(&str)) -> Result<PathBuf, CollectorError> {
    let program = program(lab);
    if program.exists() {
        return Ok(program);
    }
    say(&format!("fetching rotel {VERSION} with pip"));
    let (whole, part) = (folder(lab), lab.packages().join(format!("rotel-{VERSION}.part")));
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| CollectorError::Folder { path, source }
    };
    fs::create_dir_all(&part).map_err(at(&part))?;
    let wanted = part.join("wanted.txt");
    fs::write(&wanted, format!("rotel=={VERSION} --hash=sha256:{DIGEST}\n")).map_err(at(&wanted))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]);
    run(pip.args(WHEEL).arg("--dest").arg(&part).arg("--requirement").arg(&wanted))?;
    let wheel = part.join(format!("rotel-{VERSION}-cp311-cp311-manylinux_2_34_x86_64.whl"));
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&part))?;
    let unpacked = part.join("rotel/rotel-agent");
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755)).map_err(at(&unpacked))?;
    fs::rename(&part, &whole).map_err(at(&whole))?;
    Ok(program)
}

fn run(command: &mut Command) -> Result<(), CollectorError> {
    let said = match command.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            said.lines().rev().take(5).collect::<Vec<_>>().join("; ")
        }
        Err(error) => error.to_string(),
    };
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    let command: Vec<_> = parts.map(|part| part.to_string_lossy().into_owned()).collect();
    Err(CollectorError::Refused { command: command.join(" "), message: said })
}

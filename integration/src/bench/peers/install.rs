//! Getting the peers: Debian packages, and one program that only its language's registry has.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::binaries::{cargo_path, inherited_names};
use crate::lab::packages::{PEERS, PackageError, ensure_installed};
use crate::lab::{LabFolder, packages};

/// The crate of rs-tftpd, and which of its versions.
pub(super) const RS_TFTPD: (&str, &str) = ("tftpd", "1.0.0");

/// Installs the Debian packages of all peers, where they are missing. Their services are not started.
///
/// # Errors
/// As [`ensure_installed`].
pub fn install(say: &dyn Fn(&str)) -> Result<(), PackageError> {
    ensure_installed(PEERS, &mut |line| say(line))
}

/// A program of a package that is unpacked and not installed, and its version as `asked` makes it say it.
///
/// # Errors
/// Why there is none, in a line.
pub(super) fn unpacked(
    lab: &LabFolder,
    package: &str,
    program: &str,
    asked: &str,
    say: &dyn Fn(&str),
) -> Result<(PathBuf, String), String> {
    let root = packages::unpack(lab, package, &mut |line| say(line)).map_err(|error| error.to_string())?;
    let program = root.join(program);
    let output = Command::new(&program).arg(asked).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers =
        said.split([' ', ',', '\n']).find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    Ok((program, numbers.unwrap_or_default().to_owned()))
}

/// The program `tftpd`, built once into the lab's folder.
///
/// # Errors
/// What cargo said, in a line: no registry, no network, no compiler.
pub(super) fn rs_tftpd(lab: &LabFolder, say: &dyn Fn(&str)) -> Result<PathBuf, String> {
    let (name, version) = RS_TFTPD;
    let root = lab.packages().join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if program.exists() {
        return Ok(program);
    }
    say(&format!("building the crate {name} {version}"));
    cargo_install(&root, name, version).map(|()| program)
}

fn cargo_install(root: &Path, name: &str, version: &str) -> Result<(), String> {
    let mut command = Command::new(cargo_path());
    command.args(["install", name, "--version", &format!("={version}"), "--locked", "--root"]).arg(root);
    // Not the one that a cargo around us may be building in, which it locks.
    command.env("CARGO_TARGET_DIR", root.join("target"));
    for name in inherited_names() {
        command.env_remove(name);
    }
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cargo: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = || said.trim().lines().last().unwrap_or("cargo install failed").to_owned();
    if output.status.success() { Ok(()) } else { Err(last()) }
}

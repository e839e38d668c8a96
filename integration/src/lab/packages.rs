//! The Debian packages that the lab needs, and how they are got.
//!
//! Programs and firmware are installed with apt-get. A kernel is not: it is downloaded and unpacked
//! into the lab's folder, so that the system's own boot loader never sees it. The same holds for the
//! UEFI boot loader of the disk image.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::folder::LabFolder;

/// What the lab runs, as Debian 12 names it. Each stands with what it is for.
pub const NEEDED: &[(&str, &str)] = &[
    ("qemu-system-x86", "the machines, and SeaBIOS"),
    ("ipxe-qemu", "the network cards' boot ROMs"),
    ("ovmf", "UEFI firmware"),
    ("qemu-system-arm", "ARM64 machines"),
    ("qemu-efi-aarch64", "their UEFI firmware"),
    ("ipxe", "boot loaders to serve"),
    ("pxelinux", "boot loaders to serve"),
    ("debian-installer-12-netboot-amd64", "an installer to boot"),
    ("debian-installer-12-netboot-arm64", "an installer to boot, and GRUB for ARM64"),
    ("busybox-static", "the small environments' userspace"),
    ("syslinux", "the disk image's BIOS boot loader"),
    ("syslinux-common", "its files"),
    ("mtools", "writing to a FAT image without mounting it"),
    ("dosfstools", "making it"),
    ("iproute2", "namespaces, bridges and TAPs"),
    ("nftables", "the router's rules"),
    ("tcpdump", "captures"),
    ("tftp-hpa", "a TFTP client"),
    ("atftp", "another, with windows"),
    ("curl", "another"),
    ("isc-dhcp-relay", "a relay agent"),
    ("isc-dhcp-client", "a DHCP client"),
    ("dhcpcd-base", "another"),
    ("systemd", "another, systemd-networkd"),
    ("xz-utils", "compressed kernel modules"),
    ("debootstrap", "a Debian through a mirror"),
    ("chromium", "a browser for the controller's page"),
    ("libnss3-tools", "what it trusts"),
    ("librsvg2-bin", "pictures of dashboards"),
    ("fonts-dejavu-core", "the words in them"),
];

/// The servers that benches stand beside, and the load generators that others use.
pub const PEERS: &[(&str, &str)] = &[
    ("util-linux", "a core for each server"),
    ("dnsmasq-base", "DHCP and TFTP"),
    (
        "libwrap0",
        "for tftpd-hpa and atftpd, which are unpacked because each refuses to stand beside the other",
    ),
    ("libpcre2-8-0", "for atftpd"),
    ("nginx", "HTTP"),
    ("lighttpd", "HTTP"),
    ("apache2-bin", "HTTP"),
    ("kea-dhcp4-server", "DHCP"),
    ("kea-admin", "perfdhcp"),
    ("wrk", "HTTP load"),
];

/// What fetches the OpenTelemetry collector, where Python has no pip of its own.
pub const FETCHERS: &[(&str, &str)] = &[("python3-pip", "the OpenTelemetry collector")];

/// Failure to get a package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Not allowed to install; the text is the command to run.
    #[error("packages are missing; as root run: {0}")]
    NotRoot(String),
    /// apt-get, dpkg or dpkg-deb failed, with what it said.
    #[error("`{command}`: {message}")]
    Refused {
        /// The command line.
        command: String,
        /// The end of its error output.
        message: String,
    },
    /// It could not be run at all.
    #[error("run `{command}`")]
    Run {
        /// The command line.
        command: String,
        /// Why not.
        source: io::Error,
    },
    /// No package of that name is known to apt.
    #[error("apt knows no package {0}")]
    Unknown(String),
    /// The lab's folder could not be written.
    #[error("write {path}")]
    Folder {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Those that are not installed.
///
/// # Errors
/// When dpkg-query cannot be run.
pub fn missing(needed: &[(&'static str, &str)]) -> Result<Vec<&'static str>, PackageError> {
    let mut command = Command::new("dpkg-query");
    command.args(["-W", "-f", "${db:Status-Status} ${Package}\\n"]).args(needed.iter().map(|(name, _)| name));
    // It exits with 1 when it does not know one of them; the others are listed all the same.
    let output =
        command.output().map_err(|source| PackageError::Run { command: line_of(&command), source })?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(not_installed(needed, &listed))
}

fn not_installed(needed: &[(&'static str, &str)], listed: &str) -> Vec<&'static str> {
    needed
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !listed.lines().any(|line| line == format!("installed {name}")))
        .collect()
}

/// The version of an installed package; None: it is not installed.
#[must_use]
pub fn version(package: &str) -> Option<String> {
    let mut command = Command::new("dpkg-query");
    let listed = run(command.args(["-W", "-f", "${Version}", package])).ok()?;
    Some(listed).filter(|version| !version.is_empty())
}

/// Installs what is missing of [`NEEDED`] or [`PEERS`], and tells `say` before it does. No service of theirs is started.
///
/// # Errors
/// Without root the error holds the line to run; else when apt-get fails.
pub fn ensure_installed(
    needed: &[(&'static str, &str)],
    say: &mut dyn FnMut(&str),
) -> Result<(), PackageError> {
    let missing = missing(needed)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(PackageError::NotRoot(install_line(&missing)));
    }
    say(&format!("installing with apt-get: {}", missing.join(" ")));
    let _quiet = Services::kept_off()?;
    if install(&missing).is_ok() {
        return Ok(());
    }
    // The lists may be missing or name versions that the archive no longer has.
    say("refreshing the package lists with apt-get update");
    run(apt_get().arg("update"))?;
    install(&missing)
}

/// While it lives, packages start no services (invoke-rc.d(8)): the lab runs what it needs itself, and another DHCP server
/// on the machine's own network would be the worst that could happen.
struct Services {
    /// What was made here, and is taken away again; None: the machine has its own.
    policy: Option<PathBuf>,
}

/// What maintainer scripts ask, and the answer "forbidden".
const POLICY: &str = "/usr/sbin/policy-rc.d";
const FORBIDDEN: &str = "#!/bin/sh\n# Made by Bootlane's lab while it installs packages.\nexit 101\n";

impl Services {
    fn kept_off() -> Result<Self, PackageError> {
        Self::kept_off_at(PathBuf::from(POLICY))
    }

    fn kept_off_at(path: PathBuf) -> Result<Self, PackageError> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;

        let made = fs::File::options().create_new(true).write(true).mode(0o755).open(&path);
        match made.and_then(|mut file| file.write_all(FORBIDDEN.as_bytes())) {
            Ok(()) => Ok(Self { policy: Some(path) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Self { policy: None }),
            Err(source) => Err(PackageError::Folder { path, source }),
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        if let Some(path) = &self.policy
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(path = %path.display(), %error, "not removed: packages will start no services");
        }
    }
}

fn install(packages: &[&str]) -> Result<(), PackageError> {
    run(apt_get().args(["install", "--no-install-recommends"]).args(packages)).map(drop)
}

fn install_line(packages: &[&str]) -> String {
    format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "))
}

/// Unpacks `package` into the lab's folder and returns where. What is there already is used again,
/// without asking the archive.
///
/// # Errors
/// When apt does not know the package, or the download or the unpacking fails.
pub fn unpack(lab: &LabFolder, package: &str, say: &mut dyn FnMut(&str)) -> Result<PathBuf, PackageError> {
    let place = lab.packages().join(package);
    if place.is_dir() {
        return Ok(place);
    }
    say(&format!("downloading the package {package}"));
    let folder_error = |path: &Path| {
        let path = path.to_owned();
        move |source| PackageError::Folder { path, source }
    };
    fs::create_dir_all(lab.packages()).map_err(folder_error(&lab.packages()))?;
    let work = lab.packages().join(format!(".{package}.{}", std::process::id()));
    fs::create_dir_all(&work).map_err(folder_error(&work))?;
    let unpacked = download(&work, package).and_then(|archive| {
        let tree = work.join("tree");
        run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&tree))?;
        publish(&tree, &place)
    });
    let _ = fs::remove_dir_all(&work);
    unpacked.map(|()| place)
}

/// A rename into place: another process either sees the whole tree or none. When one was faster, its
/// tree is as good.
fn publish(tree: &Path, place: &Path) -> Result<(), PackageError> {
    match fs::rename(tree, place) {
        Err(_) if place.is_dir() => Ok(()),
        renamed => renamed.map_err(|source| PackageError::Folder { path: place.to_owned(), source }),
    }
}

fn download(work: &Path, package: &str) -> Result<PathBuf, PackageError> {
    let fetch = || run(apt_get().current_dir(work).args(["download", package]));
    fetch().or_else(|_| {
        run(apt_get().arg("update"))?;
        fetch()
    })?;
    let listed =
        fs::read_dir(work).map_err(|source| PackageError::Folder { path: work.to_owned(), source })?;
    listed
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| PackageError::Unknown(package.to_owned()))
}

/// The first package that `package` depends on; for Debian's kernel metapackages, the kernel itself.
///
/// # Errors
/// When apt does not know the package, even with fresh lists.
pub fn first_dependency(package: &str) -> Result<String, PackageError> {
    let ask = || -> Result<Option<String>, PackageError> {
        let listed = run(Command::new("apt-cache").args(["depends", package]))?;
        Ok(parse_first_dependency(&listed))
    };
    if let Ok(Some(found)) = ask() {
        return Ok(found);
    }
    run(apt_get().arg("update"))?;
    ask()?.ok_or_else(|| PackageError::Unknown(package.to_owned()))
}

fn parse_first_dependency(listed: &str) -> Option<String> {
    listed.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["-q", "-y", "-o", "APT::Sandbox::User=root", "-o", "DPkg::Lock::Timeout=60"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn run(command: &mut Command) -> Result<String, PackageError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| PackageError::Run { command: line_of(command), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(PackageError::Refused {
        command: line_of(command),
        message: last_lines(&String::from_utf8_lossy(&output.stderr)),
    })
}

fn line_of(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|word| word.to_string_lossy()));
    words.join(" ")
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_and_unknown_packages_are_missing() {
        let mut listed: String = NEEDED
            .iter()
            .filter(|(name, _)| !matches!(*name, "ovmf" | "mtools"))
            .map(|(name, _)| format!("installed {name}\n"))
            .collect();
        listed.push_str("config-files ovmf\n");
        assert_eq!(not_installed(NEEDED, &listed), ["ovmf", "mtools"]);
    }

    #[test]
    fn services_are_kept_off_and_a_policy_of_the_machine_is_left_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("policy-rc.d");
        let services = Services::kept_off_at(path.clone()).expect("made");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "it can be run");
        drop(Services::kept_off_at(path.clone()).expect("there is one"));
        assert!(path.exists(), "another's stays");
        drop(services);
        assert!(!path.exists());
    }

    #[test]
    fn the_kernel_is_what_its_metapackage_depends_on() {
        let listed = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        assert_eq!(parse_first_dependency(listed).as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(parse_first_dependency("linux-image-cloud-amd64\n"), None);
    }
}

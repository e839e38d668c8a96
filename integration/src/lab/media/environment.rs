//! Kernel and initramfs pairs: the installer environment, and Debian's installer.

use std::fs;
use std::path::{Path, PathBuf};

use super::MediaError;
use super::cache::Recipe;
use super::cpio::Archive;
use super::kernel::Kernel;
use crate::lab::folder::LabFolder;

/// The first process of the installer environment; operators use the same file.
const INSTALLER_INIT: &str = include_str!("../../../../deploy/installer/init");
const UDHCPC_SCRIPT: &str = include_str!("../../../../deploy/installer/udhcpc.script");
const BUSYBOX: &str = "/bin/busybox";
/// Only what a machine of the lab has: each module costs time to load.
const DRIVERS: &[&str] = &["virtio_pci", "virtio_net", "e1000", "virtio_blk"];
const REVISION: u32 = 1;

/// A folder with a kernel and an initramfs.
#[derive(Debug, Clone)]
pub struct BootFolder {
    /// The folder, which holds these two and nothing else that is served.
    pub folder: PathBuf,
    /// The kernel, in `folder`.
    pub kernel: PathBuf,
    /// The initramfs, in `folder`.
    pub initrd: PathBuf,
}

/// The installer environment: `linux` and `initrd.img`. Its command line is in deploy/installer/init.
///
/// # Errors
/// When the kernel's package lacks something, or files cannot be written.
pub fn installer(lab: &LabFolder, kernel: &Kernel) -> Result<BootFolder, MediaError> {
    let folder = Recipe::new("installer", REVISION)
        .with(kernel.package.as_bytes())
        .with(INSTALLER_INIT.as_bytes())
        .with(UDHCPC_SCRIPT.as_bytes())
        .built(lab, |folder| {
            copy(&kernel.image, &folder.join("linux"))?;
            let initramfs = initramfs(kernel, INSTALLER_INIT)?;
            let initrd = folder.join("initrd.img");
            fs::write(&initrd, initramfs).map_err(MediaError::file(initrd))
        })?;
    Ok(BootFolder { kernel: folder.join("linux"), initrd: folder.join("initrd.img"), folder })
}

/// The Debian installer, as its package installed it: `linux` and `initrd.gz`.
///
/// # Errors
/// When the package is not installed.
pub fn debian_netboot() -> Result<BootFolder, MediaError> {
    let folder = Path::new("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64");
    let kernel = folder.join("linux");
    fs::metadata(&kernel).map_err(MediaError::file(&kernel))?;
    Ok(BootFolder { folder: folder.to_owned(), kernel, initrd: folder.join("initrd.gz") })
}

/// The Debian installer's tree for ARM64: kernel and initrd, and beside them shim, GRUB and its modules.
#[must_use]
pub fn debian_arm64() -> PathBuf {
    PathBuf::from("/usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64")
}

/// Busybox, the drivers and `init`. Not compressed: it is small, and unpacking costs more under
/// emulation than fetching.
pub(crate) fn initramfs(kernel: &Kernel, init: &str) -> Result<Vec<u8>, MediaError> {
    let busybox = fs::read(BUSYBOX).map_err(MediaError::file(BUSYBOX))?;
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "etc", "modules", "proc", "run", "sys", "tmp"] {
        archive.directory(folder);
    }
    archive.character_device("dev/console", 5, 1);
    archive.file("bin/busybox", 0o755, &busybox);
    for applet in APPLETS {
        archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    archive.file("init", 0o755, init.as_bytes());
    archive.file("etc/udhcpc.script", 0o755, UDHCPC_SCRIPT.as_bytes());
    let mut order = String::new();
    for module in kernel.modules(DRIVERS)? {
        order.push_str(&module.file);
        order.push('\n');
        archive.file(&format!("modules/{}", module.file), 0o644, &module.content);
    }
    archive.file("modules/order", 0o644, order.as_bytes());
    Ok(archive.finish())
}

/// What the scripts call. A test compares this with their text.
const APPLETS: &[&str] = &[
    "blockdev",
    "cat",
    "cut",
    "dd",
    "gunzip",
    "insmod",
    "ip",
    "killall",
    "mkfifo",
    "mount",
    "poweroff",
    "reboot",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "sync",
    "tee",
    "timeout",
    "tr",
    "udhcpc",
    "usleep",
    "wc",
    "wget",
];

pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), MediaError> {
    fs::copy(from, to).map(drop).map_err(MediaError::file(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All programs of busybox that the scripts could call, but for those of the shell itself.
    #[test]
    fn every_program_that_the_scripts_call_is_in_the_environment() {
        let scripts = [INSTALLER_INIT, UDHCPC_SCRIPT, super::super::disk_image::DISK_INIT];
        for program in [
            "cmp",
            "cp",
            "date",
            "grep",
            "gzip",
            "head",
            "mktemp",
            "modprobe",
            "mv",
            "seq",
            "stat",
            "zcat",
            "ls",
            "ifconfig",
            "sha512sum",
            "tail",
            "nc",
            "stty",
            "awk",
        ] {
            let called = scripts.iter().flat_map(|script| script.lines()).any(|line| {
                let line = line.trim_start();
                !line.starts_with('#') && line.split(['|', ' ', '(', '{']).any(|word| word == program)
            });
            assert!(!called, "{program} is called but not in APPLETS");
        }
        for applet in APPLETS {
            let named = scripts.iter().any(|script| script.contains(applet));
            assert!(named, "{applet} is carried for nothing");
        }
    }
}

//! A small bootable disk image: what an installation puts on a machine's disk in the lab.
//!
//! ```text
//! sector 0        2048                                     end
//! │ MBR code      │ one FAT partition, active, type EF      │
//! │ + table       │   ldlinux.sys, syslinux.cfg      (BIOS) │
//!                 │   EFI/BOOT/BOOTX64.EFI, loader/  (UEFI) │
//!                 │   linux, initrd.img              (both) │
//! ```
//!
//! BIOS starts SYSLINUX through its MBR; UEFI starts systemd-boot from the removable-media path
//! (UEFI 2.10 §3.5.1.1), which needs no boot entry in the machine's variables.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::MediaError;
use super::cache::Recipe;
use super::environment::{copy, initramfs};
use super::kernel::Kernel;
use crate::lab::folder::LabFolder;
use crate::lab::packages;

pub(crate) const DISK_INIT: &str = include_str!("../../../lab-media/disk-init");
const MBR_CODE: &str = "/usr/lib/syslinux/mbr/mbr.bin";
const UEFI_LOADER_PACKAGE: &str = "systemd-boot-efi";
const UEFI_LOADER: &str = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";
const SECTOR: u64 = 512;
const FIRST_SECTOR: u32 = 2048;
const MIB: u64 = 1 << 20;
const REVISION: u32 = 1;

/// What the image is to be.
#[derive(Debug, Clone)]
pub struct DiskImageSpec {
    /// Printed when it starts, and its host name towards DHCP. Letters, digits and hyphens.
    pub label: String,
    /// The whole disk's size.
    pub size_mib: u32,
    /// Fetched once it has an address.
    pub url: Option<String>,
    /// Whether it powers off when it has done all that; otherwise it stays up.
    pub powers_off: bool,
}

impl DiskImageSpec {
    /// An image of 32 MiB that stays up. Hashing it under emulation is what an installation waits for.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self { label: label.to_owned(), size_mib: 32, url: None, powers_off: false }
    }

    fn command_line(&self) -> String {
        let mut line = format!("console=ttyS0 quiet lab.label={}", self.label);
        if let Some(url) = &self.url {
            line.push_str(" lab.url=");
            line.push_str(url);
        }
        if self.powers_off {
            line.push_str(" lab.then=poweroff");
        }
        line
    }
}

/// A built image.
#[derive(Debug, Clone)]
pub struct DiskImage {
    /// The raw image.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256, in lower-case hex.
    pub sha256: String,
    /// The same, compressed by gzip.
    pub compressed: PathBuf,
    /// The compressed file's length in bytes.
    pub compressed_size: u64,
    /// The compressed file's SHA-256.
    pub compressed_sha256: String,
}

impl DiskImage {
    /// Builds the image, or takes the one that was built from the same things before.
    ///
    /// # Errors
    /// When a package or tool is missing, or the size is too small.
    pub fn obtain(
        lab: &LabFolder,
        kernel: &Kernel,
        spec: &DiskImageSpec,
        say: &mut dyn FnMut(&str),
    ) -> Result<Self, MediaError> {
        let uefi_loader = packages::unpack(lab, UEFI_LOADER_PACKAGE, say)?.join(UEFI_LOADER);
        let folder = Recipe::new("disk", REVISION)
            .with(kernel.package.as_bytes())
            .with(DISK_INIT.as_bytes())
            .with(spec.command_line().as_bytes())
            .with(&spec.size_mib.to_be_bytes())
            .built(lab, |folder| build(folder, kernel, &uefi_loader, spec))?;
        Self::open(&folder)
    }

    fn open(folder: &Path) -> Result<Self, MediaError> {
        let path = folder.join("disk.img");
        let compressed = folder.join("disk.img.gz");
        Ok(Self {
            size: length(&path)?,
            sha256: digest_beside(&path)?,
            compressed_size: length(&compressed)?,
            compressed_sha256: digest_beside(&compressed)?,
            path,
            compressed,
        })
    }
}

/// Makes a disk without content, of `size_mib`; it takes room only where it is written.
///
/// # Errors
/// When the file cannot be made.
pub fn make_empty_disk(path: &Path, size_mib: u32) -> Result<(), MediaError> {
    File::create(path)
        .and_then(|file| file.set_len(u64::from(size_mib) * MIB))
        .map_err(MediaError::file(path))
}

fn build(folder: &Path, kernel: &Kernel, uefi_loader: &Path, spec: &DiskImageSpec) -> Result<(), MediaError> {
    let tree = folder.join("tree");
    lay_out(&tree, kernel, uefi_loader, spec)?;
    let image = folder.join("disk.img");
    make_empty_disk(&image, spec.size_mib)?;
    check_room(&tree, spec.size_mib)?;
    format_partition(&image, spec.size_mib)?;
    copy_tree(&image, &tree)?;
    let offset = partition_offset().to_string();
    tool(Command::new("syslinux").args(["--install", "--offset", &offset]).arg(&image))?;
    write_mbr(&image, spec.size_mib)?;
    tool(Command::new("gzip").args(["-k", "-n", "-6"]).arg(&image))?;
    write_digest(&image)?;
    write_digest(&folder.join("disk.img.gz"))?;
    fs::remove_dir_all(&tree).map_err(MediaError::file(&tree))
}

fn lay_out(tree: &Path, kernel: &Kernel, uefi_loader: &Path, spec: &DiskImageSpec) -> Result<(), MediaError> {
    for folder in ["EFI/BOOT", "loader/entries"] {
        let folder = tree.join(folder);
        fs::create_dir_all(&folder).map_err(MediaError::file(&folder))?;
    }
    copy(&kernel.image, &tree.join("linux"))?;
    copy(uefi_loader, &tree.join("EFI/BOOT/BOOTX64.EFI"))?;
    let options = spec.command_line();
    let texts = [
        (
            "syslinux.cfg",
            format!(
                "DEFAULT lab\nPROMPT 0\nLABEL lab\n  LINUX /linux\n  INITRD /initrd.img\n  APPEND {options}\n"
            ),
        ),
        ("loader/loader.conf", "timeout 0\ndefault lab.conf\n".to_owned()),
        (
            "loader/entries/lab.conf",
            format!("title {}\nlinux /linux\ninitrd /initrd.img\noptions {options}\n", spec.label),
        ),
    ];
    for (name, text) in texts {
        write(&tree.join(name), text.as_bytes())?;
    }
    write(&tree.join("initrd.img"), &initramfs(kernel, DISK_INIT)?)
}

fn check_room(tree: &Path, size_mib: u32) -> Result<(), MediaError> {
    let mut content = 0;
    for name in ["linux", "initrd.img", "EFI/BOOT/BOOTX64.EFI"] {
        content += length(&tree.join(name))?;
    }
    // The gap before the partition, the FATs, SYSLINUX and the small files fit in 3 MiB.
    let needed = content.div_ceil(MIB) + 3;
    if u64::from(size_mib) < needed {
        return Err(MediaError::TooSmall { size_mib, needed_mib: u32::try_from(needed).unwrap_or(u32::MAX) });
    }
    Ok(())
}

fn format_partition(image: &Path, size_mib: u32) -> Result<(), MediaError> {
    let kibibytes = (u64::from(size_mib) * MIB - partition_offset()) / 1024;
    tool(
        Command::new("mkfs.vfat")
            // A fixed serial number: the same files give the same image.
            .args(["-F", "16", "-i", "b007ab1e", "-n", "BOOTLANE", "--offset"])
            .arg(FIRST_SECTOR.to_string())
            .args(["-h", &FIRST_SECTOR.to_string()])
            .arg(image)
            .arg(kibibytes.to_string()),
    )
}

fn copy_tree(image: &Path, tree: &Path) -> Result<(), MediaError> {
    let target = format!("{}@@{}", image.display(), partition_offset());
    let mut command = Command::new("mcopy");
    command.args(["-s", "-m", "-i", &target]);
    for name in ["EFI", "loader", "linux", "initrd.img", "syslinux.cfg"] {
        command.arg(tree.join(name));
    }
    tool(command.arg("::/"))
}

/// SYSLINUX's boot code and a table with one active partition. Its type is that of an EFI system
/// partition, which the BIOS side does not look at.
fn write_mbr(image: &Path, size_mib: u32) -> Result<(), MediaError> {
    let code = fs::read(MBR_CODE).map_err(MediaError::file(MBR_CODE))?;
    let sectors = u32::try_from(u64::from(size_mib) * MIB / SECTOR).unwrap_or(u32::MAX);
    let mbr = mbr(&code, sectors - FIRST_SECTOR);
    File::options()
        .write(true)
        .open(image)
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&mbr)
        })
        .map_err(MediaError::file(image))
}

fn mbr(code: &[u8], sectors: u32) -> [u8; 512] {
    // UEFI 2.10 §5.2.1: code to byte 440, disk signature, four entries of 16 bytes, 55 AA.
    let mut mbr = [0; 512];
    let length = code.len().min(440);
    mbr[..length].copy_from_slice(&code[..length]);
    mbr[440..444].copy_from_slice(b"BTLN");
    // FE FF FF: beyond what cylinders, heads and sectors can say, so the sector numbers count.
    mbr[446..454].copy_from_slice(&[0x80, 0xfe, 0xff, 0xff, 0xef, 0xfe, 0xff, 0xff]);
    mbr[454..458].copy_from_slice(&FIRST_SECTOR.to_le_bytes());
    mbr[458..462].copy_from_slice(&sectors.to_le_bytes());
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    mbr
}

fn partition_offset() -> u64 {
    u64::from(FIRST_SECTOR) * SECTOR
}

fn write(path: &Path, content: &[u8]) -> Result<(), MediaError> {
    fs::write(path, content).map_err(MediaError::file(path))
}

fn length(path: &Path) -> Result<u64, MediaError> {
    fs::metadata(path).map(|metadata| metadata.len()).map_err(MediaError::file(path))
}

fn digest_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

fn write_digest(path: &Path) -> Result<(), MediaError> {
    let content = fs::read(path).map_err(MediaError::file(path))?;
    let digest: [u8; 32] = Sha256::digest(&content).into();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    write(&digest_path(path), hex.as_bytes())
}

fn digest_beside(path: &Path) -> Result<String, MediaError> {
    let path = digest_path(path);
    fs::read_to_string(&path).map_err(MediaError::file(&path))
}

fn tool(command: &mut Command) -> Result<(), MediaError> {
    let program = command.get_program().to_string_lossy().into_owned();
    // mtools would otherwise ask about, and refuse, geometries that floppies do not have.
    let output = command
        .env("MTOOLS_SKIP_CHECK", "1")
        // mkfs.vfat and mtools write times into the file system; a fixed one makes images repeat.
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .map_err(MediaError::file(&program))?;
    if output.status.success() {
        return Ok(());
    }
    Err(MediaError::Tool { program, message: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_table_names_one_active_partition() {
        let mbr = mbr(&[0x90; 440], 0x1_7800);
        assert_eq!(mbr[446], 0x80);
        assert_eq!(mbr[450], 0xef);
        assert_eq!(mbr[454..458], 2048_u32.to_le_bytes());
        assert_eq!(mbr[458..462], 0x1_7800_u32.to_le_bytes());
        assert_eq!(mbr[462..510], [0; 48]);
        assert_eq!(mbr[510..], [0x55, 0xaa]);
    }

    #[test]
    fn boot_code_that_is_too_long_never_reaches_the_table() {
        let mbr = mbr(&[0x90; 512], 1);
        assert_eq!(mbr[440..444], *b"BTLN");
    }

    #[test]
    fn the_command_line_says_what_the_image_does() {
        let mut spec = DiskImageSpec::new("one");
        assert_eq!(spec.command_line(), "console=ttyS0 quiet lab.label=one");
        spec.url = Some("http://192.0.2.1/up".to_owned());
        spec.powers_off = true;
        assert_eq!(
            spec.command_line(),
            "console=ttyS0 quiet lab.label=one lab.url=http://192.0.2.1/up lab.then=poweroff"
        );
    }
}

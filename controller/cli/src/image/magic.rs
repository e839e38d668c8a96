//! Is a kernel a kernel, an initial RAM disk one, and a loader a program for its firmware? Judged by their first bytes, so that
//! an error page that was saved as `linux` is noticed here and not on a machine's screen.

use std::io::Read;

use proto::{EfiProgram, Platform};

use super::{Media, MediaError, Taken};

/// As much of a file is looked at: beyond the descriptor of an ISO image, which memdisk boots.
const HEAD: usize = 33 * 1024;
/// As many of its first bytes are shown.
const SHOWN: usize = 16;
/// The room of a PC's BIOS for what it loads: base memory behind 0x7c00 (PXE 2.1 §3.5.5), in bytes.
const BASE_MEMORY: u64 = 640 * 1024 - 0x7c00;

/// A file that is not what it is to be booted as.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MagicError {
    /// It cannot be read.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// No kernel.
    #[error(
        "{path} is no kernel (bzImage, EFI program, ARM64 or RISC-V Image, ELF, or one of them in gzip): it {begins}"
    )]
    Kernel {
        /// Within the media.
        path: String,
        /// Its first bytes.
        begins: String,
    },
    /// No initial RAM disk.
    #[error(
        "{path} is no initial RAM disk (cpio, gzip, xz, zstd, lz4, bzip2, lzma, lzop, an ISO image or a file system): it \
         {begins}"
    )]
    Initrd {
        /// Within the media.
        path: String,
        /// Its first bytes.
        begins: String,
    },
    /// No loader.
    #[error("{path} is no loader for {platform}: it {why}")]
    Loader {
        /// Within the media.
        path: String,
        /// What is to run it.
        platform: Platform,
        /// What it is, or how it begins.
        why: String,
    },
}

/// Looks at the kernel, the initial RAM disks and the loaders that are taken. Blocks.
///
/// # Errors
/// The first that is none.
pub(crate) fn check_boot(media: &Media, taken: &Taken) -> Result<(), MagicError> {
    if let Some(path) = &taken.kernel {
        let head = head(media, path)?;
        if !is_kernel(&head) {
            return Err(MagicError::Kernel { path: path.clone(), begins: begins(&head) });
        }
    }
    for path in &taken.initrds {
        let head = head(media, path)?;
        if !is_initrd(&head) {
            return Err(MagicError::Initrd { path: path.clone(), begins: begins(&head) });
        }
    }
    for (platform, path) in &taken.loaders {
        let size = media.files().iter().find(|found| found.path == *path).map_or(0, |found| found.size);
        if let Some(why) = refuse_loader(*platform, &head(media, path)?, size) {
            return Err(MagicError::Loader { path: path.clone(), platform: *platform, why });
        }
    }
    Ok(())
}

fn head(media: &Media, path: &str) -> Result<Vec<u8>, MediaError> {
    let mut head = Vec::new();
    let read = media.read(path)?.take(HEAD as u64).read_to_end(&mut head);
    read.map_err(|source| MediaError::File { path: path.to_owned(), source })?;
    Ok(head)
}

fn has(head: &[u8], at: usize, magic: &[u8]) -> bool {
    head.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

fn is_kernel(head: &[u8]) -> bool {
    let magics: [(usize, &[u8]); 6] = [
        // Linux, Documentation/arch/x86/boot.rst; memdisk and wimboot have it too.
        (0x202, b"HdrS"),
        // Documentation/arch/arm64/booting.rst and riscv/boot-image-header.rst.
        (56, b"ARM\x64"),
        (56, b"RSC\x05"),
        // An EFI program: the stub of a kernel, or a unified kernel image.
        (0, b"MZ"),
        (0, b"\x1f\x8b"),
        (0, b"\x7fELF"),
    ];
    magics.iter().any(|(at, magic)| has(head, *at, magic))
}

fn is_initrd(head: &[u8]) -> bool {
    let magics: [(usize, &[u8]); 18] = [
        // Documentation/driver-api/early-userspace/buffer-format.rst.
        (0, b"070701"),
        (0, b"070702"),
        (0, b"070707"),
        (0, b"\x1f\x8b"),
        (0, b"\xfd7zXZ\0"),
        (0, b"\x28\xb5\x2f\xfd"),
        (0, b"\x02\x21\x4c\x18"),
        (0, b"\x04\x22\x4d\x18"),
        (0, b"BZh"),
        (0, b"\x5d\0\0"),
        (0, b"\x89LZO"),
        // File systems, as older distributions have them.
        (0x438, b"\x53\xef"),
        (0, b"hsqs"),
        (0, b"\x45\x3d\xcd\x28"),
        (0, b"-rom1fs-"),
        // What memdisk and wimboot boot: an ISO image, a disk with a boot sector, a WIM.
        (0x8001, b"CD001"),
        (0x1fe, b"\x55\xaa"),
        (0, b"MSWIM\0\0\0"),
    ];
    magics.iter().any(|(at, magic)| has(head, *at, magic))
}

/// Why firmware of this kind cannot run what begins so and has so many bytes; None: it may.
fn refuse_loader(platform: Platform, head: &[u8], size: u64) -> Option<String> {
    if head.is_empty() {
        return Some(begins(head));
    }
    let efi = EfiProgram::read(head);
    match platform {
        Platform::UefiIa32
        | Platform::UefiX64
        | Platform::UefiArm32
        | Platform::UefiArm64
        | Platform::UefiRiscv64
        | Platform::UefiRiscv32
        | Platform::UefiLoong64
        | Platform::UefiIa64 => match efi {
            Some(efi) => refuse_efi(platform, efi),
            None => Some(format!("is no EFI program, as that firmware runs, and {}", begins(head))),
        },
        Platform::Bios | Platform::PpcOpenFirmware if efi.is_some() => {
            Some("is an EFI program, which that firmware cannot run".into())
        }
        Platform::Bios | Platform::PpcOpenFirmware if is_text(head) => {
            Some(format!("is a text and {}", begins(head)))
        }
        Platform::Bios if size > BASE_MEMORY => {
            Some(format!("has {size} bytes, more than the {BASE_MEMORY} that a PC's BIOS has room for"))
        }
        // U-Boot runs scripts and EFI programs, too; a Raspberry Pi 5 begins with a text.
        Platform::Bios
        | Platform::PpcOpenFirmware
        | Platform::UbootArm32
        | Platform::UbootArm64
        | Platform::RaspberryPi => None,
    }
}

fn refuse_efi(platform: Platform, efi: EfiProgram) -> Option<String> {
    let other = match efi.platform {
        Some(own) if own == platform => return None,
        Some(other) => other.to_string(),
        None => "a machine not known here".to_owned(),
    };
    Some(format!("is an EFI program for {other}"))
}

fn is_text(head: &[u8]) -> bool {
    let plain = |text: &str| text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace());
    match std::str::from_utf8(head) {
        Ok(text) => plain(text),
        // The head may end within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).is_ok_and(plain)
        }
        Err(_) => false,
    }
}

fn begins(head: &[u8]) -> String {
    match head.get(..SHOWN.min(head.len())) {
        None | Some([]) => "is empty".into(),
        Some(first) => format!("begins with \"{}\"", first.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(at: usize, magic: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1; at];
        bytes.extend_from_slice(magic);
        bytes
    }

    fn efi(machine: u16) -> Vec<u8> {
        let mut head = vec![0; 512];
        head[..2].copy_from_slice(b"MZ");
        head[0x3c] = 0x80;
        head[0x80..0x84].copy_from_slice(b"PE\0\0");
        head[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
        head
    }

    #[test]
    fn loaders_are_programs_for_their_firmware() {
        let refused = |platform, head: &[u8]| refuse_loader(platform, head, 70_000);
        let undionly = b"\xea\x05\x00\xc0\x07\xfa\x00";
        assert_eq!(refused(Platform::Bios, undionly), None);
        assert_eq!(refused(Platform::UefiX64, &efi(0x8664)), None);
        assert_eq!(refused(Platform::UefiArm64, &efi(0xaa64)), None);
        assert_eq!(refused(Platform::RaspberryPi, b"[all]\n"), None);
        for (platform, head, why) in [
            (Platform::UefiX64, &efi(0xaa64)[..], "is an EFI program for uefi-arm64"),
            (Platform::UefiX64, undionly, "is no EFI program"),
            (Platform::UefiX64, b"<html>", "begins with \"<html>\""),
            (Platform::Bios, &efi(0x8664), "is an EFI program, which"),
            (Platform::Bios, &"<p>gefunden für".as_bytes()[..14], "is a text"),
            (Platform::Bios, b"", "is empty"),
            (Platform::PpcOpenFirmware, b"#!/bin/sh\n", "is a text"),
        ] {
            let told = refused(platform, head).unwrap_or_else(|| panic!("{}", begins(head)));
            assert!(told.contains(why), "{told} / {why}");
        }
        let large = refuse_loader(Platform::Bios, undionly, 8 << 20).expect("no room");
        assert!(large.contains("8388608 bytes"), "{large}");
    }

    #[test]
    fn kernels_and_initial_ram_disks_are_told_from_the_rest() {
        for kernel in [with(0x202, b"HdrS"), with(56, b"ARMd"), b"MZ\x90".to_vec(), b"\x1f\x8b\x08".to_vec()]
        {
            assert!(is_kernel(&kernel), "{}", begins(&kernel));
        }
        for initrd in [b"070701".to_vec(), b"\x28\xb5\x2f\xfd".to_vec(), with(0x8001, b"CD001")] {
            assert!(is_initrd(&initrd) && !is_kernel(&initrd), "{}", begins(&initrd));
        }
        for other in [b"<!DOCTYPE html>".to_vec(), Vec::new(), with(600, b"HdrS"), vec![0; 4_096]] {
            assert!(!is_kernel(&other) && !is_initrd(&other), "{}", begins(&other));
        }
        assert_eq!(begins(b"<html>\n"), "begins with \"<html>\\n\"");
        assert_eq!(begins(b""), "is empty");
    }
}

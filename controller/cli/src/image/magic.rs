//! Is a kernel a kernel, and an initial RAM disk one? Judged by their first bytes, so that an error page that was saved as
//! `linux` is noticed here and not on a machine's screen.

use std::io::Read;

use super::{Media, MediaError, Taken};

/// As much of a file is looked at: beyond the descriptor of an ISO image, which memdisk boots.
const HEAD: usize = 33 * 1024;
/// As many of its first bytes are shown.
const SHOWN: usize = 16;

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
}

/// Looks at the kernel and the initial RAM disks that are taken. Blocks.
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

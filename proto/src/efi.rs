//! What the head of an EFI program shows: on which firmware it runs, and whether it is signed.
//!
//! ```text
//!  0 "MZ" … 0x3c offset of: "PE\0\0" | machine (2) | … 20 bytes of COFF header | optional header:
//!    magic 0x10b (32-bit) or 0x20b | … data directories from 96 or 112 on, 8 bytes each; the fifth: certificates
//! ```

use crate::Platform;

const COFF_HEADER: usize = 20;
/// PE/COFF §"Optional Header Data Directories": the certificate table is the fifth.
const CERTIFICATES: usize = 4;

/// An EFI program, by its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EfiProgram {
    /// The firmware that runs it; None: for a machine that is not known here.
    pub platform: Option<Platform>,
    /// Has it a signature?
    pub signed: bool,
}

impl EfiProgram {
    /// Of a file that begins with these bytes, of which a few KiB are enough; None: it is no EFI program.
    #[must_use]
    pub fn read(head: &[u8]) -> Option<Self> {
        let at = usize::try_from(u32_at(head, 0x3c)?).ok().filter(|_| head.starts_with(b"MZ"))?;
        let coff = head.get(at..)?.strip_prefix(b"PE\0\0")?;
        let platform = u16_at(coff, 0).and_then(platform);
        Some(Self { platform, signed: is_signed(coff.get(COFF_HEADER..).unwrap_or_default()) })
    }
}

/// PE/COFF §"Machine Types".
const fn platform(machine: u16) -> Option<Platform> {
    Some(match machine {
        0x014c => Platform::UefiIa32,
        0x8664 => Platform::UefiX64,
        0x01c0 | 0x01c2 | 0x01c4 => Platform::UefiArm32,
        0xaa64 => Platform::UefiArm64,
        0x5032 => Platform::UefiRiscv32,
        0x5064 => Platform::UefiRiscv64,
        0x6264 => Platform::UefiLoong64,
        0x0200 => Platform::UefiIa64,
        _ => return None,
    })
}

fn is_signed(optional: &[u8]) -> bool {
    let directories = match u16_at(optional, 0) {
        Some(0x10b) => 96,
        Some(0x20b) => 112,
        Some(_) | None => return false,
    };
    u32_at(optional, directories + CERTIFICATES * 8 + 4).is_some_and(|size| size > 0)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of an EFI program.
    fn efi(machine: u16, magic: u16, certificates: u32) -> Vec<u8> {
        let mut head = vec![0; 0x200];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(0x3c, &0x80_u32.to_le_bytes());
        put(0x80, b"PE\0\0");
        put(0x84, &machine.to_le_bytes());
        put(0x98, &magic.to_le_bytes());
        let directories = if magic == 0x10b { 96 } else { 112 };
        put(0x98 + directories + 36, &certificates.to_le_bytes());
        head
    }

    #[test]
    fn efi_programs_say_what_they_are() {
        let read = |head: &[u8]| EfiProgram::read(head).map(|program| (program.platform, program.signed));
        assert_eq!(read(&efi(0x8664, 0x20b, 0)), Some((Some(Platform::UefiX64), false)));
        assert_eq!(read(&efi(0xaa64, 0x20b, 9)), Some((Some(Platform::UefiArm64), true)));
        assert_eq!(read(&efi(0x014c, 0x10b, 9)), Some((Some(Platform::UefiIa32), true)));
        assert_eq!(read(&efi(0x1234, 0x20b, 0)), Some((None, false)), "one that nobody knows here");
    }

    #[test]
    fn any_bytes_are_read() {
        let whole = efi(0x8664, 0x20b, 9);
        for length in 0..whole.len() {
            let read = EfiProgram::read(&whole[..length]);
            assert_eq!(read.is_some(), length >= 0x84, "{length}");
        }
        let mut far = whole;
        far[0x3c..0x40].fill(0xff);
        assert_eq!(EfiProgram::read(&far), None);
        assert_eq!(EfiProgram::read(b"\xea\x05\x00\xc0\x07"), None);
    }
}

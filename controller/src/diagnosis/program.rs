//! What a loader's first bytes show: on which firmware it runs, and whether it is signed.
//!
//! ```text
//!  0 "MZ" … 0x3c offset of: "PE\0\0" | machine (2) | … 20 bytes of COFF header | optional header:
//!    magic 0x10b (32-bit) or 0x20b | … data directories from 96 or 112 on, 8 bytes each; the fifth: certificates
//! ```

use proto::Platform;

use super::context::LoaderFacts;

const COFF_HEADER: usize = 20;
/// PE/COFF §"Optional Header Data Directories": the certificate table is the fifth.
const CERTIFICATES: usize = 4;

impl LoaderFacts {
    /// Of a loader that begins with these bytes; a few KiB are enough.
    #[must_use]
    pub fn of(name: String, head: &[u8]) -> Self {
        match pe_header(head) {
            Some(at) => {
                let runs_on = u16_at(head, at + 4).and_then(efi_platform).into_iter().collect();
                Self { name, runs_on, signed: is_signed(head, at + 4 + COFF_HEADER) }
            }
            // No EFI program: firmware of other kinds takes any bytes as they are.
            None if head.len() >= 64 && !head.starts_with(b"MZ") => {
                Self { name, runs_on: not_efi(), signed: false }
            }
            None => Self { name, runs_on: Vec::new(), signed: false },
        }
    }
}

fn pe_header(head: &[u8]) -> Option<usize> {
    let at = usize::try_from(u32_at(head, 0x3c)?).ok().filter(|_| head.starts_with(b"MZ"))?;
    head.get(at..)?.starts_with(b"PE\0\0").then_some(at)
}

/// PE/COFF §"Machine Types".
const fn efi_platform(machine: u16) -> Option<Platform> {
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

fn is_signed(head: &[u8], optional: usize) -> bool {
    let directories = match u16_at(head, optional) {
        Some(0x10b) => 96,
        Some(0x20b) => 112,
        Some(_) | None => return false,
    };
    u32_at(head, optional + directories + CERTIFICATES * 8 + 4).is_some_and(|size| size > 0)
}

fn not_efi() -> Vec<Platform> {
    let is_efi = |platform: &Platform| match platform {
        Platform::UefiIa32
        | Platform::UefiX64
        | Platform::UefiArm32
        | Platform::UefiArm64
        | Platform::UefiRiscv64
        | Platform::UefiRiscv32
        | Platform::UefiLoong64
        | Platform::UefiIa64 => true,
        Platform::Bios
        | Platform::UbootArm32
        | Platform::UbootArm64
        | Platform::PpcOpenFirmware
        | Platform::RaspberryPi => false,
    };
    Platform::ALL.into_iter().filter(|platform| !is_efi(platform)).collect()
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

    fn runs_on(head: &[u8]) -> (Vec<Platform>, bool) {
        let facts = LoaderFacts::of("loader".into(), head);
        (facts.runs_on, facts.signed)
    }

    #[test]
    fn efi_programs_say_what_they_are() {
        assert_eq!(runs_on(&efi(0x8664, 0x20b, 0)), (vec![Platform::UefiX64], false));
        assert_eq!(runs_on(&efi(0xaa64, 0x20b, 9)), (vec![Platform::UefiArm64], true));
        assert_eq!(runs_on(&efi(0x014c, 0x10b, 9)), (vec![Platform::UefiIa32], true));
        assert_eq!(runs_on(&efi(0x1234, 0x20b, 0)).0, [], "one that nobody knows here");
    }

    #[test]
    fn what_is_no_efi_program_runs_elsewhere() {
        let (platforms, signed) = runs_on(&[0xe9; 512]);
        assert!(platforms.contains(&Platform::Bios) && !platforms.contains(&Platform::UefiX64) && !signed);
    }

    #[test]
    fn what_is_cut_says_nothing() {
        let whole = efi(0x8664, 0x20b, 9);
        for length in 0..0x40 {
            assert_eq!(runs_on(&whole[..length]), (vec![], false), "{length} bytes");
        }
        for length in 0x40..whole.len() {
            let platforms = runs_on(&whole[..length]).0;
            assert!(platforms.is_empty() || platforms == [Platform::UefiX64], "{length} bytes");
        }
    }
}

//! What a loader's first bytes show: on which firmware it runs, and whether it is signed.

use proto::{EfiProgram, Platform};

use super::context::LoaderFacts;

impl LoaderFacts {
    /// Of a loader that begins with these bytes; a few KiB are enough.
    #[must_use]
    pub fn of(name: String, head: &[u8]) -> Self {
        match EfiProgram::read(head) {
            Some(EfiProgram { platform, signed }) => {
                Self { name, runs_on: platform.into_iter().collect(), signed }
            }
            // No EFI program: firmware of other kinds takes any bytes as they are.
            None if head.len() >= 64 && !head.starts_with(b"MZ") => {
                let others = Platform::ALL.into_iter().filter(|platform| !platform.is_efi());
                Self { name, runs_on: others.collect(), signed: false }
            }
            None => Self { name, runs_on: Vec::new(), signed: false },
        }
    }
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

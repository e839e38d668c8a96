//! What a loader's first bytes show: on which firmware it runs, and whether it is signed.

use proto::{EfiProgram, Platform};

use super::context::LoaderFacts;

impl LoaderFacts {
    /// Of a loader that begins with these bytes; a few KiB are enough.
    #[must_use]
    pub fn of(name: String, head: &[u8]) -> Self {
        let (runs_on, signed) = match EfiProgram::read(head) {
            Some(program) => of_efi(program),
            // No EFI program: firmware of other kinds takes any bytes as they are.
            None if head.len() >= 64 && !head.starts_with(b"MZ") => {
                (Platform::ALL.into_iter().filter(|platform| !platform.is_efi()).collect(), false)
            }
            None => (Vec::new(), false),
        };
        Self { name, runs_on, signed }
    }
}

fn of_efi(EfiProgram { platform, signed }: EfiProgram) -> (Vec<Platform>, bool) {
    (platform.into_iter().collect(), signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_on(head: &[u8]) -> (Vec<Platform>, bool) {
        let facts = LoaderFacts::of("loader".into(), head);
        (facts.runs_on, facts.signed)
    }

    #[test]
    fn efi_programs_say_what_they_are() {
        let known = EfiProgram { platform: Some(Platform::UefiArm64), signed: true };
        assert_eq!(of_efi(known), (vec![Platform::UefiArm64], true));
        assert_eq!(of_efi(EfiProgram { platform: None, signed: false }).0, [], "one that nobody knows here");
    }

    #[test]
    fn what_is_no_efi_program_runs_elsewhere() {
        let (platforms, signed) = runs_on(&[0xe9; 512]);
        assert!(platforms.contains(&Platform::Bios) && !platforms.contains(&Platform::UefiX64) && !signed);
    }

    #[test]
    fn what_is_cut_says_nothing() {
        let mut head = [0; 0x80];
        head[..2].copy_from_slice(b"MZ");
        for head in [&[0xe9; 63][..], b"M", b"MZ", &head] {
            assert_eq!(runs_on(head), (vec![], false), "{} bytes", head.len());
        }
    }
}

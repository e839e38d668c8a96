//! IANA's "Processor Architecture Types" (DHCPv6 parameters; option 93 of DHCPv4): one row for each number.
//!
//! What a number means to us is said here and nowhere else: its name in events, and the platform whose loader it gets.
//! Machines that lie about theirs (QUIRKS 15) are the DHCP server's to see through.

use std::fmt;

use crate::Platform;

/// One row of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// As option 93 has it.
    pub code: u16,
    /// The registry's name.
    pub name: &'static str,
    /// Whose loader such a machine gets; None: there is no loader for it that we could give.
    pub platform: Option<Platform>,
    /// The firmware fetches by HTTP (QUIRKS 33).
    pub http: bool,
}

/// By number, without holes.
pub const REGISTRY: [Architecture; 42] = [
    by_tftp(0x00, "x86 BIOS", Some(Platform::Bios)),
    by_tftp(0x01, "NEC/PC98", None),
    by_tftp(0x02, "Itanium", Some(Platform::UefiIa64)),
    by_tftp(0x03, "DEC Alpha", None),
    by_tftp(0x04, "Arc x86", None),
    by_tftp(0x05, "Intel Lean Client", None),
    by_tftp(0x06, "x86 UEFI", Some(Platform::UefiIa32)),
    // RFC 4578 has x64 at 9 and EBC at 7, the registry the other way round (erratum 4624), and firmware that says EBC
    // wants the x64 loader all the same (QUIRKS 14, 15).
    by_tftp(0x07, "x64 UEFI", Some(Platform::UefiX64)),
    by_tftp(0x08, "EFI Xscale", None),
    by_tftp(0x09, "EBC", Some(Platform::UefiX64)),
    by_tftp(0x0a, "ARM 32-bit UEFI", Some(Platform::UefiArm32)),
    by_tftp(0x0b, "ARM 64-bit UEFI", Some(Platform::UefiArm64)),
    by_tftp(0x0c, "PowerPC Open Firmware", Some(Platform::PpcOpenFirmware)),
    by_tftp(0x0d, "PowerPC ePAPR", None),
    by_tftp(0x0e, "POWER OPAL v3", None),
    by_http(0x0f, "x86 UEFI boot from HTTP", Some(Platform::UefiIa32)),
    by_http(0x10, "x64 UEFI boot from HTTP", Some(Platform::UefiX64)),
    by_http(0x11, "EBC boot from HTTP", Some(Platform::UefiX64)),
    by_http(0x12, "ARM 32-bit UEFI boot from HTTP", Some(Platform::UefiArm32)),
    by_http(0x13, "ARM 64-bit UEFI boot from HTTP", Some(Platform::UefiArm64)),
    by_http(0x14, "PC/AT BIOS boot from HTTP", Some(Platform::Bios)),
    by_tftp(0x15, "ARM 32-bit U-Boot", Some(Platform::UbootArm32)),
    by_tftp(0x16, "ARM 64-bit U-Boot", Some(Platform::UbootArm64)),
    by_http(0x17, "ARM 32-bit U-Boot boot from HTTP", Some(Platform::UbootArm32)),
    by_http(0x18, "ARM 64-bit U-Boot boot from HTTP", Some(Platform::UbootArm64)),
    by_tftp(0x19, "RISC-V 32-bit UEFI", Some(Platform::UefiRiscv32)),
    by_http(0x1a, "RISC-V 32-bit UEFI boot from HTTP", Some(Platform::UefiRiscv32)),
    by_tftp(0x1b, "RISC-V 64-bit UEFI", Some(Platform::UefiRiscv64)),
    by_http(0x1c, "RISC-V 64-bit UEFI boot from HTTP", Some(Platform::UefiRiscv64)),
    by_tftp(0x1d, "RISC-V 128-bit UEFI", None),
    by_http(0x1e, "RISC-V 128-bit UEFI boot from HTTP", None),
    by_tftp(0x1f, "S390 Basic", None),
    by_tftp(0x20, "S390 Extended", None),
    by_tftp(0x21, "MIPS 32-bit UEFI", None),
    by_tftp(0x22, "MIPS 64-bit UEFI", None),
    by_tftp(0x23, "Sunway 32-bit UEFI", None),
    by_tftp(0x24, "Sunway 64-bit UEFI", None),
    by_tftp(0x25, "LoongArch 32-bit UEFI", None),
    by_http(0x26, "LoongArch 32-bit UEFI boot from HTTP", None),
    by_tftp(0x27, "LoongArch 64-bit UEFI", Some(Platform::UefiLoong64)),
    by_http(0x28, "LoongArch 64-bit UEFI boot from HTTP", Some(Platform::UefiLoong64)),
    by_tftp(0x29, "ARM rpiboot", Some(Platform::RaspberryPi)),
];

const fn by_tftp(code: u16, name: &'static str, platform: Option<Platform>) -> Architecture {
    Architecture { code, name, platform, http: false }
}

const fn by_http(code: u16, name: &'static str, platform: Option<Platform>) -> Architecture {
    Architecture { code, name, platform, http: true }
}

impl Architecture {
    /// The row of a number; None: IANA has not given it to anybody.
    #[must_use]
    pub fn of(code: u16) -> Option<&'static Self> {
        REGISTRY.get(usize::from(code))
    }

    /// A number as people read it, also one that is not registered.
    #[must_use]
    pub fn describe(code: u16) -> String {
        match Self::of(code) {
            Some(known) => known.to_string(),
            None => format!("{code:#06x}, not registered"),
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:#06x}, {}", self.code, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_at_their_numbers() {
        for (at, row) in REGISTRY.iter().enumerate() {
            assert_eq!(usize::from(row.code), at, "{row}");
            assert_eq!(row.http, row.name.ends_with("boot from HTTP"), "{row}");
        }
        assert_eq!(Architecture::of(0x2a), None);
        assert_eq!(Architecture::describe(0x1f), "0x001f, S390 Basic");
        assert_eq!(Architecture::describe(0x270f), "0x270f, not registered");
    }

    #[test]
    fn what_fetches_by_http_is_the_platform_that_it_is_by_tftp() {
        for row in REGISTRY.iter().filter(|row| row.http) {
            let by_tftp = |other: &&Architecture| !other.http && other.platform == row.platform;
            assert!(REGISTRY.iter().any(|other| by_tftp(&other)), "{row}");
        }
    }

    /// `docs/architectures.md` is made from the table: its rows are these.
    #[test]
    fn the_document_has_the_rows_of_the_table() {
        let row = |row: &Architecture| {
            let platform = row.platform.map_or("none".to_owned(), |platform| format!("`{platform}`"));
            let by = if row.http { "HTTP" } else { "TFTP" };
            format!("| {:#04x} | {} | {platform} | {by} |", row.code, row.name)
        };
        let document = include_str!("../../docs/architectures.md");
        let found: Vec<_> = document.lines().filter(|line| line.starts_with("| 0x")).collect();
        assert_eq!(found, REGISTRY.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn every_platform_has_a_number() {
        for platform in Platform::ALL {
            assert!(REGISTRY.iter().any(|row| row.platform == Some(platform)), "{platform}");
        }
    }
}

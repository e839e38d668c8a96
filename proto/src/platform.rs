//! What a machine's firmware is, as far as the choice of a loader goes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::wire::twin;

/// A family of firmware that runs one kind of network bootstrap program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// PC BIOS.
    Bios,
    /// UEFI, 32-bit x86.
    #[serde(rename = "uefi-ia32")]
    UefiIa32,
    /// UEFI, 64-bit x86.
    UefiX64,
    /// UEFI, 32-bit ARM.
    UefiArm32,
    /// UEFI, 64-bit ARM.
    UefiArm64,
    /// UEFI, 64-bit RISC-V.
    UefiRiscv64,
    /// UEFI, 32-bit RISC-V.
    UefiRiscv32,
    /// UEFI, 64-bit LoongArch.
    UefiLoong64,
    /// EFI, Itanium.
    UefiIa64,
    /// U-Boot, 32-bit ARM.
    UbootArm32,
    /// U-Boot, 64-bit ARM.
    UbootArm64,
    /// Open Firmware, PowerPC.
    PpcOpenFirmware,
    /// The boot loader in a Raspberry Pi's own chip or EEPROM, which fetches the vendor's firmware.
    RaspberryPi,
}

twin!(
    Platform,
    Platform,
    Bios,
    UefiIa32,
    UefiX64,
    UefiArm32,
    UefiArm64,
    UefiRiscv64,
    UefiRiscv32,
    UefiLoong64,
    UefiIa64,
    UbootArm32,
    UbootArm64,
    PpcOpenFirmware,
    RaspberryPi,
);

impl Platform {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Bios,
        Self::UefiIa32,
        Self::UefiX64,
        Self::UefiArm32,
        Self::UefiArm64,
        Self::UefiRiscv64,
        Self::UefiRiscv32,
        Self::UefiLoong64,
        Self::UefiIa64,
        Self::UbootArm32,
        Self::UbootArm64,
        Self::PpcOpenFirmware,
        Self::RaspberryPi,
    ];

    /// Those that every agent knows: one of an early build refuses a network that names another.
    #[must_use]
    pub fn is_known_to_all(self) -> bool {
        self <= Self::UefiRiscv64
    }

    /// Does its firmware run EFI programs and nothing else?
    #[must_use]
    pub const fn is_efi(self) -> bool {
        match self {
            Self::UefiIa32
            | Self::UefiX64
            | Self::UefiArm32
            | Self::UefiArm64
            | Self::UefiRiscv64
            | Self::UefiRiscv32
            | Self::UefiLoong64
            | Self::UefiIa64 => true,
            Self::Bios | Self::UbootArm32 | Self::UbootArm64 | Self::PpcOpenFirmware | Self::RaspberryPi => {
                false
            }
        }
    }

    /// The word in files, tables and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::UefiIa32 => "uefi-ia32",
            Self::UefiX64 => "uefi-x64",
            Self::UefiArm32 => "uefi-arm32",
            Self::UefiArm64 => "uefi-arm64",
            Self::UefiRiscv64 => "uefi-riscv64",
            Self::UefiRiscv32 => "uefi-riscv32",
            Self::UefiLoong64 => "uefi-loong64",
            Self::UefiIa64 => "uefi-ia64",
            Self::UbootArm32 => "uboot-arm32",
            Self::UbootArm64 => "uboot-arm64",
            Self::PpcOpenFirmware => "ppc-open-firmware",
            Self::RaspberryPi => "raspberry-pi",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// A word that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}; found {found:?}", words())]
pub struct NotAPlatform {
    found: String,
}

fn words() -> String {
    Platform::ALL.map(Platform::word).join(", ")
}

impl FromStr for Platform {
    type Err = NotAPlatform;

    fn from_str(text: &str) -> Result<Self, NotAPlatform> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.word() == text)
            .ok_or_else(|| NotAPlatform { found: text.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_what_serde_writes() {
        for platform in Platform::ALL {
            let json = serde_json::to_string(&platform).expect("a plain enum");
            assert_eq!(json, format!("\"{platform}\""));
            assert_eq!(platform.word().parse(), Ok(platform));
        }
    }
}

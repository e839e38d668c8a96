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
}

twin!(Platform, Platform, Bios, UefiIa32, UefiX64, UefiArm32, UefiArm64, UefiRiscv64);

impl Platform {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Bios, Self::UefiIa32, Self::UefiX64, Self::UefiArm32, Self::UefiArm64, Self::UefiRiscv64];

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
#[error("expected one of bios, uefi-ia32, uefi-x64, uefi-arm32, uefi-arm64, uefi-riscv64; found {0:?}")]
pub struct NotAPlatform(String);

impl FromStr for Platform {
    type Err = NotAPlatform;

    fn from_str(text: &str) -> Result<Self, NotAPlatform> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.word() == text)
            .ok_or_else(|| NotAPlatform(text.into()))
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

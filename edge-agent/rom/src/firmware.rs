//! The firmware of a machine: what it starts with, in words and in the numbers of option 93.

use std::fmt;
use std::str::FromStr;

use proto::REGISTRY;
use proto::{Platform, event::Client};

/// What a machine starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Firmware {
    /// A PXE ROM that is not iPXE, or UEFI's PXE as OVMF does it.
    Pxe(Platform),
    /// HTTP Boot, as OVMF does it.
    Http(Platform),
    /// iPXE in the card's ROM.
    Ipxe(Platform),
    /// UEFI by PXE before 2017: of a proxy it takes only the form that sends it to port 4011 (QUIRKS 20).
    UefiPxeOld,
    /// UEFI by PXE, as OVMF does it; the loader is Windows' boot manager.
    UefiWindows,
    /// What stands in a Raspberry Pi's chip (QUIRKS 31).
    RaspberryPi,
}

const HTTP: &str = "-http";
const IPXE: &str = "-ipxe";
/// What everybody calls HTTP Boot of the usual machine.
const UEFI_HTTP: &str = "uefi-http";

impl Firmware {
    /// A BIOS with a PXE ROM.
    pub const BIOS: Self = Self::Pxe(Platform::Bios);
    /// The usual UEFI machine.
    pub const UEFI: Self = Self::Pxe(Platform::UefiX64);

    /// All that have a word, in the order in which they are listed.
    pub fn all() -> impl Iterator<Item = Self> {
        let pxe = Platform::ALL.into_iter().filter(|platform| *platform != Platform::RaspberryPi);
        let pxe = pxe.map(Self::Pxe);
        let http = Platform::ALL.map(Self::Http).into_iter().filter(|firmware| firmware.code().is_some());
        let ipxe = Platform::ALL.map(Self::Ipxe).into_iter().filter(|firmware| firmware.has_ipxe());
        pxe.chain(http).chain(ipxe).chain([Self::RaspberryPi])
    }

    /// Whose loaders it starts.
    #[must_use]
    pub fn platform(self) -> Platform {
        match self {
            Self::Pxe(platform) | Self::Http(platform) | Self::Ipxe(platform) => platform,
            Self::UefiPxeOld | Self::UefiWindows => Platform::UefiX64,
            Self::RaspberryPi => Platform::RaspberryPi,
        }
    }

    /// Which program speaks first.
    #[must_use]
    pub fn first_program(self) -> Client {
        match self {
            Self::Pxe(_) | Self::UefiPxeOld | Self::UefiWindows | Self::RaspberryPi => Client::PxeRom,
            Self::Http(_) => Client::HttpRom,
            Self::Ipxe(_) => Client::Ipxe,
        }
    }

    /// What it says of itself in option 93; None: no such firmware is registered.
    #[must_use]
    pub fn code(self) -> Option<u16> {
        match self {
            // QUIRKS 31: it says that it is a BIOS.
            Self::RaspberryPi => Some(0),
            Self::Http(platform) => code(platform, true),
            Self::Pxe(platform) | Self::Ipxe(platform) => code(platform, false),
            Self::UefiPxeOld | Self::UefiWindows => code(Platform::UefiX64, false),
        }
    }

    /// Are its programs EFI's?
    #[must_use]
    pub fn is_efi(self) -> bool {
        self.platform().word().starts_with("uefi-")
    }

    fn has_ipxe(self) -> bool {
        self.platform() == Platform::Bios || self.is_efi()
    }
}

/// What programs for the platform say in option 93; the first number that the registry has for it.
pub(crate) fn code(platform: Platform, http: bool) -> Option<u16> {
    let row = REGISTRY.iter().find(|row| row.platform == Some(platform) && row.http == http)?;
    Some(row.code)
}

impl fmt::Display for Firmware {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(Platform::UefiX64) => out.write_str(UEFI_HTTP),
            Self::Http(platform) => write!(out, "{platform}{HTTP}"),
            Self::Ipxe(platform) => write!(out, "{platform}{IPXE}"),
            Self::Pxe(platform) => platform.fmt(out),
            Self::UefiPxeOld => out.write_str("uefi-x64-before-2017"),
            Self::UefiWindows => out.write_str("uefi-x64-windows"),
            Self::RaspberryPi => Platform::RaspberryPi.fmt(out),
        }
    }
}

/// A word that names no firmware.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}; found {found:?}", words())]
pub struct NotAFirmware {
    found: String,
}

fn words() -> String {
    Firmware::all().map(|firmware| firmware.to_string()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Firmware {
    type Err = NotAFirmware;

    fn from_str(text: &str) -> Result<Self, NotAFirmware> {
        let known = || Self::all().chain([Self::UefiPxeOld, Self::UefiWindows]);
        known()
            .find(|firmware| firmware.to_string() == text)
            .ok_or_else(|| NotAFirmware { found: text.chars().take(32).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_names_one_firmware() {
        for firmware in Firmware::all() {
            assert_eq!(firmware.to_string().parse(), Ok(firmware));
        }
        let words: Vec<_> = Firmware::all().map(|firmware| firmware.to_string()).collect();
        for word in
            ["bios", "bios-ipxe", "uefi-x64", "uefi-ia32", "uefi-arm64", "uefi-http", "uefi-arm64-http"]
        {
            assert!(words.iter().any(|found| found == word), "{word}: {words:?}");
        }
        assert!("efi".parse::<Firmware>().expect_err("none").to_string().contains("uefi-http"));
    }

    #[test]
    fn numbers_are_the_registrys() {
        assert_eq!(Firmware::BIOS.code(), Some(0));
        assert_eq!(Firmware::UEFI.code(), Some(7));
        assert_eq!(Firmware::Http(Platform::UefiX64).code(), Some(0x10));
        assert_eq!(Firmware::Pxe(Platform::UefiIa32).code(), Some(6));
        assert_eq!(Firmware::Http(Platform::UefiIa64).code(), None, "nobody has built one");
    }
}

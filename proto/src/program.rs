//! Network bootstrap programs, as far as it matters what each of them asks for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::wire::twin;

/// A program that firmware fetches and that fetches the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// iPXE: asks by DHCP for a script, fetches by HTTP.
    #[default]
    Ipxe,
    /// PXELINUX, which fetches by TFTP.
    Pxelinux,
    /// PXELINUX with HTTP.
    Lpxelinux,
    /// GRUB, with or without shim before it.
    Grub,
}

twin!(Program, Program, Ipxe, Pxelinux, Lpxelinux, Grub);

impl Program {
    /// What iPXE under UEFI runs first if it finds it beside itself: all that can be said to a signed build, into which
    /// nothing can be built (QUIRKS 52).
    pub const AUTOEXEC: &str = "autoexec.ipxe";

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ipxe, Self::Pxelinux, Self::Lpxelinux, Self::Grub];

    /// The word in documents and tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ipxe => "ipxe",
            Self::Pxelinux => "pxelinux",
            Self::Lpxelinux => "lpxelinux",
            Self::Grub => "grub",
        }
    }

    /// The planned file that tells it what to boot. Two programs never share one: they name kernels differently.
    #[must_use]
    pub const fn script(self) -> &'static str {
        match self {
            Self::Ipxe => "boot.ipxe",
            Self::Pxelinux => "pxelinux.cfg",
            Self::Lpxelinux => "lpxelinux.cfg",
            Self::Grub => "grub.cfg",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// A word that names no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of ipxe, pxelinux, lpxelinux, grub; found {0:?}")]
pub struct NotAProgram(String);

impl FromStr for Program {
    type Err = NotAProgram;

    fn from_str(text: &str) -> Result<Self, NotAProgram> {
        Self::ALL.into_iter().find(|program| program.word() == text).ok_or_else(|| NotAProgram(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_what_serde_writes() {
        for program in Program::ALL {
            let json = serde_json::to_string(&program).expect("a plain enum");
            assert_eq!(json, format!("\"{program}\""));
            assert_eq!(program.word().parse(), Ok(program));
        }
        assert!("lilo".parse::<Program>().expect_err("none of ours").to_string().contains("lilo"));
    }
}

//! `dhcp-boot`, `pxe-service`, `dhcp-match` and `dhcp-vendorclass`: network bootstrap programs and for whom they are.

use std::collections::BTreeMap;

use proto::{Architecture, Platform};

use super::value::tags;

/// Which firmware a tag stands for.
#[derive(Debug, Default)]
pub(super) struct Firmware(BTreeMap<String, Platform>);

impl Firmware {
    /// `dhcp-match=set:efi64,option:client-arch,7` and `dhcp-vendorclass=set:efi64,PXEClient:Arch:00007`.
    pub(super) fn learn(&mut self, fields: &[String]) -> Option<Platform> {
        let (tag, rest) = fields.split_first()?;
        let tag = ["set:", "net:"].iter().find_map(|start| tag.strip_prefix(start)).unwrap_or(tag);
        let code = match rest {
            [option, code] if option == "option:client-arch" || option == "93" => code.parse().ok()?,
            [class] => class.strip_prefix("PXEClient:Arch:")?.get(..5)?.parse().ok()?,
            _ => return None,
        };
        let platform = Architecture::of(code)?.platform?;
        self.0.insert(tag.to_owned(), platform);
        Some(platform)
    }

    fn of(&self, tags: &[String]) -> Option<Platform> {
        tags.iter().find_map(|tag| self.0.get(tag)).copied()
    }
}

/// A program that firmware is to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) file: String,
    pub(super) platform: Option<Platform>,
    /// Another machine gives it.
    pub(super) server: Option<String>,
}

/// The program of a `dhcp-boot`; None: it names none.
pub(super) fn dhcp_boot(fields: &[String], firmware: &Firmware) -> Option<Program> {
    let (asked, rest) = tags(fields);
    let (file, rest) = rest.split_first()?;
    let server = rest.last().or(rest.first()).filter(|server| !server.is_empty()).cloned();
    Some(Program { file: file.clone(), platform: firmware.of(&asked), server })
}

/// Client systems of PXE 2.1 as `pxe-service` names them.
const SYSTEMS: [(&str, u16); 11] = [
    ("x86PC", 0),
    ("PC98", 1),
    ("IA64_EFI", 2),
    ("Alpha", 3),
    ("Arc_x86", 4),
    ("Intel_Lean_Client", 5),
    ("IA32_EFI", 6),
    ("X86-64_EFI", 7),
    ("Xscale_EFI", 8),
    ("BC_EFI", 9),
    ("ARM64_EFI", 11),
];

/// The program of a `pxe-service`; None: it starts from the disk, or from a server that the machine is to find.
///
/// # Errors
/// What was expected.
pub(super) fn pxe_service(fields: &[String]) -> Result<Option<Program>, String> {
    let (_, rest) = tags(fields);
    let system = rest.first().ok_or("expected a client system such as x86PC, found nothing")?;
    let code = SYSTEMS.iter().find(|(name, _)| name.eq_ignore_ascii_case(system)).map(|(_, code)| *code);
    let code = code.or_else(|| system.parse().ok());
    let code = code.ok_or_else(|| format!("expected a client system such as x86PC, found {system:?}"))?;
    let platform = Architecture::of(code).and_then(|architecture| architecture.platform);
    let base = rest.get(2).filter(|base| !base.is_empty() && base.parse::<u16>().is_err());
    Ok(base.map(|file| Program { file: file.clone(), platform, server: rest.get(3).cloned() }))
}

/// The command that imports a program such as this one; None: it is a script, or a URL of one.
pub(super) fn import(file: &str) -> Option<(&'static str, &'static str)> {
    let name = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if is(&["lpxelinux"]) {
        Some(("debian:lpxelinux", "lpxelinux"))
    } else if is(&["pxelinux"]) {
        Some(("debian:pxelinux", "pxelinux"))
    } else if is(&["shim", "grub"]) {
        Some(("debian:shim-signed", "shim"))
    } else if !is(&[".ipxe", ".php", ".cgi"]) && is(&["pxe", "snp", "undionly"]) {
        Some(("debian:ipxe", "ipxe"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn tags_stand_for_firmware() {
        let mut firmware = Firmware::default();
        assert_eq!(firmware.learn(&fields("set:efi64,option:client-arch,7")), Some(Platform::UefiX64));
        let class = fields("set:bios,PXEClient:Arch:00000");
        assert_eq!(firmware.learn(&class), Some(Platform::Bios));
        assert_eq!(firmware.learn(&fields("set:ipxe,175")), None);
        let program = dhcp_boot(&fields("tag:!ipxe,tag:efi64,snponly.efi,boothost,10.0.0.2"), &firmware);
        let program = program.expect("a program");
        assert_eq!(
            (program.platform, program.server.as_deref()),
            (Some(Platform::UefiX64), Some("10.0.0.2"))
        );
    }

    #[test]
    fn services() {
        let program =
            pxe_service(&fields("x86PC,Install Linux,pxelinux")).expect("legal").expect("a program");
        assert_eq!((program.file.as_str(), program.platform), ("pxelinux", Some(Platform::Bios)));
        assert_eq!(pxe_service(&fields("x86PC,Boot from disk,0")), Ok(None));
        assert!(pxe_service(&fields("x87PC,x,y")).is_err() && pxe_service(&[]).is_err());
    }

    #[test]
    fn programs_by_name() {
        for (file, source) in [
            ("pxelinux.0", Some("debian:pxelinux")),
            ("/tftp/lpxelinux.0", Some("debian:lpxelinux")),
            ("undionly.kpxe", Some("debian:ipxe")),
            ("efi/ipxe.efi", Some("debian:ipxe")),
            ("bootx64/shimx64.efi", Some("debian:shim-signed")),
            ("http://10.0.0.1/boot.ipxe", None),
            ("gpxelinux.0", Some("debian:pxelinux")),
            ("startrom.n12", None),
        ] {
            assert_eq!(import(file).map(|(source, _)| source), source, "{file}");
        }
    }
}

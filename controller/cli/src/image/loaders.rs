//! Which of a folder's files are network bootstrap programs, and what each of them may ask for. Pure.

use std::collections::BTreeMap;

use proto::{Platform, Program};

use super::Found;
use super::recognise::{Files, RecogniseError, Taken, Wanted, folder_of, name_of};

/// What firmware fetches first, by program and platform, the best first. Of iPXE that is what uses the firmware's own
/// network driver, which works with every card that the firmware can boot from; of GRUB it is shim, if it is there.
const ENTRIES: [(Program, Platform, &[&str]); 17] = [
    (Program::Ipxe, Platform::Bios, &["undionly.kpxe", "undionly.kkpxe", "ipxe.kpxe", "ipxe.pxe"]),
    (
        Program::Ipxe,
        Platform::UefiX64,
        &[
            "snponly-shim.efi",
            "ipxe-shim.efi",
            "snponly.efi",
            "snponly-x86_64.efi",
            "snponly-x64.efi",
            "ipxe.efi",
            "ipxe-x86_64.efi",
            "ipxe-x64.efi",
        ],
    ),
    (
        Program::Ipxe,
        Platform::UefiIa32,
        &["snponly-i386.efi", "snponly-ia32.efi", "ipxe-i386.efi", "ipxe-ia32.efi", "ipxe32.efi"],
    ),
    (
        Program::Ipxe,
        Platform::UefiArm64,
        &["snponly-arm64.efi", "snponly-aa64.efi", "ipxe-arm64.efi", "ipxe-aa64.efi"],
    ),
    (
        Program::Ipxe,
        Platform::UefiArm32,
        &["snponly-arm32.efi", "snponly-arm.efi", "ipxe-arm32.efi", "ipxe-arm.efi"],
    ),
    (Program::Ipxe, Platform::UefiRiscv64, &["snponly-riscv64.efi", "ipxe-riscv64.efi"]),
    (Program::Ipxe, Platform::UefiRiscv32, &["snponly-riscv32.efi", "ipxe-riscv32.efi"]),
    (Program::Ipxe, Platform::UefiLoong64, &["snponly-loong64.efi", "ipxe-loong64.efi"]),
    (Program::Grub, Platform::UefiX64, &["shimx64.efi", "bootnetx64.efi", "grubnetx64.efi", "grubx64.efi"]),
    (Program::Grub, Platform::UefiIa32, &["shimia32.efi", "grubnetia32.efi", "grubia32.efi"]),
    (
        Program::Grub,
        Platform::UefiArm64,
        &["shimaa64.efi", "bootnetaa64.efi", "grubnetaa64.efi", "grubaa64.efi"],
    ),
    (Program::Grub, Platform::UefiRiscv64, &["grubnetriscv64.efi", "grubriscv64.efi"]),
    (Program::Grub, Platform::UefiLoong64, &["grubnetloongarch64.efi", "grubloongarch64.efi"]),
    (Program::Grub, Platform::UefiIa64, &["grubnetia64.efi", "grubia64.efi", "bootia64.efi"]),
    (Program::Grub, Platform::PpcOpenFirmware, &["core.elf"]),
    (Program::Lpxelinux, Platform::Bios, &["lpxelinux.0"]),
    (Program::Pxelinux, Platform::Bios, &["pxelinux.0"]),
];

/// Folders of iPXE's own build, and of its release (`ipxeboot`, signed in those with `-sb`), in which the names of programs for
/// UEFI do not tell the architecture.
const BUILD_FOLDERS: [(&str, Platform); 14] = [
    ("bin-x86_64-efi", Platform::UefiX64),
    ("bin-i386-efi", Platform::UefiIa32),
    ("bin-arm64-efi", Platform::UefiArm64),
    ("bin-arm32-efi", Platform::UefiArm32),
    ("bin-riscv64-efi", Platform::UefiRiscv64),
    ("bin-riscv32-efi", Platform::UefiRiscv32),
    ("bin-loong64-efi", Platform::UefiLoong64),
    ("x86_64-sb", Platform::UefiX64),
    ("arm64-sb", Platform::UefiArm64),
    ("x86_64", Platform::UefiX64),
    ("i386", Platform::UefiIa32),
    ("arm64", Platform::UefiArm64),
    ("arm32", Platform::UefiArm32),
    ("riscv64", Platform::UefiRiscv64),
];
/// What is in them, the best first.
const BUILT: &[&str] = &["snponly-shim.efi", "ipxe-shim.efi", "snponly.efi", "ipxe.efi"];
/// The end of the names of iPXE's shims. Each loads what has its name without that (QUIRKS 52).
const SHIM: &str = "-shim.efi";

/// Ends of names of what programs fetch by themselves: second stages, modules, lists of modules, fonts, pictures; and of what
/// Windows' boot manager does (QUIRKS 58).
const BESIDE: [&str; 20] = [
    ".efi", ".0", ".c32", ".mod", ".lst", ".pf2", ".cfg", ".kpxe", ".kkpxe", ".pxe", ".ipxe", ".bin", ".png",
    ".jpg", "memdisk", "wimboot", "bcd", ".sdi", ".wim", ".ttf",
];

/// What a Raspberry Pi's own boot loader begins with, whatever program its firmware fetches later: that of the Pi 4, of those
/// before it. The Pi 5 has it in its EEPROM and begins with its configuration (QUIRKS 31).
const RASPBERRY_PI: [&str; 3] = ["start4.elf", "bootcode.bin", "config.txt"];

/// Ends of names of what the Raspberry Pi's firmware asks for.
const BESIDE_RASPBERRY_PI: [&str; 8] = [".elf", ".dat", ".txt", ".dtb", ".dtbo", ".fd", ".img", ".sig"];

/// The loaders of one program; the folder's first in the order of [`Program::ALL`] unless the caller names one.
pub(super) fn loaders(files: &Files<'_>, wanted: &Wanted) -> Result<Taken, RecogniseError> {
    let found = |program: &Program| (*program, entries(files, *program));
    let (program, mut loaders) = match &wanted.program {
        Some(program) => found(program),
        None => {
            let programs = [Program::Ipxe, Program::Grub, Program::Lpxelinux, Program::Pxelinux];
            let mut recognised = programs.iter().map(found).filter(|(_, entries)| !entries.is_empty());
            recognised.next().unwrap_or_default()
        }
    };
    loaders.extend(raspberry_pi(files).map(|path| (Platform::RaspberryPi, path)));
    for (platform, path) in &wanted.loaders {
        loaders.insert(*platform, files.named(path)?);
    }
    if loaders.is_empty() {
        let remedy = "expected names such as undionly.kpxe, snponly.efi, shimx64.efi or pxelinux.0; \
                      --loader names others, --program says which program they are";
        return Err(RecogniseError::Nothing { what: "network bootstrap program", remedy });
    }
    let fits = |found: &&Found| {
        let name = name_of(&found.path).to_ascii_lowercase();
        let ends: &[&str] =
            if loaders.contains_key(&Platform::RaspberryPi) { &BESIDE_RASPBERRY_PI } else { &[] };
        BESIDE.iter().chain(ends).any(|end| name.ends_with(end))
            && !loaders.values().any(|path| *path == found.path)
    };
    let beside = files.0.iter().filter(fits).map(|found| found.path.clone()).collect();
    Ok(Taken { loaders, program: Some(program), beside, ..Taken::default() })
}

fn entries(files: &Files<'_>, wanted: Program) -> BTreeMap<Platform, String> {
    let mut loaders = BTreeMap::new();
    for (_, platform, names) in ENTRIES.iter().filter(|(program, ..)| *program == wanted) {
        let place = |path: &str| match built_for(path).filter(|_| wanted == Program::Ipxe) {
            Some(built) => rank(path, BUILT).filter(|_| built == *platform),
            None => rank(path, names),
        };
        let whole = files.0.iter().filter(|found| has_second_stage(files, &found.path));
        let ranked = whole.filter_map(|found| Some((place(&found.path)?, found)));
        let best = ranked.min_by_key(|(rank, found)| (*rank, found.path.len(), found.path.clone()));
        loaders.extend(best.map(|(_, best)| (*platform, best.path.clone())));
    }
    loaders
}

/// A configuration alone is anybody's: there is firmware where there is a device tree or a first stage.
fn raspberry_pi(files: &Files<'_>) -> Option<String> {
    let named = |name: &str| files.0.iter().find(|found| found.path == name);
    let has_tree = files.0.iter().any(|found| name_of(&found.path).starts_with("bcm27"));
    let firmware = |name: &&str| *name != "config.txt" || has_tree;
    let first = RASPBERRY_PI.into_iter().filter(firmware).find_map(named)?;
    Some(first.path.clone())
}

fn rank(path: &str, names: &[&str]) -> Option<usize> {
    let name = name_of(path).to_ascii_lowercase();
    names.iter().position(|known| *known == name)
}

/// What a program for UEFI is for whose folder tells it, and its name does not.
fn built_for(path: &str) -> Option<Platform> {
    let folder = name_of(folder_of(path));
    let (_, platform) = BUILD_FOLDERS.iter().find(|(known, _)| *known == folder)?;
    rank(path, BUILT).map(|_| *platform)
}

/// Is this no shim of iPXE's, or is beside it what it loads?
fn has_second_stage(files: &Files<'_>, path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let Some(stem) = lower.strip_suffix(SHIM) else { return true };
    files.0.iter().any(|found| found.path.to_ascii_lowercase() == format!("{stem}.efi"))
}

#[cfg(test)]
mod tests {
    use proto::catalog::Family;

    use super::super::recognise;
    use super::*;

    fn take(paths: &[&str]) -> Result<Taken, RecogniseError> {
        let files: Vec<_> = paths.iter().map(|path| Found { path: (*path).to_owned(), size: 1 }).collect();
        recognise(Family::Loaders, &files, &Wanted::default())
    }

    #[test]
    fn loaders_by_their_names_and_by_their_build_folders() {
        let taken = take(&["ipxe.efi", "snponly.efi", "undionly.kpxe", "snponly-arm64.efi"]).expect("some");
        let expected = [
            (Platform::Bios, "undionly.kpxe"),
            (Platform::UefiX64, "snponly.efi"),
            (Platform::UefiArm64, "snponly-arm64.efi"),
        ];
        assert_eq!(
            taken.loaders,
            BTreeMap::from(expected.map(|(platform, path)| (platform, path.to_owned())))
        );
        let taken = take(&["bin-arm64-efi/ipxe.efi", "bin-arm64-efi/snponly.efi", "bin/undionly.kpxe"]);
        let taken = taken.expect("some");
        assert_eq!(taken.loaders[&Platform::UefiArm64], "bin-arm64-efi/snponly.efi");
        assert!(!taken.loaders.contains_key(&Platform::UefiX64));
    }

    #[test]
    fn rarer_platforms_have_their_loaders_too() {
        let taken =
            take(&["grubia64.efi", "grubloongarch64.efi", "powerpc-ieee1275/core.elf"]).expect("GRUB");
        let expected = [
            (Platform::UefiLoong64, "grubloongarch64.efi"),
            (Platform::UefiIa64, "grubia64.efi"),
            (Platform::PpcOpenFirmware, "powerpc-ieee1275/core.elf"),
        ];
        let expected = expected.map(|(platform, path)| (platform, path.to_owned()));
        assert_eq!((taken.program, taken.loaders), (Some(Program::Grub), expected.into()));
        let taken = take(&["bin-loong64-efi/snponly.efi", "bin-riscv32-efi/ipxe.efi"]).expect("iPXE");
        assert_eq!(taken.loaders.len(), 2);
    }

    #[test]
    fn quirk_31_a_raspberry_pis_firmware_stands_beside_any_program() {
        let paths = ["RPI_EFI.fd", "bcm2711-rpi-4-b.dtb", "config.txt", "grubaa64.efi", "start4.elf"];
        let taken = take(&paths).expect("GRUB");
        assert_eq!(taken.program, Some(Program::Grub));
        assert_eq!(taken.loaders[&Platform::RaspberryPi], "start4.elf");
        assert_eq!(taken.beside, ["RPI_EFI.fd", "bcm2711-rpi-4-b.dtb", "config.txt"]);
        let pi_5 = take(&["bcm2712-rpi-5-b.dtb", "config.txt", "kernel_2712.img"]).expect("firmware");
        assert_eq!(pi_5.loaders[&Platform::RaspberryPi], "config.txt");
        take(&["config.txt", "readme"]).expect_err("no firmware");
    }

    #[test]
    fn quirk_52_a_signed_shim_comes_first_with_what_it_loads_beside_it() {
        let entry = |paths: &[&str]| take(paths).expect("some").loaders[&Platform::UefiX64].clone();
        assert_eq!(entry(&["ipxe.efi", "snponly-shim.efi", "snponly.efi"]), "snponly-shim.efi");
        assert_eq!(entry(&["ipxe.efi", "snponly-shim.efi"]), "ipxe.efi", "the shim would find nothing");
        assert_eq!(entry(&["a/snponly.efi", "b/ipxe-shim.efi", "b/ipxe.efi"]), "b/ipxe-shim.efi");
        let taken = take(&[
            "ipxeboot/arm64-sb/snponly-shim.efi",
            "ipxeboot/arm64-sb/snponly.efi",
            "ipxeboot/i386/ipxe.efi",
            "ipxeboot/i386/undionly.kpxe",
            "ipxeboot/x86_64-sb/ipxe-shim.efi",
            "ipxeboot/x86_64-sb/ipxe.efi",
            "ipxeboot/x86_64/snponly.efi",
        ]);
        let taken = taken.expect("a release of iPXE");
        let expected = [
            (Platform::Bios, "i386/undionly.kpxe"),
            (Platform::UefiIa32, "i386/ipxe.efi"),
            (Platform::UefiX64, "x86_64-sb/ipxe-shim.efi"),
            (Platform::UefiArm64, "arm64-sb/snponly-shim.efi"),
        ];
        let expected = expected.map(|(platform, path)| (platform, format!("ipxeboot/{path}")));
        assert_eq!(taken.loaders, BTreeMap::from(expected));
    }

    #[test]
    fn shim_comes_before_grub_and_brings_what_grub_asks_for() {
        let paths =
            ["grubx64.efi", "linux", "mmx64.efi", "shimx64.efi", "x86_64-efi/fs.lst", "x86_64-efi/http.mod"];
        let taken = take(&paths).expect("GRUB");
        assert_eq!(taken.program, Some(Program::Grub));
        assert_eq!(taken.loaders, BTreeMap::from([(Platform::UefiX64, "shimx64.efi".to_owned())]));
        assert_eq!(taken.beside, ["grubx64.efi", "mmx64.efi", "x86_64-efi/fs.lst", "x86_64-efi/http.mod"]);
        assert!(taken.has("shimx64.efi") && taken.has("mmx64.efi") && !taken.has("linux"));
    }

    #[test]
    fn pxelinux_with_http_comes_before_the_one_without() {
        let taken = take(&["ldlinux.c32", "lpxelinux.0", "memdisk", "pxelinux.0"]).expect("both");
        assert_eq!(
            (taken.program, taken.loaders[&Platform::Bios].as_str()),
            (Some(Program::Lpxelinux), "lpxelinux.0")
        );
        assert_eq!(taken.beside, ["ldlinux.c32", "memdisk", "pxelinux.0"]);
        let files = [Found { path: "pxelinux.0".to_owned(), size: 1 }];
        let wanted = Wanted { program: Some(Program::Grub), ..Wanted::default() };
        recognise(Family::Loaders, &files, &wanted).expect_err("no GRUB");
    }
}

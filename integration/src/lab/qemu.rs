//! What a machine is made of, and QEMU's arguments for it. Pure: nothing is started here.
//!
//! The settings are those under which real firmware boots without KVM: no default devices, the serial
//! port on standard input and output, a fixed UUID and MAC address, the network first and the disk second.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// OVMF's read-only code, from the package `ovmf`.
pub const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// OVMF's empty variable store, copied for each machine.
pub const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// OVMF with Secure Boot, whose variable store needs System Management Mode.
pub const OVMF_SECURE_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd";
/// Its variable store, with Microsoft's keys.
pub const OVMF_SECURE_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd";
/// UEFI for ARM64, from the package `qemu-efi-aarch64`.
pub const AAVMF_CODE: &str = "/usr/share/AAVMF/AAVMF_CODE.fd";
/// Its empty variable store.
pub const AAVMF_VARIABLES: &str = "/usr/share/AAVMF/AAVMF_VARS.fd";

/// The firmware, and which of its network boot ways is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS with the network card's boot ROM, which is iPXE.
    BiosIpxe,
    /// OVMF's own PXE client over IPv4 (the card has no ROM).
    UefiPxe,
    /// OVMF's HTTP Boot client, with PXE switched off.
    UefiHttp,
    /// OVMF with the network card's ROM: iPXE's EFI driver, which boots by itself.
    UefiIpxe,
    /// OVMF's own PXE client over IPv4, and Secure Boot with Microsoft's keys.
    UefiSecure,
    /// An ARM64 machine with UEFI and its own PXE client over IPv4.
    Arm64,
}

impl Firmware {
    /// The emulator.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Arm64 => "qemu-system-aarch64",
            Self::BiosIpxe | Self::UefiPxe | Self::UefiHttp | Self::UefiIpxe | Self::UefiSecure => {
                "qemu-system-x86_64"
            }
        }
    }

    /// The code and the variable store of UEFI firmware.
    pub(crate) fn flash(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::BiosIpxe => None,
            Self::UefiPxe | Self::UefiHttp | Self::UefiIpxe => Some((OVMF_CODE, OVMF_VARIABLES)),
            Self::UefiSecure => Some((OVMF_SECURE_CODE, OVMF_SECURE_VARIABLES)),
            Self::Arm64 => Some((AAVMF_CODE, AAVMF_VARIABLES)),
        }
    }
}

/// The network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// virtio-net-pci.
    VirtioNet,
    /// Intel 82540EM.
    E1000,
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A SMBIOS UUID, in the order in which it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MachineUuid(pub [u8; 16]);

impl fmt::Display for MachineUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// How a disk file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    /// Byte for byte.
    Raw,
    /// QEMU's own.
    Qcow2,
}

/// A disk, attached as virtio-blk.
#[derive(Debug, Clone)]
pub struct Disk {
    /// The file.
    pub path: PathBuf,
    /// Its layout.
    pub format: DiskFormat,
}

/// What is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootOrder {
    /// The network, then the disk.
    NetworkFirst,
    /// The disk, then the network.
    DiskFirst,
}

/// A machine. [`MachineSpec::new`] gives a usual one; change the fields that matter.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// Its name: of its folder, and of its TAP unless `tap` says otherwise.
    pub name: String,
    /// Its firmware.
    pub firmware: Firmware,
    /// Its network card.
    pub card: Card,
    /// Its address.
    pub mac: Mac,
    /// Its SMBIOS UUID.
    pub uuid: MachineUuid,
    /// Its SMBIOS serial number.
    pub serial_number: String,
    /// Its disk, if it has one.
    pub disk: Option<Disk>,
    /// What it tries first.
    pub order: BootOrder,
    /// In MiB.
    pub memory_mib: u32,
    /// Whether a reboot starts its firmware again; otherwise it ends the machine.
    pub reboots: bool,
    /// The longest it may be on.
    pub bound: Duration,
    /// OVMF's debug output, which slows it down.
    pub firmware_debug: bool,
}

impl MachineSpec {
    /// A machine with a virtio card and no disk, whose identities follow from its name.
    #[must_use]
    pub fn new(name: &str, firmware: Firmware) -> Self {
        let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&digest[..16]);
        // RFC 9562 §5.8: version 8, made up by a rule of our own.
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Self {
            name: name.to_owned(),
            firmware,
            card: Card::VirtioNet,
            // 52:54:00 is the prefix that QEMU's machines use.
            mac: Mac([0x52, 0x54, 0x00, digest[16], digest[17], digest[18]]),
            uuid: MachineUuid(uuid),
            serial_number: format!("LAB-{name}"),
            disk: None,
            order: BootOrder::NetworkFirst,
            memory_mib: 1024,
            reboots: true,
            bound: Duration::from_secs(300),
            firmware_debug: false,
        }
    }

    /// With a raw disk.
    #[must_use]
    pub fn with_raw_disk(mut self, path: impl Into<PathBuf>) -> Self {
        self.disk = Some(Disk { path: path.into(), format: DiskFormat::Raw });
        self
    }
}

/// QEMU's arguments for `spec` with its card on `tap`. `folder` holds the machine's own files: the
/// variable store `vars.fd`, which must be there for UEFI, and `firmware.log`.
#[must_use]
pub fn arguments(spec: &MachineSpec, tap: &str, folder: &Path) -> Vec<String> {
    let mut arguments = Arguments::default();
    arguments.add("-accel", "tcg");
    arguments.add("-smp", "1");
    arguments.add("-m", spec.memory_mib.to_string());
    arguments.flag("-nodefaults");
    arguments.add("-display", "none");
    arguments.add("-monitor", "none");
    if !spec.reboots {
        arguments.flag("-no-reboot");
    }
    arguments.add("-chardev", "stdio,id=ser0,signal=off");
    arguments.add("-serial", "chardev:ser0");
    arguments.add("-object", "rng-random,id=rng0,filename=/dev/urandom");
    arguments.add("-device", "virtio-rng-pci,rng=rng0");
    arguments.add("-uuid", spec.uuid.to_string());
    arguments.add("-smbios", format!("type=1,serial={}", escaped(&spec.serial_number)));
    arguments.firmware(spec, folder);
    arguments.card(spec, tap);
    arguments.disk(spec);
    arguments.words
}

#[derive(Default)]
struct Arguments {
    words: Vec<String>,
}

impl Arguments {
    fn flag(&mut self, flag: &str) {
        self.words.push(flag.to_owned());
    }

    fn add(&mut self, option: &str, value: impl Into<String>) {
        self.words.push(option.to_owned());
        self.words.push(value.into());
    }

    fn firmware(&mut self, spec: &MachineSpec, folder: &Path) {
        match spec.firmware {
            // graphics=off: SeaBIOS then shows its text screen, and iPXE's, on the serial port.
            Firmware::BiosIpxe => {
                self.add("-machine", "pc,graphics=off");
                self.add("-vga", "std");
            }
            Firmware::UefiPxe | Firmware::UefiIpxe => self.uefi("q35", spec, folder),
            Firmware::UefiSecure => {
                self.uefi("q35,smm=on", spec, folder);
                self.add("-global", "driver=cfi.pflash01,property=secure,value=on");
                self.add("-global", "ICH9-LPC.disable_s3=1");
            }
            Firmware::Arm64 => {
                self.uefi("virt", spec, folder);
                self.add("-cpu", "cortex-a57");
            }
            Firmware::UefiHttp => {
                self.uefi("q35", spec, folder);
                self.add("-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n");
                self.add("-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n");
            }
        }
    }

    fn uefi(&mut self, machine: &str, spec: &MachineSpec, folder: &Path) {
        let Some((code, _)) = spec.firmware.flash() else { return };
        self.add("-machine", machine);
        self.add("-drive", format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"));
        let variables = folder.join(VARIABLES);
        self.add("-drive", format!("if=pflash,format=raw,unit=1,file={}", escaped_path(&variables)));
        if spec.firmware_debug {
            let log = folder.join("firmware.log");
            self.add("-chardev", format!("file,id=dbg,path={}", escaped_path(&log)));
            self.add("-device", "isa-debugcon,iobase=0x402,chardev=dbg");
        }
    }

    fn card(&mut self, spec: &MachineSpec, tap: &str) {
        let model = match spec.card {
            Card::VirtioNet => "virtio-net-pci",
            Card::E1000 => "e1000",
        };
        // Without a ROM of its own the card is driven by OVMF's own driver and PXE.
        let rom = match spec.firmware {
            Firmware::BiosIpxe | Firmware::UefiIpxe => "",
            Firmware::UefiPxe | Firmware::UefiHttp | Firmware::UefiSecure | Firmware::Arm64 => ",romfile=",
        };
        let index = match spec.order {
            BootOrder::NetworkFirst => 1,
            BootOrder::DiskFirst => 3,
        };
        self.add("-netdev", format!("tap,id=n0,ifname={tap},script=no,downscript=no"));
        self.add("-device", format!("{model},netdev=n0,mac={},bootindex={index}{rom}", spec.mac));
    }

    fn disk(&mut self, spec: &MachineSpec) {
        let Some(disk) = &spec.disk else { return };
        let format = match disk.format {
            DiskFormat::Raw => "raw",
            DiskFormat::Qcow2 => "qcow2",
        };
        // The lab's disks are thrown away, so the host need not sync what the guest syncs.
        self.add(
            "-drive",
            format!("if=none,id=d0,format={format},cache=unsafe,file={}", escaped_path(&disk.path)),
        );
        self.add("-device", "virtio-blk-pci,drive=d0,bootindex=2");
    }
}

/// The machine's own copy of OVMF's variable store, in its folder.
pub(crate) const VARIABLES: &str = "vars.fd";

/// QEMU separates properties with commas; a doubled one stands for itself.
fn escaped(text: &str) -> String {
    text.replace(',', ",,")
}

fn escaped_path(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(spec: &MachineSpec) -> String {
        arguments(spec, "tap0", Path::new("/run,folder")).join(" ")
    }

    #[test]
    fn identities_follow_from_the_name_and_differ() {
        let one = MachineSpec::new("one", Firmware::BiosIpxe);
        let again = MachineSpec::new("one", Firmware::UefiPxe);
        let two = MachineSpec::new("two", Firmware::BiosIpxe);
        assert_eq!((one.mac, one.uuid), (again.mac, again.uuid));
        assert_ne!(one.mac, two.mac);
        assert_ne!(one.uuid, two.uuid);
        assert!(one.mac.to_string().starts_with("52:54:00:"));
    }

    #[test]
    fn a_uuid_is_written_in_five_groups() {
        let uuid = MachineUuid(*b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
        assert_eq!(uuid.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn bios_boots_by_the_cards_rom_and_uefi_without_it() {
        let bios = line(&MachineSpec::new("m", Firmware::BiosIpxe));
        assert!(bios.contains("-machine pc,graphics=off") && !bios.contains("romfile"));
        let uefi = line(&MachineSpec::new("m", Firmware::UefiPxe));
        assert!(uefi.contains("-machine q35") && uefi.contains(",romfile=") && !uefi.contains("fw_cfg"));
        let http = line(&MachineSpec::new("m", Firmware::UefiHttp));
        assert!(http.contains("IPv4PXESupport,string=n"));
    }

    #[test]
    fn a_comma_in_a_path_is_doubled() {
        let uefi = line(&MachineSpec::new("m", Firmware::UefiPxe));
        assert!(uefi.contains("file=/run,,folder/vars.fd"));
    }

    #[test]
    fn the_disk_comes_second_unless_it_is_asked_for_first() {
        let mut spec = MachineSpec::new("m", Firmware::BiosIpxe).with_raw_disk("/disk.img");
        assert!(line(&spec).contains("bootindex=1") && line(&spec).contains("drive=d0,bootindex=2"));
        spec.order = BootOrder::DiskFirst;
        assert!(line(&spec).contains("bootindex=3"));
    }

    #[test]
    fn a_machine_that_must_not_reboot_says_so() {
        let mut spec = MachineSpec::new("m", Firmware::BiosIpxe);
        assert!(!line(&spec).contains("-no-reboot"));
        spec.reboots = false;
        assert!(line(&spec).contains("-no-reboot"));
    }
}

//! The boot cases: real firmware against a real fleet, judged by packets, by the machine's serial console and by
//! what the controller has stored.
//!
//! Each case makes its own fleet in its own namespaces, bounds its waits, and takes everything away again. None of
//! them believes the agent's log.

mod beside;
mod by_cargo;
pub mod chain;
mod clients;
pub mod comparison;
mod console;
mod exchange;
mod explain;
mod guest;
mod install;
mod loaders;
mod local;
mod menu;
mod metrics;
mod mirror;
mod monitoring;
mod network;
mod packets;
mod refusal;
mod relay;
mod setting;
mod slow_link;
mod synthetic;
mod timeline;
mod trouble;
mod twins;
mod wire;

use std::fmt;
use std::time::Duration;

use crate::binaries::Binaries;
use crate::lab::{LabFolder, Run};

/// What a case is run with.
pub struct Bench<'a> {
    /// Where built media are.
    pub lab: &'a LabFolder,
    /// The run that everything of the case belongs to.
    pub run: Run,
    /// Our programs.
    pub binaries: &'a Binaries,
    /// Told what happens, line by line.
    pub say: &'a dyn Fn(&str),
}

impl fmt::Debug for Bench<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Bench").field("run", &self.run).finish_non_exhaustive()
    }
}

/// One way of booting.
#[derive(Debug)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// The longest that it may take, with everything around it.
    pub bound: Duration,
    /// Must every change pass it, and pass five times in a row in `--all`? The others show another client of a
    /// mechanism that one of these shows, and `--all` boots them once.
    pub everyday: bool,
    run: fn(&Bench<'_>) -> anyhow::Result<()>,
}

impl Case {
    /// Runs it to its end. Nothing of it is left but the run's folder.
    ///
    /// # Errors
    /// What was expected and not seen.
    pub fn run(&self, bench: &Bench<'_>) -> anyhow::Result<()> {
        (self.run)(bench)
    }
}

/// Those that are among the tests of `cargo test`, and so no steps of their own.
pub static BY_CARGO: &[Case] = &[
    Case {
        name: "tftp-clients",
        about: "tftp-hpa, atftp, curl and busybox fetch files of every size around the borders of blocks",
        bound: Duration::from_secs(1_200),
        everyday: false,
        run: by_cargo::tftp_clients,
    },
    Case {
        name: "page",
        about: "Chromium logs in to the controller's page and sees a boot grow without loading it again",
        bound: Duration::from_secs(600),
        everyday: false,
        run: by_cargo::page,
    },
];

/// All others, in the order of `cargo lab test`.
pub static CASES: &[Case] = &[
    Case {
        name: "bios-ipxe",
        about: "SeaBIOS and the card's iPXE ROM load a script, a kernel and an initrd over HTTP",
        bound: Duration::from_secs(240),
        everyday: true,
        run: network::bios_ipxe,
    },
    Case {
        name: "bios-e1000",
        about: "the same on an e1000 instead of a virtio card",
        bound: Duration::from_secs(300),
        everyday: false,
        run: network::bios_e1000,
    },
    Case {
        name: "uefi-pxe",
        about: "OVMF loads iPXE by TFTP, and the rest over HTTP",
        bound: Duration::from_secs(300),
        everyday: true,
        run: network::uefi_pxe,
    },
    Case {
        name: "beside-bios",
        about: "another server leases the address: iPXE takes the script of our offer without one",
        bound: Duration::from_secs(240),
        everyday: true,
        run: beside::bios,
    },
    Case {
        name: "beside-uefi",
        about: "another server leases the address: OVMF takes the loader of our offer without one",
        bound: Duration::from_secs(300),
        everyday: false,
        run: beside::uefi,
    },
    Case {
        name: "relay-bios",
        about: "a router relays DHCP (ISC's dhcrelay), and iPXE fetches everything through it",
        bound: Duration::from_secs(300),
        everyday: true,
        run: relay::bios,
    },
    Case {
        name: "relay-uefi",
        about: "so does OVMF, which begins by TFTP",
        bound: Duration::from_secs(360),
        everyday: false,
        run: relay::uefi,
    },
    Case {
        name: "bios-undionly",
        about: "a ROM loads undionly.kpxe by TFTP, and that its script by HTTP",
        bound: Duration::from_secs(300),
        everyday: false,
        run: loaders::undionly,
    },
    Case {
        name: "pxelinux",
        about: "PXELINUX loads a kernel and an initrd by TFTP",
        bound: Duration::from_secs(300),
        everyday: false,
        run: loaders::pxelinux,
    },
    Case {
        name: "pxelinux-menu",
        about: "PXELINUX shows a menu, and after its time the machine starts from its own disk",
        bound: Duration::from_secs(300),
        everyday: true,
        run: menu::pxelinux,
    },
    Case {
        name: "lpxelinux-menu",
        about: "PXELINUX with HTTP loads itself by TFTP and its menu by HTTP, and gives way to the disk",
        bound: Duration::from_secs(300),
        everyday: false,
        run: menu::lpxelinux,
    },
    Case {
        name: "memdisk-iso",
        about: "memdisk starts an ISO image from memory",
        bound: Duration::from_secs(300),
        everyday: false,
        run: loaders::memdisk_iso,
    },
    Case {
        name: "arm64-uefi",
        about: "an ARM64 machine goes through GRUB, by TFTP and then HTTP, to the Debian installer's preseed",
        bound: Duration::from_secs(840),
        everyday: false,
        run: loaders::arm64_uefi,
    },
    Case {
        name: "lpxelinux",
        about: "PXELINUX with HTTP loads its configuration, a kernel and an initrd by HTTP",
        bound: Duration::from_secs(300),
        everyday: false,
        run: loaders::lpxelinux,
    },
    Case {
        name: "uefi-http",
        about: "OVMF's HTTP Boot loads iPXE, without TFTP",
        bound: Duration::from_secs(300),
        everyday: true,
        run: loaders::uefi_http,
    },
    Case {
        name: "secure-boot",
        about: "OVMF with Secure Boot goes through shim and GRUB to a signed kernel",
        bound: Duration::from_secs(420),
        everyday: true,
        run: loaders::secure_boot,
    },
    Case {
        name: "secure-boot-refused",
        about: "OVMF with Secure Boot fetches an unsigned loader, refuses it and turns to its disk",
        bound: Duration::from_secs(600),
        everyday: false,
        run: refusal::unsigned_loader,
    },
    Case {
        name: "beside-secure-boot",
        about: "another server leases the address: shim, GRUB and a signed kernel come by our offer without one",
        bound: Duration::from_secs(420),
        everyday: false,
        run: beside::secure_boot,
    },
    Case {
        name: "local-disk",
        about: "without an order a machine starts from its own disk",
        bound: Duration::from_secs(240),
        everyday: true,
        run: local::without_an_order,
    },
    Case {
        name: "local-disk-uefi",
        about: "so does one with UEFI, which tries its other ways to boot first",
        bound: Duration::from_secs(420),
        everyday: true,
        run: local::without_an_order_uefi,
    },
    Case {
        name: "unknown-machine",
        about: "a machine that is no host gets an address and starts from its own disk",
        bound: Duration::from_secs(240),
        everyday: true,
        run: local::unknown_machine,
    },
    Case {
        name: "one-uuid",
        about: "two machines with one SMBIOS UUID boot at once, and each gets what is its own",
        bound: Duration::from_secs(360),
        everyday: false,
        run: twins::one_uuid,
    },
    Case {
        name: "refused",
        about: "an order that was revoked is not obeyed: the machine starts from its own disk",
        bound: Duration::from_secs(240),
        everyday: true,
        run: local::revoked_order,
    },
    Case {
        name: "dhclient",
        about: "ISC's DHCP client takes a lease, renews it, asks all servers when its own is silent, and gives it back",
        bound: Duration::from_secs(300),
        everyday: true,
        run: clients::dhclient,
    },
    Case {
        name: "udhcpc",
        about: "so does busybox's",
        bound: Duration::from_secs(300),
        everyday: false,
        run: clients::udhcpc,
    },
    Case {
        name: "dhcpcd",
        about: "so does dhcpcd",
        bound: Duration::from_secs(300),
        everyday: false,
        run: clients::dhcpcd,
    },
    Case {
        name: "networkd",
        about: "so does systemd-networkd, without systemd around it",
        bound: Duration::from_secs(300),
        everyday: false,
        run: clients::networkd,
    },
    Case {
        name: "synthetic-rom",
        about: "a PXE ROM that is no iPXE loads iPXE by TFTP, and that the rest by HTTP",
        bound: Duration::from_secs(180),
        everyday: true,
        run: synthetic::rom,
    },
    Case {
        name: "synthetic-old-edk2",
        about: "UEFI before 2017 beside another server asks the boot service at port 4011",
        bound: Duration::from_secs(240),
        everyday: false,
        run: synthetic::old_edk2,
    },
    Case {
        name: "synthetic-windows",
        about: "Windows' boot manager asks for \\Boot\\BCD and the like by windows of blocks",
        bound: Duration::from_secs(180),
        everyday: false,
        run: synthetic::windows,
    },
    Case {
        name: "synthetic-raspberry-pi",
        about: "a Raspberry Pi's chip obeys its text in option 43 and asks below its serial number",
        bound: Duration::from_secs(180),
        everyday: false,
        run: synthetic::raspberry_pi,
    },
    Case {
        name: "explain",
        about: "twenty-one faults are planted, and `bootlane host explain` alone names each",
        bound: Duration::from_secs(720),
        everyday: true,
        run: explain::broken_hosts,
    },
    Case {
        name: "capture",
        about: "the packets of a boot that failed are fetched: DHCP, TFTP and heads of HTTP, no token and no body",
        bound: Duration::from_secs(240),
        everyday: true,
        run: packets::capture,
    },
    Case {
        name: "agents-metrics",
        about: "the controller passes on what its agent measures, and nothing of one that is gone",
        bound: Duration::from_secs(300),
        everyday: true,
        run: metrics::agents_metrics,
    },
    Case {
        name: "monitoring",
        about: "three sites boot well and badly, and Debian's Prometheus answers every question of dashboards and alerts",
        bound: Duration::from_secs(420),
        everyday: true,
        run: monitoring::monitoring,
    },
    Case {
        name: "disk-image-install",
        about: "an image is streamed to the disk, verified and reported; then the machine starts from it",
        bound: Duration::from_secs(360),
        everyday: true,
        run: install::disk_image,
    },
    Case {
        name: "debian-preseed",
        about: "the Debian installer fetches its rendered preseed and calls back, and its syslog is in the boot's timeline",
        bound: Duration::from_secs(420),
        everyday: true,
        run: install::debian_preseed,
    },
    Case {
        name: "when-ready",
        about: "an order waits until its images have come over a slow link, is armed, and the machine installs",
        bound: Duration::from_secs(480),
        everyday: true,
        run: slow_link::order_waits,
    },
    Case {
        name: "debootstrap",
        about: "debootstrap through a package mirror, again at the WAN's price of questions alone, and with the WAN cut",
        bound: Duration::from_secs(1_500),
        everyday: false,
        run: mirror::debootstrap,
    },
    Case {
        name: "controller-down",
        about: "the controller is killed before power-on: the machine installs, the timeline arrives later",
        bound: Duration::from_secs(420),
        everyday: true,
        run: trouble::controller_down,
    },
    Case {
        name: "agent-restart",
        about: "the agent is killed while a machine boots and while it installs, and nothing is lost",
        bound: Duration::from_secs(420),
        everyday: true,
        run: trouble::agent_restart,
    },
];

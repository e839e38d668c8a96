//! The clients, how each is run in the foreground, and how it is told to give its lease back. What they write goes into the
//! guest's folder; what they would change of the machine that runs the lab is kept from them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::Signal;

use super::super::guest::{CARD, Guest};
use crate::lab::{Launch, Process};

/// A DHCP client.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) start: fn(&Guest) -> anyhow::Result<Launch>,
    pub(super) release: fn(&Guest, &mut Process) -> anyhow::Result<()>,
}

/// ISC's.
pub(super) const DHCLIENT: Program = Program {
    name: "dhclient",
    start: |guest| {
        fs::write(guest.folder.join("dhclient.conf"), PATIENCE).context("failed to write dhclient's file")?;
        Ok(guest.namespace.command("dhclient", "dhclient").args(["-d", "-v"]).args(dhclient(guest)))
    },
    release: |guest, _| {
        let words: Vec<_> = dhclient(guest).iter().map(|word| word.to_string_lossy().into_owned()).collect();
        guest.namespace.shell(&format!("dhclient -r {}", words.join(" ")))?;
        Ok(())
    },
};

/// Its waits double up to a quarter of a minute, and so step over the 7 s between the rebinding and the end of so short a lease.
const PATIENCE: &str = "initial-interval 1;\nbackoff-cutoff 2;\n";

fn dhclient(guest: &Guest) -> Vec<PathBuf> {
    let file = |name: &str| guest.folder.join(name);
    let words = [
        ("-sf", lease_script()),
        ("-lf", file("leases")),
        ("-pf", file("pid")),
        ("-cf", file("dhclient.conf")),
    ];
    let options = words.into_iter().flat_map(|(option, value)| [option.into(), value]);
    ["-4".into()].into_iter().chain(options).chain([CARD.into()]).collect()
}

/// Busybox's.
pub(super) const UDHCPC: Program = Program {
    name: "udhcpc",
    start: |guest| {
        let words = ["udhcpc", "-f", "-i", CARD, "-V", "lab", "-s"];
        Ok(guest.namespace.command("udhcpc", "busybox").args(words).arg(lease_script()))
    },
    release: |_, process| {
        process.signal(Signal::USR2);
        Ok(())
    },
};

/// Of the package dhcpcd-base.
pub(super) const DHCPCD: Program = Program {
    name: "dhcpcd",
    start: |guest| {
        // It keeps its leases and its socket where there is one for the whole machine, and tells servers of its kernel.
        let words = format!(
            "mount -t tmpfs none /run; mount -t tmpfs none /var/lib/dhcpcd
             exec dhcpcd -4 -B -d -f /dev/null -c /bin/true -i dhcpcd-9.4.1 {CARD}"
        );
        Ok(guest.namespace.command("dhcpcd", "sh").args(["-ec", &words]))
    },
    release: |_, process| {
        process.signal(Signal::ALARM);
        Ok(())
    },
};

/// systemd's, without a systemd: it is told that there is no udev by a /sys that cannot be written, has a /run of its own, and
/// starts without a bus.
pub(super) const NETWORKD: Program = Program {
    name: "networkd",
    start: |guest| {
        let file = guest.folder.join("10-guest.network");
        fs::write(&file, NETWORK).context("failed to write networkd's file")?;
        let words = format!(
            "mount -o remount,ro /sys
             mount -t tmpfs none /run
             mkdir -p /run/systemd/network /run/systemd/netif
             chown systemd-network: /run/systemd/netif
             cp {} /run/systemd/network
             exec /lib/systemd/systemd-networkd",
            file.display()
        );
        let launch = guest.namespace.command("networkd", "sh").args(["-ec", &words]);
        Ok(launch.env("SYSTEMD_LOG_LEVEL", "debug"))
    },
    release: |_, process| {
        process.signal(Signal::TERM);
        Ok(())
    },
};

const NETWORK: &str = "[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\n\
                       [DHCPv4]\nHostname=guest\n";

fn lease_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lab-media/lease-script")
}

//! A machine that is a namespace: one card on the site's segment, whose packets tell how far its client has come.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use proto::Mac;

use super::Bench;
use super::exchange::{Step, contains, steps};
use super::setting::Setting;
use crate::lab::netns::BRIDGE;
use crate::lab::qemu::Firmware;
use crate::lab::{MachineSpec, Namespace};

/// The guest's card.
pub(super) const CARD: &str = "eth0";
const PLUG: &str = "guest0";
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A namespace with a card on the segment. Dropping it takes it away.
pub(super) struct Guest {
    pub(super) namespace: Namespace,
    pub(super) mac: Mac,
    /// For what its client writes.
    pub(super) folder: PathBuf,
}

impl Guest {
    /// With the MAC that a virtual machine of this name would have.
    pub(super) fn plug_in(bench: &Bench<'_>, setting: &Setting<'_>, name: &str) -> anyhow::Result<Self> {
        let mac = Mac(MachineSpec::new(name, Firmware::BiosIpxe).mac.0);
        Self::plug_in_as(bench, setting, name, mac)
    }

    pub(super) fn plug_in_as(
        bench: &Bench<'_>,
        setting: &Setting<'_>,
        name: &str,
        mac: Mac,
    ) -> anyhow::Result<Self> {
        let namespace = Namespace::create(&bench.run, "guest")?;
        let site = setting.fleet.site(0).namespace();
        namespace.connect(CARD, site, PLUG)?;
        namespace.ip(["link", "set", CARD, "address", &mac.to_string()])?;
        site.ip(["link", "set", PLUG, "master", BRIDGE])?;
        let folder = bench.run.folder().join(name);
        std::fs::create_dir_all(&folder).context("failed to make the guest's folder")?;
        Ok(Self { namespace, mac, folder })
    }

    /// Waits until these steps were seen on the wire, in this order.
    pub(super) fn reaches(
        &self,
        setting: &Setting<'_>,
        wanted: &[Step],
        words: &str,
        bound: Duration,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let exchange = setting.overheard()?.dhcp(self.mac);
            if contains(&exchange, wanted) {
                setting.say(&format!("{:>6.1} s  {words}", began.elapsed().as_secs_f32()));
                return Ok(());
            }
            if began.elapsed() > bound {
                bail!("not within {} s: {words}; seen: {:?}", bound.as_secs(), steps(&exchange));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Makes the agent deaf to what is sent to it alone, or mends it. Broadcasts are heard.
    pub(super) fn deafen_server(&self, setting: &Setting<'_>, deaf: bool) -> anyhow::Result<()> {
        let site = setting.fleet.site(0);
        let script = if deaf {
            format!(
                "nft add table inet deaf
                 nft add chain inet deaf input '{{ type filter hook input priority 0; }}'
                 nft add rule inet deaf input ip daddr {} udp dport 67 drop",
                site.address().addr()
            )
        } else {
            "nft delete table inet deaf".to_owned()
        };
        site.namespace().shell(&script)?;
        Ok(())
    }
}

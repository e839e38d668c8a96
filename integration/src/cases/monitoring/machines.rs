//! The machines of the three sites, and what they go through: most boot well.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use proto::Platform;
use rom::{End, Firmware, Identity};

use super::super::setting::mac;
use super::super::synthetic::drive::{self, Kernel};
use super::sites::{SITES, Watched};
use crate::kills::fetch::{Fetched, http};
use crate::kills::inside;
use crate::lab::Namespace;

/// A machine, and what it goes through from its first boot to its last, which is left under way.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) site: usize,
    pub(super) name: &'static str,
    pub(super) firmware: Firmware,
    pub(super) is_host: bool,
    pub(super) has_order: bool,
    pub(super) acts: &'static [Act],
}

/// One boot.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// As far as it goes. Of an order the answer file is fetched, and nothing more is heard.
    Boot,
    /// And the installer says this at its end.
    Report(&'static str),
    /// It hears nothing, and is switched off after a while.
    Deaf,
    /// It shows another UUID than is recorded.
    Disagree,
}

use Act::{Boot, Deaf, Disagree, Report};

const INSTALLED: &[Act] = &[Report("installed"), Boot, Boot];
/// Long enough to be made an offer.
const A_WHILE: Duration = Duration::from_secs(3);

const fn host(site: usize, name: &'static str, firmware: Firmware, acts: &'static [Act]) -> Scene {
    Scene { site, name, firmware, is_host: true, has_order: false, acts }
}

const fn order(site: usize, name: &'static str, firmware: Firmware, acts: &'static [Act]) -> Scene {
    Scene { has_order: true, ..host(site, name, firmware, acts) }
}

/// What happens. The machines of a site boot one after the other, the sites beside each other.
pub(super) const SCENES: &[Scene] = &[
    order(0, "web-1", Firmware::Ipxe(Platform::Bios), INSTALLED),
    order(0, "web-2", Firmware::BIOS, INSTALLED),
    order(0, "web-3", Firmware::UEFI, INSTALLED),
    host(0, "web-4", Firmware::Ipxe(Platform::Bios), &[Boot, Boot, Boot]),
    order(1, "db-1", Firmware::Http(Platform::UefiX64), INSTALLED),
    // It says that it has failed; its next boot is its disk.
    order(1, "db-2", Firmware::Ipxe(Platform::Bios), &[Report("failed"), Boot]),
    // It falls silent in the middle of its installation, which stays open.
    order(1, "db-3", Firmware::BIOS, &[Boot]),
    host(1, "db-4", Firmware::Ipxe(Platform::Bios), &[Boot, Boot]),
    // They were to boot, and nobody hears of them again.
    order(1, "db-5", Firmware::BIOS, &[Deaf]),
    order(2, "kiosk-4", Firmware::UEFI, &[Deaf]),
    order(1, "db-6", Firmware::Ipxe(Platform::Bios), &[Disagree, Boot]),
    // There is no loader for it.
    order(2, "kiosk-1", Firmware::Pxe(Platform::UefiArm64), &[Boot, Boot]),
    order(2, "kiosk-2", Firmware::BIOS, INSTALLED),
    Scene { is_host: false, ..host(2, "stranger", Firmware::Ipxe(Platform::Bios), &[Boot, Boot]) },
    host(2, "kiosk-3", Firmware::Ipxe(Platform::Bios), &[Boot, Boot]),
];

/// Lets all of it happen. Returns how many boots are over: of each machine all but the last.
pub(super) fn play(watched: &Watched) -> anyhow::Result<usize> {
    std::thread::scope(|threads| {
        let play = |site| threads.spawn(move || play_site(site, watched.guests(site)));
        let sites: Vec<_> = (0..SITES.len()).map(play).collect();
        sites.into_iter().try_for_each(|site| site.join().map_err(|_| anyhow!("a site has panicked"))?)
    })?;
    Ok(SCENES.iter().map(|scene| scene.acts.len() - 1).sum())
}

/// Everybody's first boot, everybody's second, and so on.
fn play_site(site: usize, guests: &Namespace) -> anyhow::Result<()> {
    let most = SCENES.iter().map(|scene| scene.acts.len()).max().unwrap_or_default();
    for round in 0..most {
        for scene in SCENES.iter().filter(|scene| scene.site == site) {
            if let Some(act) = scene.acts.get(round) {
                let played = play_act(*act, scene, guests);
                played.with_context(|| format!("{} at its boot {}: {act:?}", scene.name, round + 1))?;
            }
        }
    }
    Ok(())
}

fn play_act(act: Act, scene: &Scene, guests: &Namespace) -> anyhow::Result<()> {
    let spec = scene.spec();
    let identity = Identity { mac: mac(&spec), uuid: spec.uuid.0, firmware: scene.firmware };
    match act {
        Boot => drive::boot_in(guests, identity).map(drop),
        Deaf => drive::boot_deaf(guests, identity, A_WHILE),
        Disagree => drive::boot_in(guests, Identity { uuid: *b"another machine!", ..identity }).map(drop),
        Report(word) => report(guests, drive::boot_in(guests, identity)?.end, word),
    }
}

/// The last word of an installer.
fn report(guests: &Namespace, end: End, word: &str) -> anyhow::Result<()> {
    let kernel = Kernel::of(end)?;
    let (address, url) = (kernel.address, kernel.report(word)?);
    let thread = inside::spawn(guests, async move || http("POST", address, &url).await)?;
    match thread.join().map_err(|_| anyhow!("the installer has panicked"))? {
        Fetched::Whole(_) => Ok(()),
        other @ (Fetched::Refused | Fetched::Broken(_)) => bail!("its report was not taken: {other:?}"),
    }
}

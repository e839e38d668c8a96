//! The agent's side: a host of the plan for each machine, with an address and a profile of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proto::plan::{BlobRef, Boot, Content, Guard, HostPlan, Part, PlannedFile, Slot, Stage, host_entry};
use proto::{Platform, Range};

use super::super::ground::{Ground, MACHINES};
use super::super::ours::{Offer, Ours, blob_of, host_at};
use super::Member;
use super::machine::{BIOS_LOADER, INITRD, KERNEL, UEFI_LOADER};

/// The name of the script, which the planner gives it too.
const SCRIPT: &str = "boot.ipxe";

/// Lays down the plan for these machines.
pub(super) fn lay_down(ground: &Ground, program: PathBuf, members: &[Member]) -> anyhow::Result<Ours> {
    let blob = |name: &str| blob_of(&ground.files().join(name));
    let boot = boot(blob(KERNEL)?, blob(INITRD)?);
    let entries = members.iter().map(|member| host_entry(&host(member, boot.clone()))).collect();
    let network = MACHINES.network();
    let offer = Offer {
        files: [BIOS_LOADER, UEFI_LOADER].map(str::to_owned).into(),
        loaders: BTreeMap::from([
            (Platform::Bios, BIOS_LOADER.to_owned()),
            (Platform::UefiX64, UEFI_LOADER.to_owned()),
        ]),
        // For nobody: every machine has an address of its own, below these.
        pool: Range::new(upwards(network, 0x1_0000), upwards(network, 0x1_ffff)),
        clients: vec![],
        entries,
        blobs: [KERNEL, INITRD].map(str::to_owned).into(),
        ..Offer::default()
    };
    Ours::lay_down(ground, program, offer)
}

fn upwards(network: std::net::Ipv4Addr, by: u32) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::from_bits(network.to_bits() + by)
}

fn host(member: &Member, boot: Boot) -> HostPlan {
    HostPlan { macs: vec![member.identity.mac], boot: Some(boot), ..host_at(member.address) }
}

/// The same words as the peers' script.
fn boot(kernel: BlobRef, initrd: BlobRef) -> Boot {
    let text = |text: String| Part::Literal(text.into());
    let script = vec![
        text(format!("#!ipxe\nkernel {KERNEL} initrd={INITRD} console=ttyS0 base=")),
        Part::Slot(Slot::BaseUrl),
        text(format!("\ninitrd --name {INITRD} {INITRD}\nboot\n")),
    ];
    let file = |stage, content| PlannedFile { stage, guard: Guard::Attempt, content };
    let files = [
        (SCRIPT, file(Stage::Script, Content::Parts(script))),
        (KERNEL, file(Stage::Kernel, Content::Blob(kernel))),
        (INITRD, file(Stage::Initrd, Content::Blob(initrd))),
    ];
    Boot {
        profile: "swarm".into(),
        image: "swarm-1".into(),
        entry: SCRIPT.into(),
        files: files.into_iter().map(|(name, file)| (name.to_owned(), file)).collect(),
        loaders: vec![],
        menu: false,
    }
}

//! Machines that are switched on at once, and boot through all stages: DHCP, a loader by TFTP, DHCP again as iPXE, a script, a
//! kernel and an initial RAM disk by HTTP. Beside dnsmasq for DHCP and TFTP with nginx for the rest.
//!
//! Firmware that thinks is left out: each machine asks for the next thing as soon as it has the last, and what is lost it
//! asks for again after EDK2's times. What is measured is the time from the power button of all to the last kernel.

mod machine;
mod ours;
mod peer;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use proto::Mac;

use super::{
    Against, Bound, Cell, Contenders, Goal, Ground, Load, Measure, Place, Report, Server, Setting, Unit,
    Work, ground::MACHINES, peers, rounds,
};
use rom::{End, Firmware, Identity};

/// How many machines.
const SWARM: u32 = 200;
/// With `--quick`.
const SMALL_SWARM: u32 = 20;
/// With which the servers are warmed up: others than those that are measured.
const WARM: u32 = 8;
/// The longest that a swarm may take; who has not booted then has failed.
const BOUND: Duration = Duration::from_secs(120);
/// The peers' name, which is that of two programs.
const PEERS: &str = "dnsmasq + nginx";
const MTU: u16 = 1_500;

/// What machines load, by name and bytes: about what a Debian installer weighs.
const FILES: [(&str, u64); 4] = [
    (machine::BIOS_LOADER, 80 << 10),
    (machine::UEFI_LOADER, 256 << 10),
    (machine::KERNEL, 8 << 20),
    (machine::INITRD, 32 << 20),
];

/// A machine of the swarm, which both sides know by its MAC and give this address.
#[derive(Debug, Clone, Copy)]
struct Member {
    identity: Identity,
    address: Ipv4Addr,
    /// Makes its transaction numbers.
    seed: u64,
}

impl Member {
    /// Half of them have a BIOS, half UEFI.
    fn new(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        let firmware = if number.is_multiple_of(2) { Firmware::BIOS } else { Firmware::UEFI };
        let identity = Identity { mac: Mac([0x52, 0x54, a, b, c, d]), uuid: [d; 16], firmware };
        let address = Ipv4Addr::from_bits(MACHINES.network().to_bits() + 0x100 + number);
        Self { identity, address, seed: u64::from(number) + 1 }
    }
}

/// How many machines there are.
struct Swarm {
    machines: u32,
}

impl Work for Swarm {
    /// How many of them.
    type Piece = u32;

    fn name(&self) -> &'static str {
        "swarm"
    }

    fn title(&self) -> String {
        format!("{} machines booting at once through all stages", self.machines)
    }

    fn cells(&self) -> Vec<Cell<u32>> {
        let sooner = Goal { measure: Measure::Rate, against: Against::Peer(PEERS), bound: Bound::Below(1.0) };
        let name = format!("{}-machines", self.machines);
        let goals = vec![sooner, Goal::none_failed(), Goal::memory()];
        vec![Cell { name, unit: Unit::Boots, goals, piece: self.machines }]
    }

    fn place(&self, _piece: &u32) -> Place {
        Place::Cable
    }

    fn warm_up(&self, _ground: &Ground, _server: &Server, machines: &u32) -> anyhow::Result<()> {
        let (boots, _) = boot(*machines..*machines + WARM)?;
        let failed = boots.iter().find(|boot| !boot.is_good());
        ensure!(failed.is_none(), "a machine did not boot: {:?}", failed.map(|boot| &boot.end));
        Ok(())
    }

    fn load(&self, _ground: &Ground, _server: &Server, machines: &u32) -> anyhow::Result<Load> {
        let (boots, elapsed) = boot(0..*machines)?;
        let (good, bad): (Vec<_>, Vec<_>) = boots.iter().partition(|boot| boot.is_good());
        let mut load = Load::new(good.len() as u64, elapsed);
        load.latencies.extend(good.iter().map(|boot| boot.took));
        load.failed = bad.len() as u64;
        for boot in bad {
            tracing::warn!(end = ?boot.end, "a machine did not boot");
        }
        Ok(load)
    }
}

/// How a machine fared.
#[derive(Debug)]
struct Booted {
    /// None: it was still at it when the time was up.
    end: Option<End>,
    took: Duration,
}

impl Booted {
    fn is_good(&self) -> bool {
        matches!(self.end, Some(End::Kernel { .. }))
    }
}

/// Switches these machines on at once, in the namespace of this thread, and waits for all. The time is to the last of them.
fn boot(numbers: std::ops::Range<u32>) -> anyhow::Result<(Vec<Booted>, Duration)> {
    let members: Vec<_> = numbers.map(Member::new).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began = Instant::now();
    let boots =
        runtime.block_on(machine::boot_all(&members, BOUND)).context("failed to switch machines on")?;
    Ok((boots, began.elapsed()))
}

/// Runs the bench.
///
/// # Errors
/// When it cannot be set up.
pub fn run(setting: &Setting<'_>) -> anyhow::Result<Report> {
    peers::install(setting.say)?;
    let ground = Ground::create(setting.lab, setting.cores, MTU)?;
    for (name, bytes) in FILES {
        ground.make_file(name, bytes)?;
    }
    let machines = if setting.options.quick { SMALL_SWARM } else { SWARM };
    let members: Vec<_> = (0..machines + WARM).map(Member::new).collect();
    let ours = ours::lay_down(&ground, setting.binaries.agent.clone(), &members)?;
    let peer = peer::Chain::new(members);
    let mut contenders: Contenders<u32> = vec![Box::new(ours), Box::new(peer)];
    rounds::run(&Swarm { machines }, &mut contenders, &ground, setting.options, setting.say)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_machines_are_alike() {
        let members: Vec<_> = (0..SWARM + WARM).map(Member::new).collect();
        for (place, one) in members.iter().enumerate() {
            assert!(MACHINES.contains(&one.address), "the load's namespace has no other addresses");
            for other in &members[..place] {
                assert_ne!(one.identity.mac, other.identity.mac);
                assert_ne!(one.address, other.address);
            }
        }
    }
}

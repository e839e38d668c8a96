//! What would fail: rules over a boot on paper and what is known of the site.

use proto::Platform;
use proto::event::{AlarmKind, Answer};
use proto::plan::{Boot, DhcpMode, Stage, UnknownMachines};
use rom::{End, Firmware};

use super::drive::{Booted, Simulation};
use super::scenario::{Flag, Scenario};
use super::step::{File, Given};

/// The longest command line that kernels take, in bytes: COMMAND_LINE_SIZE of x86 and ARM64 less its NUL.
const COMMAND_LINE: usize = 2_047;

/// All flags, those that were found while the scenario was read first.
pub(crate) fn judge(scenario: &Scenario, simulation: &Simulation) -> Vec<Flag> {
    let mut flags = scenario.flags.clone();
    let Some(boot) = simulation.boots.first() else { return flags };
    flags.extend(alarms(simulation));
    flags.extend(answered(scenario, boot));
    flags.extend(not_as_planned(scenario, boot));
    flags.extend(gave_up(boot));
    flags.extend(files(scenario, boot));
    flags.extend(command_line(boot));
    flags.extend(architecture(scenario, boot));
    flags.extend(memory(scenario, boot));
    flags.extend(doubts(scenario));
    flags.extend(beside_another_server(scenario));
    flags.extend(again(simulation));
    let mut told = Vec::new();
    flags.retain(|flag| {
        !told.contains(&flag.what) && {
            told.push(flag.what.clone());
            true
        }
    });
    flags
}

/// What the agent would raise, but for what other rules say in more words.
fn alarms(simulation: &Simulation) -> impl Iterator<Item = Flag> {
    let told_elsewhere = |kind| matches!(kind, AlarmKind::UnknownIgnored | AlarmKind::NoLoader);
    let alarms = simulation.alarms.iter().filter(move |(kind, _)| !told_elsewhere(*kind));
    alarms.map(|(_, detail)| Flag::fails(detail.clone(), ""))
}

/// Is it answered at all?
fn answered(scenario: &Scenario, boot: &Booted) -> Option<Flag> {
    if boot.decided.is_some() {
        return None;
    }
    let network = &scenario.plan.network;
    Some(match (network.dhcp, scenario.host()) {
        (DhcpMode::Off, _) => Flag::fails(
            "the site's agents do not answer DHCP (`dhcp: off`)",
            "set the site's `dhcp` to authoritative or proxy",
        ),
        (_, None) if network.unknown == UnknownMachines::Ignore => Flag::fails(
            format!("no host has {}, and the site ignores such machines (`unknown: ignore`)", scenario.mac),
            "add a host with this address, or set the site's `unknown` to lease",
        ),
        (DhcpMode::Authoritative | DhcpMode::Proxy, _) => {
            Flag::fails("the agent does not answer the machine", "look at the site's subnets and ranges")
        }
    })
}

/// The catalog has something for the machine to boot, and it is sent to its disk.
fn not_as_planned(scenario: &Scenario, boot: &Booted) -> Option<Flag> {
    let (Answer::LocalDisk, reason) = boot.decided.as_ref()? else { return None };
    let host = scenario.host()?;
    if let Some(order) = scenario.order() {
        let what = format!("order {} is not obeyed: {reason}", order.number);
        return Some(Flag::fails(what, ""));
    }
    let run = host.boot.as_ref()?;
    Some(Flag::fails(format!("profile {} is not booted: {reason}", run.profile), ""))
}

fn gave_up(boot: &Booted) -> Option<Flag> {
    let End::NextDevice { why } = &boot.end else { return None };
    if boot.ends_well() || boot.decided.is_none() {
        return None;
    }
    let needed = boot.files().filter(|file| !file.optional).find_map(|file| match &file.given {
        Given::Refused(why) => Some(format!(": {} is not given ({why})", file.name)),
        Given::Blob { .. } | Given::Text { .. } | Given::Elsewhere => None,
    });
    Some(Flag::fails(format!("the machine gives up: {why}{}", needed.unwrap_or_default()), ""))
}

fn files(scenario: &Scenario, boot: &Booted) -> Vec<Flag> {
    let went_on = boot.ends_well();
    boot.files().filter_map(|file| of_file(scenario, file, went_on)).collect()
}

/// `went_on`: what the machine gave up over is told apart.
fn of_file(scenario: &Scenario, file: &File, went_on: bool) -> Option<Flag> {
    match &file.given {
        Given::Refused(why) if !file.optional && went_on => {
            Some(Flag::fails(format!("{} is not given: {why}", file.name), ""))
        }
        Given::Refused(_) | Given::Text { .. } => None,
        Given::Elsewhere => {
            let what = format!("{} is fetched from elsewhere: whether it is there is not known", file.name);
            Some(Flag::notice(what, ""))
        }
        Given::Blob { digest, .. } => {
            let held = scenario.held.get(digest)?;
            let what = format!("{}: {}", file.name, held.words);
            match (held.lost, held.waits) {
                (true, _) => Some(Flag::fails(what, "import the image again")),
                (false, true) => Some(Flag::notice(what, "wait for it with `bootlane image status`")),
                (false, false) => None,
            }
        }
    }
}

fn command_line(boot: &Booted) -> Option<Flag> {
    let End::Kernel { arguments, .. } = &boot.end else { return None };
    let length = arguments.len();
    (length > COMMAND_LINE).then(|| {
        let what = format!("the kernel's command line has {length} bytes, and kernels take {COMMAND_LINE}");
        Flag::fails(what, "shorten the arguments of the profile, or its variables")
    })
}

/// Does a kernel for this architecture run where the firmware does? None: nobody knows.
fn runs_on(architecture: &str, firmware: Firmware) -> Option<bool> {
    use Platform::{Bios, RaspberryPi, UbootArm32, UbootArm64, UefiArm32, UefiArm64, UefiIa32, UefiX64};
    let platform = firmware.platform();
    let platforms: &[Platform] = match architecture {
        // A 32-bit UEFI starts no 64-bit kernel by itself.
        "amd64" | "x86_64" => &[Bios, UefiX64],
        "i386" | "i686" => &[Bios, UefiIa32],
        "arm64" | "aarch64" => &[UefiArm64, UbootArm64, RaspberryPi],
        "armhf" | "armv7" => &[UefiArm32, UbootArm32, RaspberryPi],
        "riscv64" => &[Platform::UefiRiscv64],
        "loong64" | "loongarch64" => &[Platform::UefiLoong64],
        _ => return None,
    };
    Some(platforms.contains(&platform))
}

fn architecture(scenario: &Scenario, boot: &Booted) -> Option<Flag> {
    let End::Kernel { .. } = boot.end else { return None };
    let Boot { image, profile, .. } = scenario.boot()?;
    let Scenario { architecture, firmware, .. } = scenario;
    (runs_on(architecture, *firmware) == Some(false)).then(|| {
        let what = format!("image {image} is for {architecture}, which does not run on {firmware}");
        Flag::fails(what, format!("give profile {profile} an image for this machine"))
    })
}

/// Kernel and initial RAM disks lie in memory as they came while the latter are unpacked.
fn memory(scenario: &Scenario, boot: &Booted) -> Option<Flag> {
    let memory = scenario.memory?;
    let End::Kernel { .. } = boot.end else { return None };
    let bytes: u64 = boot.files().map(in_memory).sum();
    (bytes > memory).then(|| {
        let what = format!(
            "kernel and initial RAM disks have {bytes} bytes, and the machine has {memory} of memory"
        );
        Flag::fails(what, "boot an image that fits, or give the machine more memory")
    })
}

fn in_memory(file: &File) -> u64 {
    match &file.given {
        Given::Blob { stage: Stage::Kernel | Stage::Initrd, bytes, .. } => *bytes,
        Given::Blob { .. } | Given::Text { .. } | Given::Refused(_) | Given::Elsewhere => 0,
    }
}

/// Parts of the plan that this build does not understand.
fn doubts(scenario: &Scenario) -> Vec<Flag> {
    let Some(host) = scenario.host() else { return Vec::new() };
    let orders = scenario.order().map(|order| format!("order/{}", order.id));
    let keys = [Some(format!("host/{}", host.id)), orders];
    let doubts =
        scenario.plan.doubts.iter().filter(|doubt| keys.iter().flatten().any(|key| *key == doubt.key));
    doubts.map(|doubt| Flag::fails(format!("{} is not understood: {}", doubt.key, doubt.why), "")).collect()
}

fn beside_another_server(scenario: &Scenario) -> Option<Flag> {
    scenario.plan.network.is_proxy().then(|| {
        let what = "another DHCP server leases the addresses here (`dhcp: proxy`): what it says is assumed";
        Flag::notice(what, "it must not name a boot file or a next server")
    })
}

/// After an installation the machine is to start from its disk.
fn again(simulation: &Simulation) -> Option<Flag> {
    let second = simulation.boots.get(1)?;
    (!second.ends_well()).then(|| Flag::fails("the boot after the installation leads nowhere", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_run_where_they_run() {
        assert_eq!(runs_on("amd64", Firmware::BIOS), Some(true));
        assert_eq!(runs_on("amd64", Firmware::Http(Platform::UefiX64)), Some(true));
        assert_eq!(runs_on("amd64", Firmware::Pxe(Platform::UefiIa32)), Some(false));
        assert_eq!(runs_on("arm64", Firmware::UEFI), Some(false));
        assert_eq!(runs_on("", Firmware::UEFI), None);
    }
}

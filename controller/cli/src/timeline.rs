//! A boot attempt as people read it: one line per event, with the time since the attempt began.
//!
//! Pure: events in, lines out. What comes from machines is cleaned before it is shown.

use proto::event::{AlarmKind, Answer, Client, EventKind, LeaseEnd, OrderPhase, Transport};
use proto::v1;
use proto::{Architecture, Platform, Wall};

use crate::output::{plain, words};

/// Turns the events of one attempt, in order, into lines.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    began: Option<Wall>,
}

impl Timeline {
    /// The line of the next event.
    pub(crate) fn line(&mut self, event: &v1::BootEvent) -> String {
        let at = at(event);
        let began = *self.began.get_or_insert(at);
        let (what, words) = self::words(event);
        format!("{:>10}  {what:<9} {}", since(began, at), plain(&words)).trim_end().to_owned()
    }
}

/// When an event happened, by its agent's clock.
#[must_use]
pub(crate) fn at(event: &v1::BootEvent) -> Wall {
    Wall(event.event.as_ref().and_then(|numbered| numbered.event.as_ref()).map_or(0, |event| event.at_ms))
}

/// Two words for what an event is about, and a sentence.
#[must_use]
pub(crate) fn words(event: &v1::BootEvent) -> (&'static str, String) {
    let Some(numbered) = event.event.clone() else { return ("?", "an event without content".into()) };
    match proto::event::NumberedEvent::try_from(numbered) {
        Ok(numbered) => describe(&numbered.event.kind),
        Err(error) => {
            ("?", format!("an event that this program cannot read ({error}): is it older than the agent?"))
        }
    }
}

/// The phase of the order that an event reports.
#[must_use]
pub(crate) fn phase(event: &v1::BootEvent) -> Option<OrderPhase> {
    let numbered = proto::event::NumberedEvent::try_from(event.event.clone()?).ok()?;
    match numbered.event.kind {
        EventKind::OrderMoved { phase, .. } => Some(phase),
        EventKind::AttemptBegan { .. }
        | EventKind::Decided { .. }
        | EventKind::Offered { .. }
        | EventKind::Leased { .. }
        | EventKind::LeaseEnded { .. }
        | EventKind::LeaseRenewed { .. }
        | EventKind::LeaseReleaseAnswered { .. }
        | EventKind::FileServed { .. }
        | EventKind::FileRefused { .. }
        | EventKind::FileBroken { .. }
        | EventKind::Progress { .. }
        | EventKind::OsUp { .. }
        | EventKind::ForeignOfferTaken { .. }
        | EventKind::Alarm { .. }
        | EventKind::PlanAdopted(_)
        | EventKind::PlanRefused { .. }
        | EventKind::FormMoved { .. }
        | EventKind::Gap { .. } => None,
    }
}

/// `+0.012s`, `+3m07s`.
fn since(began: Wall, at: Wall) -> String {
    let passed = at.since(began);
    let seconds = passed.as_secs();
    match seconds {
        0..60 => format!("+{seconds}.{:03}s", passed.subsec_millis()),
        60..3_600 => format!("+{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("+{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

fn describe(kind: &EventKind) -> (&'static str, String) {
    match kind {
        EventKind::AttemptBegan { platform, client, vendor_class, relay, architecture, .. } => {
            let firmware = match (platform, architecture) {
                (Some(platform), _) => firmware(*platform).to_owned(),
                (None, Some(code)) => format!("firmware of architecture {}", Architecture::describe(*code)),
                (None, None) => "firmware of an unknown kind".to_owned(),
            };
            let class = if vendor_class.is_empty() { String::new() } else { format!(" ({vendor_class})") };
            let relay = relay.map(|relay| format!(", through the relay agent {relay}")).unwrap_or_default();
            ("began", format!("{firmware} asks to boot: {}{class}{relay}", program(*client)))
        }
        EventKind::Decided { answer, reason, .. } => {
            let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            ("decided", format!("{}{because}", answered(*answer)))
        }
        EventKind::Offered { address, file, client } => {
            let file = if file.is_empty() { String::new() } else { format!(", to fetch {file}") };
            let what = address.map_or_else(|| "no address, beside another server,".into(), |a| a.to_string());
            ("offered", format!("{what} to {}{file}", program(*client)))
        }
        EventKind::Leased { address, client, .. } => ("leased", format!("{address} to {}", program(*client))),
        EventKind::LeaseRenewed { address, .. } => ("leased", format!("{address} goes on")),
        EventKind::LeaseReleaseAnswered { address, refused: None, .. } => {
            ("release", format!("{address} is free, as an operator wanted"))
        }
        EventKind::LeaseReleaseAnswered { address, refused: Some(why), .. } => {
            ("release", format!("{address} is not freed: {why}"))
        }
        EventKind::LeaseEnded { address, how } => ("lease end", format!("{address} {}", ended(*how))),
        EventKind::FileServed { transport, stage, name, bytes, took_ms, retransmissions, repeats } => {
            let times = match repeats {
                0 => String::new(),
                again => format!(", {} times", u64::from(*again) + 1),
            };
            let again = if *retransmissions == 0 {
                String::new()
            } else {
                format!(", {retransmissions} blocks sent again")
            };
            let took = format!("{}.{:03} s", took_ms / 1_000, took_ms % 1_000);
            let (size, by) = (words::size(*bytes), by(*transport));
            ("fetched", format!("{} {name}: {size} by {by} in {took}{times}{again}", stage.word()))
        }
        EventKind::FileRefused { transport, name, why } => {
            ("refused", format!("{name} by {}: {why}", by(*transport)))
        }
        EventKind::FileBroken { transport, stage, name, bytes, why } => {
            let size = words::size(*bytes);
            ("broken", format!("{} {name} by {} after {size}: {why}", stage.word(), by(*transport)))
        }
        EventKind::OrderMoved { phase, reason, .. } => {
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            ("order", format!("{}{reason}", phase.word()))
        }
        EventKind::Progress { percent, text } => {
            let percent = percent.map(|percent| format!("{percent}% ")).unwrap_or_default();
            ("installer", format!("{percent}{text}"))
        }
        EventKind::OsUp { address } => {
            let address = address.map(|address| format!(" at {address}")).unwrap_or_default();
            ("up", format!("the operating system runs{address}"))
        }
        EventKind::ForeignOfferTaken { server, known } => {
            let known = if known.is_empty() { String::new() } else { format!(" ({known})") };
            ("foreign", format!("it took the offer of another DHCP server, {server}{known}"))
        }
        EventKind::Alarm { kind, detail } => ("ALARM", format!("{}: {detail}", alarm(*kind))),
        EventKind::PlanAdopted(plan) => ("plan", format!("generation {} is obeyed", generation(plan))),
        EventKind::PlanRefused { plan, why } => {
            ("plan", format!("generation {} is refused: {why}", generation(plan)))
        }
        EventKind::FormMoved { form, proved, firmware, why, .. } => {
            let how = if *proved { "obeys" } else { "is told what to boot by" };
            ("form", format!("{firmware} {how} {}: {why}", form.word()))
        }
        EventKind::Gap { first, last } => {
            ("gap", format!("events {first} to {last} gave way because the agent's journal was full"))
        }
    }
}

fn generation(plan: &proto::PlanId) -> String {
    format!("{}.{}", plan.generation.epoch, plan.generation.revision)
}

fn firmware(platform: Platform) -> &'static str {
    match platform {
        Platform::Bios => "BIOS",
        Platform::UefiIa32 => "UEFI (32-bit x86)",
        Platform::UefiX64 => "UEFI (x64)",
        Platform::UefiArm32 => "UEFI (32-bit ARM)",
        Platform::UefiArm64 => "UEFI (ARM64)",
        Platform::UefiRiscv64 => "UEFI (64-bit RISC-V)",
        Platform::UefiRiscv32 => "UEFI (32-bit RISC-V)",
        Platform::UefiLoong64 => "UEFI (LoongArch)",
        Platform::UefiIa64 => "EFI (Itanium)",
        Platform::UbootArm32 => "U-Boot (32-bit ARM)",
        Platform::UbootArm64 => "U-Boot (ARM64)",
        Platform::PpcOpenFirmware => "Open Firmware (PowerPC)",
        Platform::RaspberryPi => "a Raspberry Pi's ROM",
    }
}

fn program(client: Client) -> &'static str {
    match client {
        Client::PxeRom => "the PXE ROM",
        Client::HttpRom => "UEFI HTTP Boot",
        Client::Ipxe => "iPXE",
        Client::Gpxe => "gPXE",
        Client::Bootp => "a BOOTP client",
        Client::Os => "an operating system",
    }
}

fn answered(answer: Answer) -> &'static str {
    match answer {
        Answer::Silence => "no answer",
        Answer::AddressOnly => "an address and nothing to boot",
        Answer::LocalDisk => "the local disk",
        Answer::Loader => "a boot loader",
        Answer::Script => "a boot script",
    }
}

fn ended(how: LeaseEnd) -> &'static str {
    match how {
        LeaseEnd::Released => "was given back",
        LeaseEnd::Declined => "was declined: somebody else uses it",
        LeaseEnd::Expired => "expired",
        LeaseEnd::Operator => "was freed by an operator",
    }
}

fn by(transport: Transport) -> &'static str {
    match transport {
        Transport::Tftp => "TFTP",
        Transport::Http => "HTTP",
    }
}

/// An alarm in words.
pub(crate) fn alarm(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::IdentityDisagrees => "the machine is not the one that is recorded",
        AlarmKind::ForeignDhcp => "another DHCP server answers here",
        AlarmKind::OrderFileFromElsewhere => "an order's file was asked for from elsewhere",
        AlarmKind::DiskLow => "the agent's disk is filling up",
        AlarmKind::ClockBehind => "the agent's clock is behind",
        AlarmKind::PlanNotUnderstood => "a part of the plan is not understood",
        AlarmKind::PoolEmpty => "no address is free",
        AlarmKind::AddressInUse => "an address is used by somebody else",
        AlarmKind::UnknownIgnored => "unknown machines are ignored",
        AlarmKind::TooManyEvents => "too many events",
        AlarmKind::NoLoader => "no loader for it",
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proto::event::{Event, NumberedEvent};
    use proto::plan::Stage;
    use proto::{AttemptId, OrderId};

    use super::*;

    const BEGAN: u64 = 1_772_366_400_000;

    fn event(after_ms: u64, kind: EventKind) -> v1::BootEvent {
        let attempt = Some(AttemptId([1; 16]));
        let event = Event { at: Wall(BEGAN + after_ms), attempt, host: None, mac: None, kind };
        v1::BootEvent { event: Some(NumberedEvent { number: 1, event }.into()), ..v1::BootEvent::default() }
    }

    #[test]
    fn an_installation_reads_like_a_story() {
        let address = Ipv4Addr::new(10, 1, 0, 9);
        let order = OrderId([4; 16]);
        let (platform, vendor_class) = (Some(Platform::UefiX64), "PXEClient:Arch:00007".to_owned());
        let began = EventKind::AttemptBegan {
            platform,
            client: Client::PxeRom,
            vendor_class,
            uuid: None,
            relay: None,
            architecture: Some(7),
        };
        let served = EventKind::FileServed {
            transport: Transport::Tftp,
            stage: Stage::Loader,
            name: "snponly.efi".into(),
            bytes: 300_000,
            took_ms: 210,
            retransmissions: 2,
            repeats: 0,
        };
        let moved =
            EventKind::OrderMoved { order, number: 1, phase: OrderPhase::Started, reason: String::new() };
        let told = [
            (0, began),
            (12, EventKind::Leased { address, until: Wall(0), client: Client::PxeRom }),
            (340, served),
            (61_000, moved),
            (3_700_000, EventKind::Progress { percent: Some(40), text: "installing\u{1b}[2J".into() }),
        ];
        let mut timeline = Timeline::default();
        let lines: Vec<_> = told.into_iter().map(|(at, kind)| timeline.line(&event(at, kind))).collect();
        let expected = [
            "   +0.000s  began     UEFI (x64) asks to boot: the PXE ROM (PXEClient:Arch:00007)",
            "   +0.012s  leased    10.1.0.9 to the PXE ROM",
            "   +0.340s  fetched   loader snponly.efi: 292.9 KiB by TFTP in 0.210 s, 2 blocks sent again",
            "    +1m01s  order     started",
            "    +1h01m  installer 40% installing\u{fffd}[2J",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_a_newer_agent_says_is_not_lost() {
        let unknown = v1::BootEvent { event: Some(v1::NumberedEvent::default()), ..v1::BootEvent::default() };
        assert!(words(&unknown).1.contains("cannot read"), "{:?}", words(&unknown));
        assert_eq!(phase(&unknown), None);
    }

    #[test]
    fn the_phase_of_an_order_is_seen() {
        let (order, phase) = (OrderId([4; 16]), OrderPhase::Failed);
        let moved = EventKind::OrderMoved { order, number: 1, phase, reason: String::new() };
        assert_eq!(super::phase(&event(0, moved)), Some(OrderPhase::Failed));
    }
}

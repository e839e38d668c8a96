//! Events as people read them: a word for what one is about, and a sentence. Pure, and the same in a terminal and on a page.
//!
//! What machines said of themselves is in them as it was taken in ([`super::clean`]); who shows it cleans it for the place where it is
//! shown ([`crate::words::plain`]).

use super::{AlarmKind, Answer, Client, EventKind, LeaseEnd, Transport};
use crate::{Architecture, PlanId, Platform, words};

impl EventKind {
    /// One or two words for what it is about, and a sentence.
    #[must_use]
    pub fn words(&self) -> (&'static str, String) {
        describe(self)
    }
}

impl AlarmKind {
    /// What it is about, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::IdentityDisagrees => "the machine is not the one that is recorded",
            Self::ForeignDhcp => "another DHCP server answers here",
            Self::OrderFileFromElsewhere => "an order's file was asked for from elsewhere",
            Self::DiskLow => "the agent's disk is filling up",
            Self::ClockBehind => "the agent's clock is behind",
            Self::PlanNotUnderstood => "a part of the plan is not understood",
            Self::PoolEmpty => "no address is free",
            Self::AddressInUse => "an address is used by somebody else",
            Self::UnknownIgnored => "unknown machines are ignored",
            Self::TooManyEvents => "too many events",
            Self::NoLoader => "no loader for it",
        }
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
        EventKind::FileRefused { transport, name, why, .. } => {
            ("refused", format!("{name} by {}: {why}", by(*transport)))
        }
        EventKind::FileProbed { transport, stage, name, size } => {
            let (size, by) = (words::size(*size), by(*transport));
            ("probed", format!("{} {name} by {by}: it asked for the size alone, {size}", stage.word()))
        }
        EventKind::FileBroken { transport, stage, name, bytes, why, .. } => {
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
        EventKind::AddressRefused { address, client, told, why } => {
            let how = if *told { "got a NAK" } else { "got no answer" };
            ("refused", format!("{} asked for {address} and {how}: {why}", program(*client)))
        }
        EventKind::Alarm { kind, detail } => ("ALARM", format!("{}: {detail}", kind.words())),
        EventKind::PlanAdopted(plan) => ("plan", format!("generation {} is obeyed", generation(plan))),
        EventKind::PlanRefused { plan, why } => {
            ("plan", format!("generation {} is refused: {why}", generation(plan)))
        }
        EventKind::FormMoved { form, proved, firmware, why, .. } => {
            let how = if *proved { "obeys" } else { "is told what to boot by" };
            ("form", format!("{firmware} {how} {}: {why}", form.word()))
        }
        EventKind::CaptureKept { packets, bytes, why } => {
            ("capture", format!("{packets} packets are kept ({}), since {why}", words::size(*bytes)))
        }
        EventKind::SyslogLine { severity, program, text, left_out } => {
            let speaker = if program.is_empty() { String::new() } else { format!("{program}: ") };
            let before = match left_out {
                0 => String::new(),
                lines => format!(" ({lines} lines before it were left out)"),
            };
            // Indented: what others say stands apart from what the agent saw.
            ("", format!("  {} {speaker}{text}{before}", severity_word(*severity)))
        }
        EventKind::Gap { first, last } => {
            ("gap", format!("events {first} to {last} gave way because the agent's journal was full"))
        }
    }
}

/// RFC 5424 §6.2.1, as syslog.h abbreviates it.
fn severity_word(severity: u8) -> &'static str {
    match severity {
        0 => "emerg",
        1 => "alert",
        2 => "crit",
        3 => "err",
        4 => "warning",
        5 => "notice",
        6 => "info",
        7.. => "debug",
    }
}

fn generation(plan: &PlanId) -> String {
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

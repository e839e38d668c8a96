//! The chain that a boot took, from the agent's own events: who spoke, what it was told, what it fetched and how, each with
//! the seconds since the machine's first word. docs/firmware.md is made of these lines.

use std::fmt::Write as _;

use proto::AttemptId;
use proto::event::{Answer, Client, EventKind, Transport};

use crate::fleet::Ledger;

/// What begins such a line among all that a case says.
pub const MARK: &str = "chain: ";

/// A line for each boot, in the order in which they began.
pub(super) fn chains(ledger: &Ledger) -> Vec<String> {
    let mut attempts: Vec<AttemptId> = Vec::new();
    for attempt in ledger.events.iter().filter_map(|numbered| numbered.event.attempt) {
        if !attempts.contains(&attempt) {
            attempts.push(attempt);
        }
    }
    attempts.into_iter().map(|attempt| chain(ledger, attempt)).collect()
}

fn chain(ledger: &Ledger, attempt: AttemptId) -> String {
    let (mut line, mut told) = (MARK.to_owned(), Vec::new());
    let mut began = None;
    for event in ledger.events.iter().map(|numbered| &numbered.event) {
        let Some(step) = step(&event.kind).filter(|_| event.attempt == Some(attempt)) else { continue };
        let began = *began.get_or_insert(event.at);
        // A file that is asked for in ranges, or twice, is one step.
        if told.contains(&step) {
            continue;
        }
        let seconds = event.at.0.saturating_sub(began.0) as f64 / 1_000.0;
        let arrow = if told.is_empty() { "" } else { " → " };
        let _ = write!(line, "{arrow}{step} {seconds:.1} s");
        told.push(step);
    }
    line
}

/// What people call it; None for what is no stage.
fn step(kind: &EventKind) -> Option<String> {
    if let EventKind::AttemptBegan { client, platform, .. } = kind {
        let platform = platform.map_or("unknown".to_owned(), |platform| platform.to_string());
        return Some(format!("{} ({platform})", program(*client)));
    }
    if let EventKind::Leased { client, .. } = kind {
        return Some(format!("{} has its address", program(*client)));
    }
    if let EventKind::FileServed { transport, stage, .. } = kind {
        let by = match transport {
            Transport::Tftp => "TFTP",
            Transport::Http => "HTTP",
        };
        return Some(format!("{} by {by}", stage.word()));
    }
    if matches!(kind, EventKind::Decided { answer: Answer::LocalDisk, .. }) {
        return Some("told: the local disk".to_owned());
    }
    matches!(kind, EventKind::OsUp { .. }).then(|| "system up".to_owned())
}

fn program(client: Client) -> &'static str {
    match client {
        Client::PxeRom => "PXE",
        Client::HttpRom => "HTTP Boot",
        Client::Ipxe => "iPXE",
        Client::Gpxe => "gPXE",
        Client::Bootp => "BOOTP",
        Client::Os => "system",
    }
}

#[cfg(test)]
mod tests {
    use proto::event::{Event, NumberedEvent};
    use proto::plan::Stage;
    use proto::{Platform, Wall};

    use super::*;

    #[test]
    fn stages_stand_once_with_the_seconds_since_the_first_word() {
        let began = EventKind::AttemptBegan {
            platform: Some(Platform::Bios),
            client: Client::Ipxe,
            vendor_class: String::new(),
            uuid: None,
            relay: None,
            architecture: Some(0),
        };
        let kernel = EventKind::FileServed {
            transport: Transport::Http,
            stage: Stage::Kernel,
            name: "linux".into(),
            bytes: 1,
            took_ms: 1,
            retransmissions: 0,
            repeats: 0,
        };
        let kinds = [
            (1_000, began),
            (2_500, kernel.clone()),
            (2_600, kernel),
            (9_000, EventKind::OsUp { address: None }),
        ];
        let event = |(at, kind)| Event {
            at: Wall(at),
            attempt: Some(AttemptId([1; 16])),
            host: None,
            mac: None,
            kind,
        };
        let events =
            kinds.into_iter().map(event).zip(1..).map(|(event, number)| NumberedEvent { number, event });
        let ledger = Ledger { events: events.collect(), ..Ledger::default() };
        assert_eq!(chains(&ledger), ["chain: iPXE (bios) 0.0 s → kernel by HTTP 1.5 s → system up 8.0 s"]);
    }
}

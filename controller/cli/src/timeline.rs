//! A boot attempt as people read it: one line per event, with the time since the attempt began.
//!
//! Pure: events in, lines out. What comes from machines is cleaned before it is shown.

use proto::event::{Event, EventKind, OrderPhase};
use proto::{Wall, v1};

use crate::output::{plain, words::since};

/// As many digits of an attempt are enough to name it.
const DIGITS: usize = 12;

/// Turns the events of one attempt, in order, into lines.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    began: Option<Wall>,
}

impl Timeline {
    /// Of a boot that began then, of which some events are shown.
    pub(crate) fn since(began: Wall) -> Self {
        Self { began: Some(began) }
    }

    /// The line of the next event.
    pub(crate) fn line(&mut self, event: &v1::BootEvent) -> String {
        let at = at(event);
        let began = *self.began.get_or_insert_with(|| began(event));
        let (what, words) = self::words(event);
        format!("{:>10}  {what:<9} {}", since(began, at), plain(&words)).trim_end().to_owned()
    }
}

/// When an event happened, by its agent's clock; of a silence, when it began.
#[must_use]
pub(crate) fn at(event: &v1::BootEvent) -> Wall {
    if let Some(boot) = silent(event) {
        return Wall(boot.last_ms);
    }
    Wall(event.event.as_ref().and_then(|numbered| numbered.event.as_ref()).map_or(0, |event| event.at_ms))
}

/// When its boot began, as far as it tells.
fn began(event: &v1::BootEvent) -> Wall {
    silent(event).map_or_else(|| at(event), |boot| Wall(boot.began_ms))
}

/// The boot that has fallen silent.
#[must_use]
pub(crate) fn silent(event: &v1::BootEvent) -> Option<&v1::BootSummary> {
    event.silence.as_ref()?.boot.as_ref()
}

/// Two words for what an event is about, and a sentence.
#[must_use]
pub(crate) fn words(event: &v1::BootEvent) -> (&'static str, String) {
    if let Some(silence) = &event.silence {
        let unknown = || "nothing is heard of it any more".to_owned();
        return ("silent", if silence.sentence.is_empty() { unknown() } else { silence.sentence.clone() });
    }
    let Some(numbered) = event.event.clone() else { return ("?", "an event without content".into()) };
    match proto::event::NumberedEvent::try_from(numbered) {
        Ok(numbered) => described(&numbered.event),
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
        | EventKind::AddressRefused { .. }
        | EventKind::LeaseReleaseAnswered { .. }
        | EventKind::FileServed { .. }
        | EventKind::FileRefused { .. }
        | EventKind::FileProbed { .. }
        | EventKind::FileBroken { .. }
        | EventKind::Progress { .. }
        | EventKind::OsUp { .. }
        | EventKind::ForeignOfferTaken { .. }
        | EventKind::Alarm { .. }
        | EventKind::PlanAdopted(_)
        | EventKind::PlanRefused { .. }
        | EventKind::FormMoved { .. }
        | EventKind::CaptureKept { .. }
        | EventKind::SyslogLine { .. }
        | EventKind::Gap { .. } => None,
    }
}

/// What an event says, and what can be done with it.
fn described(event: &Event) -> (&'static str, String) {
    let (what, words) = event.kind.words();
    match (&event.kind, event.attempt) {
        (EventKind::CaptureKept { .. }, Some(attempt)) => {
            let digits: String = attempt.to_string().chars().take(DIGITS).collect();
            (what, format!("{words}: bootlane boot capture {digits}"))
        }
        _ => (what, words),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proto::event::{Client, NumberedEvent, Transport};
    use proto::plan::Stage;
    use proto::{AttemptId, OrderId, Platform};

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
    fn a_silence_says_since_when_and_why() {
        let boot = v1::BootSummary { began_ms: BEGAN, last_ms: BEGAN + 1_000, ..v1::BootSummary::default() };
        let sentence = "It took the address 10.1.0.9 and then asked for nothing: \u{1b}[2J.".into();
        let silence = Some(v1::BootSilence { boot: Some(boot), sentence });
        let line = Timeline::default().line(&v1::BootEvent { silence, ..v1::BootEvent::default() });
        let expected =
            "   +1.000s  silent    It took the address 10.1.0.9 and then asked for nothing: \u{fffd}[2J.";
        assert_eq!(line, expected);
    }

    #[test]
    fn what_a_newer_agent_says_is_not_lost() {
        let unknown = v1::BootEvent { event: Some(v1::NumberedEvent::default()), ..v1::BootEvent::default() };
        assert!(words(&unknown).1.contains("cannot read"), "{:?}", words(&unknown));
        assert_eq!(phase(&unknown), None);
    }

    #[test]
    fn captures_say_how_they_are_fetched_and_logs_stand_apart() {
        let kept = EventKind::CaptureKept { packets: 40, bytes: 9_216, why: "it fell silent".into() };
        let line = |severity, program: &str, left_out| {
            let (program, text) = (program.to_owned(), "no space left".to_owned());
            EventKind::SyslogLine { severity, program, text, left_out }
        };
        let mut timeline = Timeline::default();
        let told = [line(3, "apt", 0), line(6, "", 7), kept];
        let lines: Vec<_> = told.into_iter().map(|kind| timeline.line(&event(0, kind))).collect();
        let expected = [
            "   +0.000s              err apt: no space left",
            "   +0.000s              info no space left (7 lines before it were left out)",
            "   +0.000s  capture   40 packets are kept (9.0 KiB), since it fell silent: bootlane boot capture 010101010101",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_phase_of_an_order_is_seen() {
        let (order, phase) = (OrderId([4; 16]), OrderPhase::Failed);
        let moved = EventKind::OrderMoved { order, number: 1, phase, reason: String::new() };
        assert_eq!(super::phase(&event(0, moved)), Some(OrderPhase::Failed));
    }
}

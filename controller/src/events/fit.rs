//! Cuts what an event says for people to a length that fits the store: sled keeps values of several KiB badly.

use proto::event::{Event, EventKind};

/// The longest text of an event, in bytes.
const TEXT: usize = 512;

/// The event with every text cut.
pub(super) fn fit(mut event: Event) -> Event {
    match &mut event.kind {
        EventKind::AttemptBegan { vendor_class: text, .. }
        | EventKind::Decided { reason: text, .. }
        | EventKind::Offered { file: text, .. }
        | EventKind::FileServed { name: text, .. }
        | EventKind::FileProbed { name: text, .. }
        | EventKind::OrderMoved { reason: text, .. }
        | EventKind::Progress { text, .. }
        | EventKind::ForeignOfferTaken { known: text, .. }
        | EventKind::AddressRefused { why: text, .. }
        | EventKind::Alarm { detail: text, .. }
        | EventKind::CaptureKept { why: text, .. }
        | EventKind::PlanRefused { why: text, .. } => cut(text),
        EventKind::FileRefused { name, why, .. } | EventKind::FileBroken { name, why, .. } => {
            cut(name);
            cut(why);
        }
        EventKind::FormMoved { firmware, why, .. } => {
            cut(firmware);
            cut(why);
        }
        EventKind::SyslogLine { program, text, .. } => {
            cut(program);
            cut(text);
        }
        EventKind::LeaseReleaseAnswered { refused, .. } => refused.iter_mut().for_each(cut),
        EventKind::Leased { .. }
        | EventKind::LeaseRenewed { .. }
        | EventKind::LeaseEnded { .. }
        | EventKind::OsUp { .. }
        | EventKind::PlanAdopted(_)
        | EventKind::Gap { .. } => {}
    }
    event
}

fn cut(text: &mut String) {
    if text.len() > TEXT {
        text.truncate(text.floor_char_boundary(TEXT));
    }
}

#[cfg(test)]
mod tests {
    use proto::Wall;

    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let kind = EventKind::Progress { percent: None, text: "é".repeat(400) };
        let event = Event { at: Wall(1), attempt: None, host: None, mac: None, kind };
        let EventKind::Progress { text, .. } = fit(event).kind else { panic!("the same kind") };
        assert_eq!(text, "é".repeat(256));
    }
}

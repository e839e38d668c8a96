//! From the first DISCOVER to the first request for a file.

use proto::event::EventKind;

use crate::diagnosis::case::{Case, is_rom};
use crate::diagnosis::cause::Cause;
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::stage::Step;

/// It went with another DHCP server.
pub(super) fn foreign_offer_taken(case: &Case<'_>) -> Option<Finding> {
    let (server, known) = case.kinds().rev().find_map(|kind| {
        let EventKind::ForeignOfferTaken { server, known } = kind else { return None };
        Some((server, known))
    })?;
    if !case.is_silent() || case.last_step() != Some(Step::RomAddress) {
        return None;
    }
    let known = if known.is_empty() { String::new() } else { format!(" ({known})") };
    Some(Finding {
        cause: Cause::ForeignOfferTaken,
        stopped_at: "it was offered what to boot and took the offer of another DHCP server".into(),
        expected: "its REQUEST for the address that the agent offered".into(),
        likely: format!("{server}{known} answers machines here too, and this one went with it"),
        remedy: format!(
            "stop the DHCP server {server}, or let it keep the addresses and set the site's `dhcp: proxy`"
        ),
        certainty: Certainty::Seen,
    })
}

/// It was offered an address again and again.
pub(super) fn offer_not_taken(case: &Case<'_>) -> Option<Finding> {
    let offers =
        case.kinds().filter(|kind| matches!(kind, EventKind::Offered { client, .. } if is_rom(*client)));
    let offers = offers.count();
    let taken = case
        .kinds()
        .any(|kind| matches!(kind, EventKind::Leased { .. } | EventKind::ForeignOfferTaken { .. }));
    if offers == 0 || taken || !case.is_silent() || case.last_step() != Some(Step::RomAddress) {
        return None;
    }
    let times = if offers == 1 { "once".to_owned() } else { format!("{offers} times") };
    Some(Finding {
        cause: Cause::OfferNotTaken,
        stopped_at: format!("it was offered what to boot {times} and took no offer"),
        expected: "its REQUEST".into(),
        likely:
            "the OFFER does not reach it, or it was turned off, or another server's offer was taken unheard"
                .into(),
        remedy:
            "look whether its switch port filters DHCP replies (DHCP snooping: trust the agent's port), and \
                 whether another DHCP server answers there"
                .into(),
        certainty: Certainty::Possible,
    })
}

/// It has its address and does not come for its loader.
pub(super) fn nothing_asked(case: &Case<'_>) -> Option<Finding> {
    let address = case.leased(is_rom)?;
    if !case.is_silent() || case.last_step() != Some(Step::RomAddress) {
        return None;
    }
    Some(Finding {
        cause: Cause::NothingAsked,
        stopped_at: format!("its ROM took the address {address} and then asked for nothing"),
        expected: "a request for its loader, or one at port 4011".into(),
        likely: "UDP ports 69 and 4011, or HTTP, are blocked between it and the agent".into(),
        remedy: "let UDP 67, 69 and 4011 and TCP 80 pass between the machine and the agent".into(),
        certainty: Certainty::Likely,
    })
}

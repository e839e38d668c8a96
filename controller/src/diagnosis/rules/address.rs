//! From the first DISCOVER to the first request for a file.

use proto::event::{AlarmKind, Client, EventKind};

use crate::diagnosis::case::{Case, is_loader, is_rom};
use crate::diagnosis::cause::Cause;
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::stage::Step;
use crate::diagnosis::words::times;

/// It went with another DHCP server.
pub(super) fn foreign_offer_taken(case: &Case<'_>) -> Option<Finding> {
    let (server, known) = case.kinds().rev().find_map(|kind| {
        let EventKind::ForeignOfferTaken { server, known } = kind else { return None };
        Some((server, known))
    })?;
    stopped_before_loader(case)?;
    let known = if known.is_empty() { String::new() } else { format!(" ({known})") };
    Some(Finding {
        cause: Cause::ForeignOfferTaken,
        stopped_at: "it was offered what to boot and took the offer of another DHCP server".into(),
        expected: "its REQUEST for what the agent offered".into(),
        likely: format!("{server}{known} answers machines here too, and this one went with it"),
        remedy: format!(
            "stop the DHCP server {server}; or, if it is to give the addresses here, let it say nothing of booting and \
             set the site's `dhcp: proxy`"
        ),
        certainty: Certainty::Seen,
    })
}

/// The pool has no address for it.
pub(super) fn pool_empty(case: &Case<'_>) -> Option<Finding> {
    let detail = alarmed(case, AlarmKind::PoolEmpty).filter(|_| offers(case) == 0)?;
    Some(Finding {
        cause: Cause::PoolEmpty,
        stopped_at: "it asked for an address and got none".into(),
        expected: "an OFFER".into(),
        likely: detail.to_owned(),
        remedy: "give the site's subnet a larger pool or shorter leases, or the host a fixed `address`; `bootlane lease \
                 list` shows who has them"
            .into(),
        certainty: Certainty::Seen,
    })
}

/// Its address is somebody else's.
pub(super) fn address_in_use(case: &Case<'_>) -> Option<Finding> {
    let detail = alarmed(case, AlarmKind::AddressInUse).filter(|_| case.leased(is_rom).is_none())?;
    // It may yet take another one that it was offered.
    if offers(case) > 0 {
        stopped_before_loader(case)?;
    }
    Some(Finding {
        cause: Cause::AddressInUse,
        stopped_at: "it asked for an address and got none that it could keep".into(),
        expected: "an address that nobody else uses".into(),
        likely: detail.to_owned(),
        remedy: "find the machine that took the address without asking, or give the host another one".into(),
        certainty: Certainty::Seen,
    })
}

/// It was offered an address again and again.
pub(super) fn offer_not_taken(case: &Case<'_>) -> Option<Finding> {
    let asker = Asker::of(case)?;
    let offers =
        case.kinds().filter(|kind| matches!(kind, EventKind::Offered { client, .. } if (asker.is)(*client)));
    let offers = offers.count();
    let taken = case.leased(asker.is).is_some() || has_gone_elsewhere(case);
    if offers == 0 || taken {
        return None;
    }
    let (likely, certainty) = match case.context.foreign_servers.first() {
        Some(other) => {
            (format!("it may have gone with another DHCP server unheard ({other})"), Certainty::Likely)
        }
        None => (
            "the OFFER does not reach it, it took another server's offer unheard, or it was turned off"
                .to_owned(),
            Certainty::Possible,
        ),
    };
    Some(Finding {
        cause: Cause::OfferNotTaken,
        stopped_at: format!("{} was offered what to boot {} and never asked for it", asker.whose, times(offers)),
        expected: "its REQUEST".into(),
        likely,
        remedy: "look whether its switch filters DHCP replies (DHCP snooping: trust the agent's port) and whether another \
                 DHCP server answers there; its screen shows which address it took"
            .into(),
        certainty,
    })
}

/// It has its address and does not come for what it was told to fetch.
pub(super) fn nothing_asked(case: &Case<'_>) -> Option<Finding> {
    let asker = Asker::of(case)?;
    let address = case.leased(asker.is)?;
    let file = asker.offered_file(case).unwrap_or("what it is to load");
    let ports = if file.starts_with("http://") { "TCP port 80" } else { "UDP ports 69 and 4011" };
    let is_rom = asker.step == Step::RomAddress;
    let refused = if is_rom { ", or its firmware takes the reply in no form" } else { "" };
    let remedy = match is_rom {
        true => format!(
            "let {ports} pass between it and the agent, and boot it a few more times: another form of reply is tried each \
             time (`bootlane form list`)"
        ),
        false => format!("let {ports} pass between it and the agent"),
    };
    Some(Finding {
        cause: Cause::NothingAsked,
        stopped_at: format!("{} took the address {address} and then asked for nothing", asker.whose),
        expected: format!("a request for {file}"),
        likely: format!("{ports} of the agent cannot be reached from there{refused}"),
        remedy,
        certainty: Certainty::Likely,
    })
}

/// Who asked for an address last, with nothing after it.
struct Asker {
    whose: &'static str,
    is: fn(Client) -> bool,
    step: Step,
}

impl Asker {
    fn of(case: &Case<'_>) -> Option<Self> {
        let step = case.last_step().filter(|_| case.is_silent())?;
        match step {
            Step::RomAddress => Some(Self { whose: "its ROM", is: is_rom, step }),
            Step::LoaderAddress => Some(Self { whose: "its loader", is: is_loader, step }),
            Step::Loader
            | Step::Script
            | Step::Kernel
            | Step::System
            | Step::AnswerFile
            | Step::Installation => None,
        }
    }

    fn offered_file<'a>(&self, case: &Case<'a>) -> Option<&'a str> {
        let file = case.kinds().rev().find_map(|kind| {
            let EventKind::Offered { file, client, .. } = kind else { return None };
            (self.is)(*client).then_some(file.as_str())
        });
        file.filter(|file| !file.is_empty())
    }
}

/// Nothing more will be heard, and it did not come further than its address.
fn stopped_before_loader(case: &Case<'_>) -> Option<()> {
    (case.is_silent() && case.last_step() == Some(Step::RomAddress)).then_some(())
}

fn offers(case: &Case<'_>) -> usize {
    case.kinds().filter(|kind| matches!(kind, EventKind::Offered { client, .. } if is_rom(*client))).count()
}

fn has_gone_elsewhere(case: &Case<'_>) -> bool {
    case.kinds().any(|kind| matches!(kind, EventKind::ForeignOfferTaken { .. }))
}

fn alarmed<'a>(case: &Case<'a>, of: AlarmKind) -> Option<&'a str> {
    case.kinds().rev().find_map(|kind| {
        let EventKind::Alarm { kind, detail } = kind else { return None };
        (*kind == of).then_some(detail.as_str())
    })
}

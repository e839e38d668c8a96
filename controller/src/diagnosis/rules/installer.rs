//! From the request for the answer file to the installer's end.

use std::time::Duration;

use proto::event::{EventKind, OrderPhase, Refusal};
use proto::plan::Stage;

use crate::diagnosis::case::Case;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::stage::Step;
use crate::diagnosis::standing::Standing;
use crate::diagnosis::words::length;

/// The installer said that it failed, or its time was over.
pub(super) fn installer_failed(case: &Case<'_>) -> Option<Finding> {
    let (phase, reason) = last_move(case)?;
    if phase != OrderPhase::Failed {
        return None;
    }
    let reason = if reason.is_empty() { "it did not say why" } else { reason };
    let remedy = if took_too_long(reason) {
        "look at its screen: if it still installs, raise the profile's `install_time` and make a new order; if it stands \
         at a question, let the profile's answer file answer that"
    } else {
        "look at the installer's messages, on its screen and among its syslog lines in `bootlane boot show`; mend what they \
         name, and make a new order"
    };
    Some(Finding {
        cause: Cause::InstallerFailed,
        stopped_at: format!(
            "its installation failed{}",
            case.progress().map(|at| format!(" after \"{at}\"")).unwrap_or_default()
        ),
        expected: "the installer's word that it is done".into(),
        likely: reason.to_owned(),
        remedy: remedy.into(),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

/// Its order ended while it ran.
pub(super) fn order_ended(case: &Case<'_>) -> Option<Finding> {
    let (phase, reason) = last_move(case)?;
    let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let (likely, remedy) = match phase {
        OrderPhase::Expired => (
            format!("the order expired{because}"),
            "make a new order and boot the machine within its time, or give it more (`bootlane order create --expires`)",
        ),
        OrderPhase::Revoked => (
            format!("the order was revoked{because}"),
            "`bootlane audit list` says who did it; if the machine is to be installed, make a new order",
        ),
        OrderPhase::Armed
        | OrderPhase::Offered
        | OrderPhase::Started
        | OrderPhase::Installed
        | OrderPhase::Failed => return None,
    };
    let at = case.progress().map_or_else(
        || format!("the {}", case.last_step().map_or("beginning", Step::title)),
        |progress| format!("\"{progress}\""),
    );
    Some(Finding {
        cause: Cause::OrderEnded,
        stopped_at: format!("its order ended while it was at {at}"),
        expected: if case.has_started() {
            "the installer's word that it is done".into()
        } else {
            "the beginning of the installation, while the order stood".into()
        },
        likely,
        remedy: remedy.into(),
        certainty: Certainty::Seen,
        evidence: window(case).into_iter().filter(|_| phase == OrderPhase::Expired).collect(),
    })
}

/// It asked for its answer file and did not get it.
pub(super) fn answer_refused(case: &Case<'_>) -> Option<Finding> {
    let (at, name, refusal, why) = case.kinds().enumerate().filter_map(refused_by_token).last()?;
    let given_since = case.kinds().skip(at).any(is_given_by_token);
    // Who has the file needs it no more: then another machine asked, and was rightly refused.
    let is_anothers =
        refusal == Some(Refusal::Elsewhere) && case.kinds().take(at).any(|kind| is_answer(kind, name));
    if given_since || is_anothers {
        return None;
    }
    let remedy = match refusal {
        Some(Refusal::OrderEnded) => "make a new order and boot it again before that ends",
        Some(Refusal::TimeOver) => {
            "make a new order; if installations take longer here, raise the profile's `install_time`"
        }
        Some(Refusal::Elsewhere) => {
            "let the installer use the network card and the address that its loader had: an order's files are given to \
             its host's leases alone"
        }
        Some(Refusal::OrderWaits) => {
            "`bootlane host explain` says what keeps the order from beginning; boot it again after that"
        }
        Some(Refusal::NoSuchFile) => "mend the file's name in the profile's kernel arguments",
        Some(Refusal::NoLease | Refusal::AttemptOver | Refusal::NothingToBoot | Refusal::NotHere) | None => {
            "boot it again"
        }
    };
    Some(Finding {
        cause: Cause::AnswerRefused,
        stopped_at: format!("its installer asked for {name} and was refused"),
        expected: "an answer file that is given".into(),
        likely: why.to_owned(),
        remedy: remedy.into(),
        certainty: Certainty::Seen,
        evidence: match refusal {
            Some(Refusal::OrderEnded | Refusal::TimeOver) => window(case).into_iter().collect(),
            Some(Refusal::Elsewhere) => leased_here(case).into_iter().collect(),
            Some(
                Refusal::OrderWaits
                | Refusal::NoSuchFile
                | Refusal::NoLease
                | Refusal::AttemptOver
                | Refusal::NothingToBoot
                | Refusal::NotHere,
            )
            | None => Vec::new(),
        },
    })
}

/// It says nothing any more, or takes longer than ever.
pub(super) fn installer_silent(case: &Case<'_>) -> Option<Finding> {
    if case.last_step() != Some(Step::Installation) {
        return None;
    }
    let began = case.stages.iter().find(|stage| stage.step == Step::Installation)?.began;
    let (runs, quiet) = (case.context.now.since(began), case.context.now.since(case.boot.last_ms));
    let usual = case.context.usual;
    let overdue = usual.is_some_and(|usual| quiet > QUIET && runs > usual.longest * 2);
    match case.standing {
        Standing::Silent => {}
        Standing::UnderWay if overdue => {}
        Standing::UnderWay | Standing::Ended => return None,
    }
    let last =
        case.progress().map_or_else(|| "its answer file".to_owned(), |progress| format!("\"{progress}\""));
    let usually = usual.map_or_else(String::new, |usual| {
        format!(", and installations of this image take {} here", length(usual.median))
    });
    Some(Finding {
        cause: Cause::InstallerSilent,
        stopped_at: format!(
            "its installer was last heard {} ago at {last}, {} after it began{usually}",
            length(quiet),
            length(case.boot.last_ms.since(began))
        ),
        expected: "the installer's next report, or its word that it is done".into(),
        likely: "it stands at a question or an error on its screen, or does not reach a package source".into(),
        remedy: "look at its screen, and at its syslog lines in `bootlane boot show`; `bootlane mirror list` tells whether the mirrors \
                 of packages are well".into(),
        certainty: if case.is_silent() { Certainty::Likely } else { Certainty::Possible },
        evidence: Vec::new(),
    })
}

/// An installer that is heard every few minutes is at work, however long it takes.
const QUIET: Duration = Duration::from_secs(300);

/// When its order could begin.
fn window(case: &Case<'_>) -> Option<String> {
    case.context.ordered.as_ref().map(|order| order.window(case.context.now))
}

/// The address from which its order's files are given.
fn leased_here(case: &Case<'_>) -> Option<String> {
    let address = case.leased(|_| true)?;
    Some(format!("the agent leased {address} to the order's host in this boot"))
}

/// The agent's words for an installation whose time was over.
fn took_too_long(reason: &str) -> bool {
    reason.starts_with("the installer did not say that it had ended")
}

/// The last step of its order.
fn last_move<'a>(case: &Case<'a>) -> Option<(OrderPhase, &'a str)> {
    case.kinds().rev().find_map(|kind| {
        let EventKind::OrderMoved { phase, reason, .. } = kind else { return None };
        Some((*phase, reason.as_str()))
    })
}

type Refused<'a> = (usize, &'a str, Option<Refusal>, &'a str);

fn refused_by_token((at, kind): (usize, &EventKind)) -> Option<Refused<'_>> {
    let EventKind::FileRefused { name, refusal, why, by_token: true, .. } = kind else { return None };
    Some((at, name.rsplit('/').next().unwrap_or(name), *refusal, why))
}

/// Is it the order's file of this name, on its way to the order's machine?
fn is_answer(kind: &EventKind, wanted: &str) -> bool {
    let EventKind::FileServed { stage: Stage::Answer, name, .. } = kind else { return false };
    name.rsplit('/').next() == Some(wanted)
}

fn is_given_by_token(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::FileServed { stage: Stage::Answer | Stage::Image, .. }
            | EventKind::OrderMoved { phase: OrderPhase::Installed, .. }
    )
}

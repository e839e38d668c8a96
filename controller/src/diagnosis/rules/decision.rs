//! The machine was told to boot its disk, and somebody wanted otherwise.

use proto::event::{Answer, Because, EventKind};

use crate::diagnosis::case::Case;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::context::OrderState;
use crate::diagnosis::finding::{Certainty, Finding};

/// It shows another UUID than the one that is recorded.
pub(super) fn identity_disagrees(case: &Case<'_>) -> Option<Finding> {
    let (_, reason) = told_to_boot_disk(case).filter(|(because, _)| *because == Because::Identity)?;
    Some(Finding {
        cause: Cause::IdentityDisagrees,
        stopped_at: "it was told to boot its disk".into(),
        expected: "the machine that is recorded for this address".into(),
        likely: reason.to_owned(),
        remedy: "if its mainboard was changed, write the new UUID into the host (`bootlane host set NAME --uuid UUID`); else \
                 its network card sits in another machine now: find out in which"
            .into(),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

/// No loader of its site is for its firmware.
pub(super) fn no_loader(case: &Case<'_>) -> Option<Finding> {
    let (_, reason) = told_to_boot_disk(case).filter(|(because, _)| *because == Because::NoLoader)?;
    Some(Finding {
        cause: Cause::NoLoader,
        stopped_at: "it was told to boot its disk".into(),
        expected: "a loader that its firmware can run".into(),
        likely: reason.split("; ").next().unwrap_or(reason).to_owned(),
        remedy: "import a loader for its architecture (`bootlane image import FOLDER --family loaders --name NAME --loader \
                 PLATFORM=FILE`) and name that image as `loaders` of the site, the profile or the host"
            .into(),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

/// An order stands, and its agent does not obey it.
pub(super) fn order_not_obeyed(case: &Case<'_>) -> Option<Finding> {
    let (because, reason) = told_to_boot_disk(case)?;
    let (likely, remedy) = match because {
        Because::Locked => (
            reason.to_owned(),
            "unlock it (`bootlane host set NAME --unlock`) if it may be installed; where the reason names the plan, `bootlane \
             alarm list` says which part its agent does not understand",
        ),
        Because::OrderDoubt => {
            (format!("its order is not obeyed: {reason}"), "revoke the order and make a new one")
        }
        Because::Clock => (
            reason.to_owned(),
            "set the clock of the agent's machine right (NTP), and let the agent reach the controller",
        ),
        Because::DiskFull => (
            reason.to_owned(),
            "make room on the disk of the agent's machine: no order is begun that could not be recorded",
        ),
        Because::NothingStands => return order_not_known(case),
        Because::Order
        | Because::Profile
        | Because::UnknownMachine
        | Because::System
        | Because::Identity
        | Because::ImageIncomplete
        | Because::NoLoader => return None,
    };
    Some(not_obeyed(likely, remedy))
}

/// The catalog has an order that was there before the attempt, and the agent knew of none.
fn order_not_known(case: &Case<'_>) -> Option<Finding> {
    let order = case.context.order.as_ref().filter(|order| order.state == OrderState::Armed)?;
    if order.since >= case.boot.began_ms {
        return None;
    }
    let agent = case.context.agent.as_ref().filter(|agent| !agent.current)?;
    let refused =
        if agent.refused.is_empty() { String::new() } else { format!(": it refused it, {}", agent.refused) };
    Some(Finding {
        cause: Cause::PlanNotObeyed,
        stopped_at: format!("it was told to boot its disk, though order {} waits for it", order.number),
        expected: format!("the installation of {}", order.profile),
        likely: format!("agent {} does not obey the newest plan of its site{refused}", agent.name),
        remedy: format!("look at `bootlane agent get {}`; update or restart that agent", agent.name),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

fn not_obeyed(likely: String, remedy: &str) -> Finding {
    Finding {
        cause: Cause::OrderNotObeyed,
        stopped_at: "it was told to boot its disk".into(),
        expected: "the installation that its order permits".into(),
        likely,
        remedy: remedy.into(),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    }
}

/// The last decision, if that was the disk: what it rests on, and why in words.
pub(super) fn told_to_boot_disk<'a>(case: &Case<'a>) -> Option<(Because, &'a str)> {
    let (answer, because, reason) = case.kinds().rev().find_map(|kind| {
        let EventKind::Decided { answer, because, reason, .. } = kind else { return None };
        Some((*answer, *because, reason.as_str()))
    })?;
    (answer == Answer::LocalDisk).then_some((because?, reason))
}

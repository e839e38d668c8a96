//! What it boots is not at its site yet.

use std::time::Duration;

use proto::event::{Because, Breakage, EventKind};

use super::decision::told_to_boot_disk;
use crate::diagnosis::case::Case;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::context::{Context, OrderState, Supply, SupplyState};
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::stage::Step;
use crate::diagnosis::standing::Standing;
use crate::diagnosis::words::{length, size};

/// What is heard of more often comes on.
const PAUSE: Duration = Duration::from_secs(5);

/// The machine was sent to its disk for it, or waits at a file that is still arriving.
pub(super) fn image_arriving(case: &Case<'_>) -> Option<Finding> {
    if let Some((Because::ImageIncomplete, reason)) = told_to_boot_disk(case) {
        let remedy = "let the agent reach the controller, or name the image in the site's `prefetch` before the link goes";
        let finding =
            arriving(case.context, "it was told to boot its disk".into(), reason.to_owned(), remedy);
        return Some(Finding { certainty: Certainty::Seen, ..finding });
    }
    let supply = case.context.supply.as_ref().filter(|supply| is_awaited(supply))?;
    let fetches = match case.last_step()? {
        Step::Loader | Step::Script | Step::Kernel | Step::System | Step::AnswerFile | Step::Installation => {
            true
        }
        Step::RomAddress | Step::LoaderAddress => false,
    };
    let waits = match case.standing {
        Standing::UnderWay => fetches && case.context.now.since(case.boot.last_ms) >= PAUSE,
        Standing::Silent => broke_for_want_of_bytes(case),
        Standing::Ended => false,
    };
    let at = case.last_step().map_or("boot", Step::title);
    waits.then(|| {
        arriving(
            case.context,
            format!("it waits for bytes at the stage of the {at}"),
            forecast(case.context, supply),
            &supply.remedy,
        )
    })
}

/// Its order is no permission before its site holds what it needs.
pub(super) fn order_waits(context: &Context) -> Option<Finding> {
    let order = context.order.as_ref().filter(|order| order.state == OrderState::Waiting)?;
    let likely = context.supply.as_ref().map_or_else(
        || "its site does not hold all that it needs".to_owned(),
        |supply| forecast(context, supply),
    );
    let remedy = context.supply.as_ref().map_or("", |supply| supply.remedy.as_str());
    let stopped_at = format!("order {} does not stand before its site holds what it installs", order.number);
    Some(Finding { certainty: Certainty::Seen, ..arriving(context, stopped_at, likely, remedy) })
}

fn arriving(context: &Context, stopped_at: String, likely: String, remedy: &str) -> Finding {
    let image = context.boots.as_ref().map(|boots| boots.image.as_str()).filter(|image| !image.is_empty());
    let expected = image.map_or_else(|| "its image".to_owned(), |image| format!("image {image}"));
    let remedy =
        if remedy.is_empty() { "wait; `bootlane image status` shows how much has come" } else { remedy };
    Finding {
        cause: Cause::ImageArriving,
        stopped_at,
        expected: format!("{expected}, whole at the site"),
        likely,
        remedy: remedy.into(),
        certainty: Certainty::Likely,
        evidence: Vec::new(),
    }
}

fn is_awaited(supply: &Supply) -> bool {
    match supply.state {
        SupplyState::Arriving | SupplyState::Failed => true,
        SupplyState::Ready | SupplyState::Unknown => false,
    }
}

/// `1.2 GiB of 3.4 GiB are there, the rest in about 12 min`.
fn forecast(context: &Context, supply: &Supply) -> String {
    let (held, all) = (size(supply.held), size(supply.bytes));
    let why = if supply.why.is_empty() { String::new() } else { format!(" ({})", supply.why) };
    match supply.done {
        Some(done) => {
            format!(
                "{held} of {all} are at its site, the rest in about {}{why}",
                length(done.since(context.now))
            )
        }
        None => format!("{held} of {all} are at its site, and nobody knows when the rest will be{why}"),
    }
}

fn broke_for_want_of_bytes(case: &Case<'_>) -> bool {
    let last = case
        .kinds()
        .rev()
        .find(|kind| matches!(kind, EventKind::FileServed { .. } | EventKind::FileBroken { .. }));
    matches!(last, Some(EventKind::FileBroken { breakage: Some(Breakage::NotHere), .. }))
}

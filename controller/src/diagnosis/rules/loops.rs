//! Attempts that follow each other, and what no rule explains.

use std::time::Duration;

use crate::diagnosis::case::Case;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::stage::Step;
use crate::diagnosis::words::length;
use crate::events::{BootSummary, Outcome};

/// So many attempts that came to nothing...
const ATTEMPTS: usize = 4;
/// ...that began within so long are a loop.
const WINDOW: Duration = Duration::from_secs(3_600);

/// It begins again and again.
pub(super) fn loops(case: &Case<'_>) -> Option<Finding> {
    if comes_to_something(case.boot) {
        return None;
    }
    let vain = case.context.former.iter().take_while(|former| {
        !comes_to_something(former) && case.boot.began_ms.since(former.began_ms) < WINDOW
    });
    let (count, first) =
        vain.fold((1, case.boot.began_ms), |(count, _), former| (count + 1, former.began_ms));
    if count < ATTEMPTS {
        return None;
    }
    let at = case.last_step().map_or("its beginning", Step::title);
    Some(Finding {
        cause: Cause::Loops,
        stopped_at: format!(
            "it began {count} times within {} and came to no end, the last time at: {at}",
            length(case.boot.last_ms.since(first))
        ),
        expected: "an end: its disk, a system that is up, an installation".into(),
        likely: "what it boots resets it, or its firmware tries network boot over and over".into(),
        remedy: "see what the attempt's other findings say, and put its disk behind the network in its boot order, not \
                 the network alone"
            .into(),
        certainty: Certainty::Seen,
    })
}

/// It fell silent, and no rule knows why.
pub(super) fn unexplained(case: &Case<'_>) -> Option<Finding> {
    if !case.is_silent() || comes_to_something(case.boot) {
        return None;
    }
    let at = case.last_step().map_or("its beginning", Step::title);
    Some(Finding {
        cause: Cause::Unexplained,
        stopped_at: format!("nothing was heard of it after: {at}"),
        expected: "its next step".into(),
        likely: "it was turned off or reset, or its link is down".into(),
        remedy: "look at its screen, and boot it again".into(),
        certainty: Certainty::Possible,
    })
}

fn comes_to_something(boot: &BootSummary) -> bool {
    match boot.outcome {
        Outcome::LocalDisk | Outcome::Installed | Outcome::Up => true,
        Outcome::Running | Outcome::Failed => false,
    }
}

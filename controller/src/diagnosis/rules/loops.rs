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
    let vain: Vec<_> = case
        .context
        .former
        .iter()
        .take_while(|former| {
            !comes_to_something(former) && case.boot.began_ms.since(former.began_ms) < WINDOW
        })
        .collect();
    let count = vain.len() + 1;
    let first = vain.last()?.began_ms;
    if count < ATTEMPTS {
        return None;
    }
    let at = case.last_step().map_or("beginning", Step::title);
    let (likely, remedy) = match case.last_step() {
        Some(Step::System | Step::AnswerFile | Step::Installation) => (
            "the system that it boots resets it (a panic, a watchdog), or somebody does, since no firmware comes back to \
             the network while a kernel runs",
            "look at its screen or serial console for the last lines before the reset; another profile shows whether the \
             image or the machine is at fault",
        ),
        Some(Step::RomAddress | Step::Loader | Step::LoaderAddress | Step::Script | Step::Kernel) | None => (
            "its firmware or its loader gives up and tries again, over and over",
            "see what the other findings say of where it stops; so that it does not try for ever, put its disk behind the \
             network in its boot order",
        ),
    };
    Some(Finding {
        cause: Cause::Loops,
        stopped_at: format!(
            "it began to boot {count} times within {} and came to no end, the last time at the {at}",
            length(case.boot.last_ms.since(first))
        ),
        expected: "an end: its disk, a system that is up, an installation".into(),
        likely: likely.into(),
        remedy: remedy.into(),
        certainty: Certainty::Seen,
        evidence: vec![came_to(&vain), pauses(case.boot, &vain)],
    })
}

/// How far the attempts before it came.
fn came_to(former: &[&BootSummary]) -> String {
    let mut stages: Vec<_> = former.iter().map(|former| former.stage.as_str()).collect();
    stages.dedup();
    match stages.as_slice() {
        [one] => format!("each attempt before it came as far as this: {one}"),
        several => format!("the attempts before it came to, the latest first: {}", several.join(", ")),
    }
}

/// How soon each began after the last word of the one before: what runs resets it after so long.
fn pauses(last: &BootSummary, former: &[&BootSummary]) -> String {
    let began = std::iter::once(last).chain(former.iter().copied()).map(|boot| boot.began_ms);
    let pauses: Vec<_> = began.zip(former).map(|(began, before)| began.since(before.last_ms)).collect();
    let (least, most) = (pauses.iter().min(), pauses.iter().max());
    let [least, most] = [least, most].map(|pause| length(pause.copied().unwrap_or_default()));
    if least == most {
        return format!("each began {least} after the last word of the one before");
    }
    format!("each began {least} to {most} after the last word of the one before")
}

/// It fell silent, and no rule knows why.
pub(super) fn unexplained(case: &Case<'_>) -> Option<Finding> {
    // What its profile runs and was heard of need not say more.
    let runs = case.last_step() == Some(Step::System) && case.is_awake() && !case.may_install();
    if !case.is_silent() || comes_to_something(case.boot) || runs {
        return None;
    }
    let at = case.last_step().map_or("beginning", Step::title);
    Some(Finding {
        cause: Cause::Unexplained,
        stopped_at: format!("nothing was heard of it after the {at}"),
        expected: "its next step".into(),
        likely: "it was turned off or reset, or its link is down".into(),
        remedy: "look at its screen and boot it again; `bootlane boot capture` has its packets".into(),
        certainty: Certainty::Possible,
        evidence: Vec::new(),
    })
}

fn comes_to_something(boot: &BootSummary) -> bool {
    match boot.outcome {
        Outcome::LocalDisk | Outcome::Installed | Outcome::Up => true,
        Outcome::Running | Outcome::Failed => false,
    }
}

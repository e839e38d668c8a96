//! From the script to the first word of what the kernel runs.

use proto::event::Client;
use proto::plan::Stage;

use crate::diagnosis::case::Case;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::stage::Step;
use crate::diagnosis::words::size;

/// Its loader has its script and fetches nothing by it.
pub(super) fn no_kernel_asked(case: &Case<'_>) -> Option<Finding> {
    let script = case.served(Stage::Script)?;
    if !case.is_silent() || case.last_step() != Some(Step::Script) {
        return None;
    }
    Some(Finding {
        cause: Cause::NoKernelAsked,
        stopped_at: format!("its loader was given {script} and asked for no kernel"),
        expected: "a request for the kernel".into(),
        likely: "the loader stands at an error or a question on its screen, or cannot fetch from where the script says"
            .into(),
        remedy: "look at its screen; if the profile has a script of its own, try it with `bootlane host simulate`".into(),
        certainty: Certainty::Likely,
    })
}

/// It has its kernel, and nothing that runs there is heard.
pub(super) fn kernel_silent(case: &Case<'_>) -> Option<Finding> {
    let kernel = case.stages.iter().rev().find(|stage| stage.step == Step::Kernel)?;
    if !case.is_silent() || case.last_step() != Some(Step::System) || case.is_awake() {
        return None;
    }
    let installs = case.context.boots.as_ref().is_none_or(|boots| boots.installs);
    let (sign, what) = match installs {
        true => ("an installer's DHCPDISCOVER, or its request for the answer file", "installer"),
        false => ("the system's DHCPDISCOVER", "system"),
    };
    Some(Finding {
        cause: Cause::KernelSilent,
        stopped_at: format!(
            "it fetched kernel and RAM disk ({}) and no {what} was ever heard",
            size(kernel.bytes)
        ),
        expected: sign.into(),
        likely: "the kernel stopped: too little memory, no driver for its network card, or arguments that do not fit".into(),
        remedy: "look at its screen or serial console; give it memory for twice the RAM disk's unpacked size, or a \
                 kernel and RAM disk with its driver"
            .into(),
        certainty: Certainty::Likely,
    })
}

/// An installer runs there, and does not ask what to do.
pub(super) fn no_answer_asked(case: &Case<'_>) -> Option<Finding> {
    if !case.is_silent() || case.last_step() != Some(Step::System) || !case.is_awake() {
        return None;
    }
    let address = case.leased(|client| client == Client::Os);
    let took =
        address.map_or_else(|| "was heard".to_owned(), |address| format!("took the address {address}"));
    Some(Finding {
        cause: Cause::NoAnswerAsked,
        stopped_at: format!("what its kernel runs {took} and never asked for its answer file or image"),
        expected: "a request for the order's answer file or image, or a report".into(),
        likely: "it cannot reach the agent by HTTP, or the kernel's arguments name no answer file that it understands"
            .into(),
        remedy: "look at its screen; let TCP port 80 of the agent be reached with the address that it took, and try the \
                 profile with `bootlane host simulate`"
            .into(),
        certainty: Certainty::Likely,
    })
}

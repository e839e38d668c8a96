//! From the script to the first word of what the kernel runs.

use proto::event::Client;
use proto::plan::Stage;

use crate::diagnosis::case::Case;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::neighbour::Others;
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
        likely: "the loader stands at an error or a question on its screen, or does not reach the server that the script \
                 names"
            .into(),
        remedy: "look at its screen; `bootlane host simulate` shows the script and what each of its files would be".into(),
        certainty: Certainty::Likely,
        evidence: vec![Others::of(case).say_of(Step::Kernel)],
    })
}

/// It has its kernel, and nothing that runs there is heard.
pub(super) fn kernel_silent(case: &Case<'_>) -> Option<Finding> {
    let kernel = case.stages.iter().rev().find(|stage| stage.step == Step::Kernel)?;
    if !case.is_silent() || case.last_step() != Some(Step::System) || case.is_awake() {
        return None;
    }
    let (sign, what) = match case.may_install() {
        true => ("an installer's DHCPDISCOVER, or its request for the answer file", "installer"),
        false => ("the system's DHCPDISCOVER", "system"),
    };
    Some(Finding {
        cause: Cause::KernelSilent,
        stopped_at: format!(
            "it fetched its kernel and RAM disk ({}), and no {what} was ever heard",
            size(kernel.bytes)
        ),
        expected: sign.into(),
        likely: "the kernel stopped: too little memory, no driver for its network card, or wrong kernel arguments".into(),
        remedy: "look at its screen or serial console: if it ran out of memory, give it twice the RAM disk's unpacked size; \
                 if it finds no network card, boot a kernel and RAM disk with its driver; if an argument is wrong, mend \
                 the profile's"
            .into(),
        certainty: Certainty::Likely,
        evidence: vec![
            Others::of(case).say("were heard after their kernel had started", |other| other.runs_kernel()),
        ],
    })
}

/// An installer runs there, and does not ask what to do.
pub(super) fn no_answer_asked(case: &Case<'_>) -> Option<Finding> {
    let stopped = case.is_silent() && case.last_step() == Some(Step::System) && case.is_awake();
    if !stopped || !case.may_install() {
        return None;
    }
    let address = case.leased(|client| client == Client::Os);
    let took =
        address.map_or_else(|| "was heard".to_owned(), |address| format!("took the address {address}"));
    Some(Finding {
        cause: Cause::NoAnswerAsked,
        stopped_at: format!("its installer {took} and never asked for its answer file or image"),
        expected: "a request for the order's answer file or image, or a report".into(),
        likely: "it does not reach the agent by HTTP, or its kernel arguments do not name the answer file as this \
                 installer expects it"
            .into(),
        remedy: "look at its screen; let TCP port 80 of the agent be reached from the address that it took; `bootlane \
                 host simulate` shows its kernel arguments"
            .into(),
        certainty: Certainty::Likely,
        evidence: vec![Others::of(case).say_of(Step::AnswerFile)],
    })
}

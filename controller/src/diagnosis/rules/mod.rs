//! The rules, in the order in which their findings answer. Each is a small pure function over one attempt ([`Case`]), or
//! over what is known of a machine that nothing was heard of.

mod address;
mod decision;
mod installer;
mod kernel;
mod loader;
mod loops;
mod silence;
mod supply;
mod transfer;

use super::case::Case;
use super::cause::Cause;
use super::context::Context;
use super::finding::Finding;

type Rule = fn(&Case<'_>) -> Option<Finding>;

/// What was seen to go wrong stands before what is concluded from silence, and what names one cause before what names
/// several.
const RULES: &[Rule] = &[
    decision::identity_disagrees,
    decision::no_loader,
    decision::order_not_obeyed,
    installer::installer_failed,
    installer::answer_refused,
    installer::order_ended,
    supply::image_arriving,
    silence::agent_away,
    address::foreign_offer_taken,
    address::address_in_use,
    address::pool_empty,
    address::pool_waits_for_room,
    transfer::stopped_at_size_probe,
    transfer::block_too_large,
    transfer::stuck_retransmitting,
    transfer::transfer_broken,
    loader::wrong_loader,
    loader::file_missing,
    address::offer_not_taken,
    address::nothing_asked,
    loader::loader_silent,
    kernel::no_kernel_asked,
    kernel::kernel_silent,
    kernel::no_answer_asked,
    installer::installer_silent,
    loops::loops,
];

/// Of a machine that was to boot and was not heard.
const SILENCE: &[fn(&Context) -> Option<Finding>] = &[
    silence::unknown_machine,
    silence::order_waits_for_room,
    supply::order_waits,
    silence::agent_silent,
    silence::plan_not_obeyed,
    silence::host_locked,
    silence::dhcp_off,
    silence::not_heard,
];

/// What a finding leaves no room for: the other is a consequence of it, or says less of the same.
const fn explains(found: Cause) -> &'static [Cause] {
    match found {
        // Its silence is the agent's.
        Cause::AgentAway => SILENT,
        Cause::DhcpOff => &[Cause::NotHeard],
        Cause::WrongLoader => &[Cause::LoaderSilent],
        Cause::AnswerRefused => &[Cause::OrderEnded, Cause::NoAnswerAsked, Cause::KernelSilent],
        // Whose own address is taken gets none of an empty pool, either.
        Cause::AddressInUse => &[Cause::PoolEmpty, Cause::OfferNotTaken],
        Cause::ForeignOfferTaken => {
            &[Cause::AddressInUse, Cause::PoolEmpty, Cause::OfferNotTaken, Cause::NothingAsked]
        }
        Cause::BlockTooLarge => &[Cause::StuckRetransmitting, Cause::TransferBroken],
        Cause::StuckRetransmitting => &[Cause::TransferBroken],
        Cause::ImageArriving => &[Cause::TransferBroken, Cause::NoKernelAsked, Cause::FileMissing],
        Cause::StoppedAtSizeProbe => &[Cause::NothingAsked],
        Cause::NotHeard
        | Cause::PlanNotObeyed
        | Cause::UnknownMachine
        | Cause::PoolEmpty
        | Cause::OfferNotTaken
        | Cause::NothingAsked
        | Cause::TransferBroken
        | Cause::NoLoader
        | Cause::LoaderSilent
        | Cause::FileMissing
        | Cause::NoKernelAsked
        | Cause::KernelSilent
        | Cause::NoAnswerAsked
        | Cause::InstallerSilent
        | Cause::InstallerFailed
        | Cause::OrderEnded
        | Cause::OrderNotObeyed
        | Cause::IdentityDisagrees
        | Cause::Loops
        | Cause::Unexplained => &[],
    }
}

/// What is concluded from silence alone.
const SILENT: &[Cause] = &[
    Cause::NotHeard,
    Cause::OfferNotTaken,
    Cause::NothingAsked,
    Cause::StoppedAtSizeProbe,
    Cause::FileMissing,
    Cause::LoaderSilent,
    Cause::NoKernelAsked,
    Cause::KernelSilent,
    Cause::NoAnswerAsked,
    Cause::InstallerSilent,
];

/// What is wrong with an attempt, the answer first.
pub(super) fn of_attempt(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = unexplained_by_others(RULES.iter().filter_map(|rule| rule(case)).collect());
    if findings.is_empty() {
        findings.extend(loops::unexplained(case));
    }
    findings
}

/// What is wrong where nothing was heard, the answer first.
pub(super) fn of_silence(context: &Context) -> Vec<Finding> {
    unexplained_by_others(SILENCE.iter().filter_map(|rule| rule(context)).collect())
}

/// Those that none of them explains: advice against what cannot be the cause misleads.
fn unexplained_by_others(mut findings: Vec<Finding>) -> Vec<Finding> {
    let explained: Vec<_> = findings.iter().flat_map(|finding| explains(finding.cause)).copied().collect();
    findings.retain(|finding| !explained.contains(&finding.cause));
    findings
}

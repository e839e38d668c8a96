//! The rules, in the order in which their findings answer. Each is a small pure function.

mod address;

use super::case::Case;
use super::context::Context;
use super::finding::Finding;

type Rule = fn(&Case<'_>) -> Option<Finding>;

/// What was seen to go wrong stands before what may only be concluded from silence.
const RULES: &[Rule] = &[address::foreign_offer_taken, address::offer_not_taken, address::nothing_asked];

/// What is wrong with an attempt.
pub(super) fn of_attempt(case: &Case<'_>) -> Vec<Finding> {
    RULES.iter().filter_map(|rule| rule(case)).collect()
}

/// What is wrong where nothing was heard.
pub(super) fn of_silence(_context: &Context) -> Vec<Finding> {
    Vec::new()
}

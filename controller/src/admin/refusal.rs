//! What callers are told when something is refused.

use proto::catalog::Problem;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::{
    catalog::{
        ChangeError, CommitError, ReadError,
        roles::{AccessError, Denied},
        write::{Effect, Outcome, WriteError},
    },
    store::TxnError,
};

/// The most violations of one answer: they travel in a header, which is bounded.
const VIOLATIONS: usize = 20;
/// The longest name of a field, in characters.
const FIELD: usize = 200;
/// The longest texts of all violations of one answer together, in characters: one alone may have them all.
const TEXTS: usize = 4_000;

pub(super) fn denied(denied: &Denied) -> Status {
    let text = denied.to_string();
    match denied {
        // Whoever it is, it is no operator: no role would help.
        Denied::NotAnOperator(_) | Denied::Unknown(_) | Denied::Revoked(_) => Status::unauthenticated(text),
        Denied::Role { .. } | Denied::Site { .. } => Status::permission_denied(text),
    }
}

pub(super) fn access(error: AccessError) -> Status {
    match error {
        AccessError::Denied(error) => denied(&error),
        AccessError::Read(error) => read(error),
    }
}

pub(super) fn read(error: ReadError) -> Status {
    match error {
        ReadError::Name(error) => Status::invalid_argument(error.to_string()),
        ReadError::Store(error) => {
            tracing::error!(%error, "the catalog cannot be read");
            Status::unavailable(format!("the catalog cannot be read: {error}"))
        }
        ReadError::Damaged { .. } => {
            tracing::error!(%error, "the catalog holds what this build does not read");
            Status::data_loss(error.to_string())
        }
    }
}

pub(super) fn commit(error: CommitError) -> Status {
    let text = error.to_string();
    match error {
        CommitError::Read(error) => read(error),
        CommitError::Conflict => Status::aborted(format!("{text}: try again")),
        CommitError::TooLarge { .. } | CommitError::Handover { .. } => Status::invalid_argument(text),
        CommitError::NoRandomness => Status::internal(text),
        CommitError::Store(error) => store(&error),
    }
}

/// What to do about a store whose disk takes no writes.
const ROOM: &str =
    "make room on the disk of the controller's state, or replace it; it is tried again by itself";

fn store(error: &TxnError) -> Status {
    tracing::error!(%error, "the catalog takes no writes");
    match error {
        TxnError::QuotaExceeded { .. } => Status::resource_exhausted(error.to_string()),
        TxnError::Unknown { .. } => Status::failed_precondition(format!(
            "{error}: {ROOM}; look whether it is there before you repeat it"
        )),
        TxnError::ReadOnly { .. } => Status::failed_precondition(format!("{error}: {ROOM}")),
        TxnError::Closed => Status::unavailable(error.to_string()),
        TxnError::TooManyOperations { .. } | TxnError::TooLarge { .. } => {
            Status::invalid_argument(error.to_string())
        }
        TxnError::Conflict { .. } | TxnError::DuplicateKey { .. } => Status::aborted(error.to_string()),
    }
}

pub(super) fn change(error: ChangeError) -> Status {
    match error {
        ChangeError::Denied(error) => denied(&error),
        ChangeError::Refused { problems } => invalid(&problems),
        ChangeError::NotFound { .. } => Status::not_found(error.to_string()),
        ChangeError::Precondition(text) => Status::failed_precondition(text),
        ChangeError::Commit(error) => commit(error),
    }
}

pub(super) fn write(error: WriteError) -> Status {
    match error {
        WriteError::Denied(error) => denied(&error),
        WriteError::Refused { outcomes } => refused(&outcomes),
        WriteError::TooMany(_) => Status::invalid_argument(error.to_string()),
        WriteError::Commit(error) => commit(error),
        WriteError::Seal(_) => Status::internal(error.to_string()),
    }
}

/// All that is wrong with the documents of a request.
pub(super) fn refused(outcomes: &[Outcome]) -> Status {
    let refused = || outcomes.iter().filter(|outcome| outcome.effect == Effect::Refused);
    let code = if refused().all(|outcome| outcome.conflict) { Code::Aborted } else { Code::InvalidArgument };
    let of = |outcome: &Outcome| {
        let at = format!("{}/{}", outcome.kind, outcome.name);
        let problems = outcome.problems.clone().into_iter();
        problems.map(move |problem| Problem::new(format!("{at}:{}", problem.field), problem.message))
    };
    status(code, &refused().flat_map(of).collect::<Vec<_>>())
}

/// All that is wrong with the fields of a request.
pub(super) fn invalid(problems: &[Problem]) -> Status {
    status(Code::InvalidArgument, problems)
}

/// A mistake in one field of a request.
pub(super) fn field(field: &str, message: impl Into<String>) -> Status {
    invalid(&[Problem::new(field, message)])
}

fn status(code: Code, problems: &[Problem]) -> Status {
    let shown = &problems[..problems.len().min(VIOLATIONS)];
    let share = TEXTS / shown.len().max(1);
    let violation =
        |problem: &Problem| FieldViolation::new(cut(&problem.field, FIELD), cut(&problem.message, share));
    let details = ErrorDetails::with_bad_request(shown.iter().map(violation).collect::<Vec<_>>());
    let text = match problems.len() {
        1 => "refused because of one field".to_owned(),
        count if count > VIOLATIONS => {
            format!("refused because of {count} fields, the first {VIOLATIONS} of which follow")
        }
        count => format!("refused because of {count} fields"),
    };
    Status::with_error_details(code, text, details)
}

/// What is cut ends in a mark of it.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(problems: &[Problem]) -> Vec<String> {
        let details = invalid(problems).get_error_details();
        let violations = details.bad_request().map(|request| request.field_violations.clone());
        violations.unwrap_or_default().into_iter().map(|violation| violation.description).collect()
    }

    #[test]
    fn a_long_list_is_whole_where_it_is_alone() {
        let list = "uefi-x65".parse::<rom::Firmware>().expect_err("none").to_string();
        assert_eq!(texts(&[Problem::new("firmware", list.clone())]), [list]);
    }

    #[test]
    fn many_share_what_a_header_carries_and_say_that_they_are_cut() {
        let problems: Vec<_> = (0..30).map(|_| Problem::new("spec", "x".repeat(1_000))).collect();
        let texts = texts(&problems);
        assert_eq!(texts.len(), VIOLATIONS);
        assert!(texts.iter().all(|text| text.chars().count() == TEXTS / VIOLATIONS && text.ends_with('…')));
    }
}

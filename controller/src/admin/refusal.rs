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
/// The longest text of one violation, in characters.
const TEXT: usize = 200;

pub(super) fn denied(denied: &Denied) -> Status {
    Status::permission_denied(denied.to_string())
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

fn store(error: &TxnError) -> Status {
    tracing::error!(%error, "the catalog takes no writes");
    match error {
        TxnError::QuotaExceeded { .. } => Status::resource_exhausted(error.to_string()),
        TxnError::Unknown { .. } => Status::unknown(error.to_string()),
        TxnError::ReadOnly { .. } => {
            let remedy =
                "make room on the disk of the controller's state, or replace it; it is tried again by itself";
            Status::unavailable(format!("{error}: {remedy}"))
        }
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
    let cut = |text: &str| text.chars().take(TEXT).collect::<String>();
    let violation = |problem: &Problem| FieldViolation::new(cut(&problem.field), cut(&problem.message));
    let details =
        ErrorDetails::with_bad_request(problems.iter().take(VIOLATIONS).map(violation).collect::<Vec<_>>());
    let text = match problems.len() {
        1 => "refused because of one field".to_owned(),
        count if count > VIOLATIONS => {
            format!("refused because of {count} fields, the first {VIOLATIONS} of which follow")
        }
        count => format!("refused because of {count} fields"),
    };
    Status::with_error_details(code, text, details)
}

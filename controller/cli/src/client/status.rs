//! What a refusal of the controller means to the caller: exit code, sentence, remedy.

use std::error::Error;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::failure::{Exit, Failure, chain};
use crate::output::plain_lines;

/// As much of a controller's message is shown.
const MESSAGE: usize = 4_000;

/// The failure of a call, which `action` names: "get Host web-1".
pub(crate) fn failure(action: &str, status: &Status) -> Failure {
    if let Some(broken) = broken_connection(status) {
        return Failure::new(Exit::Unreachable, format!("failed to {action}: {broken}"))
            .remedy("nothing is known of how far it came; the same command can be given again");
    }
    let exit = exit_of(status.code());
    let failure = Failure::new(exit, format!("failed to {action}: {}", message(status)));
    match remedy(status.code()) {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}

fn exit_of(code: Code) -> Exit {
    match code {
        Code::NotFound => Exit::NotFound,
        Code::AlreadyExists | Code::Aborted => Exit::Conflict,
        Code::PermissionDenied | Code::Unauthenticated => Exit::Denied,
        Code::Unavailable => Exit::Unreachable,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => Exit::Failed,
    }
}

fn remedy(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => {
            Some("an admin makes a new credential, by another name, with `bootlane operator add`")
        }
        Code::PermissionDenied => Some(
            "`bootlane whoami` shows who you are and what you may do; an admin gives another role with `bootlane operator set`",
        ),
        Code::Aborted => Some("somebody else wrote meanwhile: look at it again, then repeat the command"),
        Code::Unimplemented => {
            Some("the controller is older than this program: `bootlane whoami` shows its version")
        }
        Code::Unavailable => {
            Some("if the controller is only starting or stopping, try again shortly; else its log says more")
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss => None,
    }
}

/// The controller's sentence, then the fields that it complains of.
fn message(status: &Status) -> String {
    let mut text = match status.message() {
        "" => format!("the controller said only {:?}", status.code()),
        message => message.to_owned(),
    };
    let details = status.get_error_details();
    for violation in details.bad_request().into_iter().flat_map(|request| &request.field_violations) {
        text.push_str(&format!("\n  {}: {}", violation.field, violation.description));
    }
    plain_lines(&text).chars().take(MESSAGE).collect()
}

/// A status that no controller sent: the connection ended under the call.
fn broken_connection(status: &Status) -> Option<String> {
    let source = status.source()?;
    let text = chain(source);
    // TLS 1.3 lets a client begin before the server has judged its certificate, so a refusal looks like this.
    let refused = text.contains("received fatal alert");
    Some(if refused {
        format!("the controller refused the credential at the handshake ({text})")
    } else {
        format!("the connection to the controller ended: {text}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_exit_codes() {
        let exit = |code| failure("x", &Status::new(code, "no")).exit;
        assert_eq!(exit(Code::NotFound), Some(Exit::NotFound));
        assert_eq!(exit(Code::AlreadyExists), Some(Exit::Conflict));
        assert_eq!(exit(Code::PermissionDenied), Some(Exit::Denied));
        assert_eq!(exit(Code::Unauthenticated), Some(Exit::Denied));
        let remedy = failure("x", &Status::unauthenticated("operator eve is revoked")).remedy;
        assert!(remedy.is_some_and(|remedy| !remedy.contains("role")), "no role would help");
        assert_eq!(exit(Code::Unavailable), Some(Exit::Unreachable));
        assert_eq!(exit(Code::FailedPrecondition), Some(Exit::Failed));
    }

    #[test]
    fn the_fields_that_are_wrong_are_listed() {
        let mut details = tonic_types::ErrorDetails::new();
        details.add_bad_request_violation("spec.image", "there is no Image x");
        let status = Status::with_error_details(Code::InvalidArgument, "1 of 1 is refused", details);
        let text = failure("write", &status).message;
        assert_eq!(text, "failed to write: 1 of 1 is refused\n  spec.image: there is no Image x");
    }
}

//! How a command ends when it does not succeed: a sentence, perhaps a remedy, and the exit code.
//!
//! Errors of the parts become a [`Failure`] at the command that knows what they mean to its user.

use std::{error::Error, fmt, io};

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was refused, or it failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// It exists already, or somebody else changed it meanwhile.
    Conflict = 4,
    /// The caller may not.
    Denied = 5,
    /// No controller of the fleet could be reached.
    Unreachable = 6,
    /// A file of the user's is wrong.
    BadInput = 64,
}

/// The exit codes, as `--help` and the man page print them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   refused, or failed
  2   wrong usage
  3   not found
  4   conflict: it exists already, or somebody else changed it meanwhile
  5   no permission, or no usable credential
  6   no controller of the fleet could be reached
  64  a file that was given is wrong";

/// Why a command did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code; None: whoever read the output has gone away, which is no failure.
    pub(crate) exit: Option<Exit>,
    /// What happened, one line or several.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
}

impl Failure {
    /// A failure with this exit code and sentence.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit: Some(exit), message: message.into(), remedy: None }
    }

    /// The same with what can be done about it.
    #[must_use]
    pub(crate) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// Refused, or failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The command line is wrong in a way that its definition cannot express.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A file of the user's is wrong.
    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self::new(Exit::BadInput, message)
    }

    /// `action` failed because of `error`; its sources follow after colons.
    pub(crate) fn because(exit: Exit, action: &str, error: &(dyn Error + 'static)) -> Self {
        Self::new(exit, format!("failed to {action}: {}", chain(error)))
    }
}

/// An error with its sources, without saying anything twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}

/// Writing to standard output failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: None, message: String::new(), remedy: None };
        }
        Self::because(Exit::Failed, "write the output", &error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        self.remedy.iter().try_for_each(|remedy| write!(out, "\n  {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit, None);
        assert_eq!(Failure::from(io::Error::other("disk")).exit, Some(Exit::Failed));
    }

    #[test]
    fn a_chain_says_nothing_twice() {
        let inner = io::Error::other("no route");
        assert_eq!(chain(&inner), "no route");
        #[derive(Debug, thiserror::Error)]
        #[error("cannot connect")]
        struct Outer(#[source] io::Error);
        assert_eq!(chain(&Outer(inner)), "cannot connect: no route");
    }
}

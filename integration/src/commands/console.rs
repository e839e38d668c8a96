//! Lines for people and for CI logs: plain, one by one, flushed as they come.

use std::fmt::Display;
use std::io::Write as _;

/// Where a command's lines go: progress and results to the output, errors to the error output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    silent: bool,
}

impl Console {
    pub(crate) fn new() -> Self {
        Self { silent: false }
    }

    /// Prints nothing: the results of steps that tests play would be counted as results.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self { silent: true }
    }

    /// Prints one line, or several.
    pub(crate) fn line(&self, text: impl Display) {
        if self.silent {
            return;
        }
        let mut output = std::io::stdout().lock();
        // Nobody reads any more (`| head`): the work goes on, its exit code still counts.
        let _ = writeln!(output, "{text}").and_then(|()| output.flush());
    }

    /// Prints an error with all its causes, each once.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
    }
}

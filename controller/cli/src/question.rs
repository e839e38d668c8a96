//! Asks people before something that cannot be undone; programs have to say it on the command line.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::failure::{Exit, Failure};

/// The longest answer, in bytes.
const LONGEST: u64 = 100;

/// Did somebody at the terminal say yes? None: nobody is there to be asked.
///
/// # Errors
/// When the terminal fails.
pub(crate) fn agreed(question: &str) -> Result<Option<bool>, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(None);
    }
    let failed = |error: io::Error| Failure::because(Exit::Failed, "ask on the terminal", &error);
    let mut terminal = io::stderr();
    write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush()).map_err(failed)?;
    let mut answer = String::new();
    io::Read::take(io::stdin().lock(), LONGEST).read_line(&mut answer).map_err(failed)?;
    Ok(Some(matches!(answer.trim(), "y" | "Y" | "yes")))
}

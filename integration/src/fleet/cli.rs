//! The real `bootlane`, run where an operator would run it: beside the controller.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, io};

use serde_json::Value;

use crate::lab::process::LaunchError;
use crate::lab::{Launch, Process, Run};

/// No command of the lab takes longer; `boot watch` is started by [`Cli::follow`].
const BOUND: Duration = Duration::from_secs(60);

/// Why a command did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// It could not be started.
    #[error("failed to run `bootlane {command}`")]
    Launch {
        /// Its arguments.
        command: String,
        /// Why.
        source: LaunchError,
    },
    /// Its output could not be read.
    #[error("failed to read the output of `bootlane {command}`")]
    Output {
        /// Its arguments.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// It refused or failed.
    #[error("`bootlane {command}` ended with {status}: {message}")]
    Failed {
        /// Its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// What it said on its error output.
        message: String,
    },
    /// Its JSON is none.
    #[error("`bootlane {command}` printed no JSON")]
    Json {
        /// Its arguments.
        command: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// What runs it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cli {
    namespace: String,
    program: PathBuf,
    credential: PathBuf,
    run: Run,
    calls: Arc<AtomicU32>,
}

/// One call: where its outputs go.
struct Call {
    command: String,
    output: PathBuf,
    errors: PathBuf,
}

impl Cli {
    pub(super) fn new(namespace: String, program: &Path, credential: PathBuf, run: &Run) -> Self {
        Self { namespace, program: program.to_owned(), credential, run: run.clone(), calls: Arc::default() }
    }

    /// Runs a command to its end and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be run, or ends with another code than 0.
    pub fn run(&self, arguments: &[&str]) -> Result<String, CliError> {
        let (call, mut process) = self.spawn(arguments, BOUND)?;
        let unread = |source| CliError::Output { command: call.command.clone(), source };
        let status = process.wait(BOUND + Duration::from_secs(10)).map_err(unread)?;
        let unread = |source| CliError::Output { command: call.command.clone(), source };
        let said = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        match status {
            Some(status) if status.success() => said(&call.output).map_err(unread),
            Some(_) | None => {
                let message = said(&call.errors).map_err(unread)?.trim().to_owned();
                Err(CliError::Failed { command: call.command, status: words(status), message })
            }
        }
    }

    /// Runs a command with `--output json` and reads what it printed.
    ///
    /// # Errors
    /// As [`Cli::run`], and when that is no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value, CliError> {
        let printed = self.run(&[arguments, &["--output", "json"]].concat())?;
        serde_json::from_str(&printed)
            .map_err(|source| CliError::Json { command: arguments.join(" "), source })
    }

    /// Starts a command that goes on; its output grows in the file that is returned.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn follow(&self, arguments: &[&str], bound: Duration) -> Result<(Process, PathBuf), CliError> {
        let (call, process) = self.spawn(arguments, bound)?;
        Ok((process, call.output))
    }

    /// The line that a person types to run this CLI by hand, without its arguments.
    #[must_use]
    pub fn by_hand(&self) -> String {
        let Self { namespace, program, credential, .. } = self;
        format!("ip netns exec {namespace} {} --credential {}", program.display(), credential.display())
    }

    fn spawn(&self, arguments: &[&str], bound: Duration) -> Result<(Call, Process), CliError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let folder = self.run.folder().join("cli");
        let name = format!("{number:03}-{}", arguments.first().copied().unwrap_or("bootlane"));
        let call = Call {
            command: arguments.join(" "),
            output: folder.join(format!("{name}.out")),
            errors: folder.join(format!("{name}.err")),
        };
        let process = Launch::new(&name, &self.program)
            .in_namespace(&self.namespace)
            .env("BOOTLANE_CREDENTIAL", &self.credential)
            .args(arguments)
            .bound(bound)
            .output_to(&call.output)
            .errors_to(&call.errors)
            .spawn(&self.run)
            .map_err(|source| CliError::Launch { command: call.command.clone(), source })?;
        Ok((call, process))
    }
}

fn words(status: Option<ExitStatus>) -> String {
    match status.map(|status| status.code()) {
        Some(Some(124)) | None => format!("no answer within {}s", BOUND.as_secs()),
        Some(Some(code)) => format!("exit code {code}"),
        Some(None) => "a signal".to_owned(),
    }
}

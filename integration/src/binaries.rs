//! Our programs, built by cargo, and where they are.
//!
//! It is always the whole workspace that is built, whoever asks: cargo chooses the features of libraries by what is
//! built together, so anything else would build most of them once more.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::Message;

/// How our binaries are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As tests are: quick to build.
    Debug,
    /// As it is shipped: for everything that is measured.
    Release,
}

impl Profile {
    /// The one of this very program, so that what tests start was built with them.
    #[must_use]
    pub fn of_this_program() -> Self {
        if cfg!(debug_assertions) { Self::Debug } else { Self::Release }
    }
}

/// The programs that operators run.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// `bootlane-controller`
    pub controller: PathBuf,
    /// `bootlane-agent`
    pub agent: PathBuf,
    /// `bootlane`
    pub cli: PathBuf,
    /// `lab`
    pub lab: PathBuf,
}

/// Why there are no binaries.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo could not be run, or not be listened to.
    #[error("failed to run cargo")]
    Cargo(#[from] io::Error),
    /// It has said why on its error output.
    #[error("failed to build our binaries")]
    Failed,
    /// A test failed.
    #[error("the tests {0} have failed")]
    Tests(String),
    /// It was content and did not name this one.
    #[error("failed to build {0}: cargo names no such binary")]
    Missing(&'static str),
}

impl Binaries {
    /// Builds them; cargo's progress goes to the error output.
    ///
    /// # Errors
    /// When cargo is not there, or they do not build.
    pub fn build(profile: Profile) -> Result<Self, BuildError> {
        let mut cargo = cargo();
        cargo.args(["build", "--workspace", "--bins", "--message-format", "json-render-diagnostics"]);
        if profile == Profile::Release {
            cargo.arg("--release");
        }
        let mut child = cargo.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?;
        let output = child.stdout.take().expect("it is piped, and taken once");
        let mut built = Vec::new();
        for message in Message::parse_stream(BufReader::new(output)) {
            if let Message::CompilerArtifact(artifact) = message? {
                built.extend(artifact.executable.map(PathBuf::from));
            }
        }
        if !child.wait()?.success() {
            return Err(BuildError::Failed);
        }
        Self::among(&built)
    }

    fn among(built: &[PathBuf]) -> Result<Self, BuildError> {
        let of_name = |name| {
            let found = built.iter().find(|path| path.ends_with(name));
            found.cloned().ok_or(BuildError::Missing(name))
        };
        Ok(Self {
            controller: of_name("bootlane-controller")?,
            agent: of_name("bootlane-agent")?,
            cli: of_name("bootlane")?,
            lab: of_name("lab")?,
        })
    }
}

/// Runs the tests of one file of integration/tests, all in one process; what they say goes into `log`.
///
/// # Errors
/// When cargo is not there, or one of them fails.
pub fn test(name: &str, log: File) -> Result<(), BuildError> {
    let errors = log.try_clone()?;
    let mut cargo = cargo();
    cargo.args(["test", "--workspace", "--test", name]).stdin(Stdio::null()).stdout(log).stderr(errors);
    if cargo.status()?.success() { Ok(()) } else { Err(BuildError::Tests(name.to_owned())) }
}

/// Cargo in the root of the sources, free of what the cargo around us has set.
fn cargo() -> Command {
    let mut command = Command::new(cargo_path());
    command.current_dir(source_root());
    for name in inherited_names() {
        command.env_remove(name);
    }
    command
}

/// The root of the sources.
#[must_use]
pub fn source_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate stands in the workspace's folder")
}

/// The cargo that runs us, else the one in the path.
#[must_use]
pub fn cargo_path() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Names of variables that `cargo run` and `cargo test` set for us and that another cargo must not see: the build
/// scripts of some libraries (ring's) watch them, and would build everything again.
#[must_use]
pub fn inherited_names() -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| is_per_run(name))
        .collect()
}

fn is_per_run(name: &str) -> bool {
    let prefixes =
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_", "CARGO_CFG_"];
    prefixes.iter().any(|prefix| name.starts_with(prefix)) || name == "CARGO" || name == "OUT_DIR"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_set_reaches_cargo_and_what_cargo_set_for_us_does_not() {
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION_PRE", "CARGO"] {
            assert!(is_per_run(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_JOBS",
            "CARGO_NET_OFFLINE",
            "PATH",
            "CARGO_TERM_COLOR",
        ] {
            assert!(!is_per_run(name), "{name}");
        }
    }

    #[test]
    fn each_program_is_found_by_its_whole_name() {
        let built = ["t/bootlane-controller", "t/bootlane-agent", "t/bootlane", "t/lab"].map(PathBuf::from);
        let binaries = Binaries::among(&built).expect("all are there");
        assert_eq!(binaries.cli, Path::new("t/bootlane"));
        let missing = Binaries::among(&built[..2]).expect_err("the CLI is not there").to_string();
        assert!(missing.contains("build bootlane:"), "{missing}");
    }
}

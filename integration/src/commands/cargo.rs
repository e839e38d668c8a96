//! Cargo, run from within `cargo run`; and our binaries, built by it.

use std::ffi::OsString;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use cargo_metadata::Message;

use super::console::Console;

/// How our binaries are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As tests are: quick to build.
    Debug,
    /// As it is shipped: for everything that is measured.
    Release,
}

/// The programs that operators run.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    /// `bootlane-controller`
    pub(crate) controller: PathBuf,
    /// `bootlane-agent`
    pub(crate) agent: PathBuf,
    /// `bootlane`
    pub(crate) cli: PathBuf,
}

/// Builds our binaries and says where they are.
///
/// # Errors
/// When they do not build.
pub(crate) fn build_binaries(profile: Profile, console: &Console) -> anyhow::Result<Binaries> {
    console.line("building the controller, the agent and the CLI");
    let mut cargo = cargo();
    // The whole workspace, as tests build it: the libraries are then shared with them.
    cargo.args(["build", "--workspace", "--bins", "--message-format", "json-render-diagnostics"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    let mut child =
        cargo.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().context("failed to run cargo")?;
    let output = child.stdout.take().context("failed to read from cargo")?;
    let mut built = Vec::new();
    for message in Message::parse_stream(BufReader::new(output)) {
        if let Message::CompilerArtifact(artifact) = message.context("failed to read from cargo")? {
            built.extend(artifact.executable.map(PathBuf::from));
        }
    }
    ensure!(child.wait().context("failed to wait for cargo")?.success(), "failed to build our binaries");
    let of_name = |name: &str| match built.iter().find(|path| path.ends_with(name)) {
        Some(path) => Ok(path.clone()),
        None => bail!("failed to build {name}: cargo names no such binary"),
    };
    Ok(Binaries {
        controller: of_name("bootlane-controller")?,
        agent: of_name("bootlane-agent")?,
        cli: of_name("bootlane")?,
    })
}

/// Cargo, free of what the `cargo run` around us has set.
fn cargo() -> Command {
    let mut command = Command::new(path());
    inherited_names().iter().for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// The cargo that runs us, else the one in the path.
pub(crate) fn path() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Names of variables that `cargo run` sets for us and that another cargo must not see: the build scripts of
/// some libraries (ring's) watch them, and would build everything again.
pub(crate) fn inherited_names() -> Vec<String> {
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
}

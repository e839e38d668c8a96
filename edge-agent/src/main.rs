//! `bootlane-agent`: serves the machines of one site.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use edge_agent::config::Config;

/// The exit code for a configuration that cannot be used (EX_USAGE of sysexits).
const BAD_CONFIGURATION: u8 = 64;

/// Serves DHCP, TFTP and HTTP to the machines of one site, and follows the fleet's controller.
#[derive(Debug, Parser)]
#[command(name = "bootlane-agent", version)]
struct Arguments {
    /// The agent's file.
    #[arg(long, env = "BOOTLANE_AGENT_CONFIG", default_value = "/etc/bootlane/agent.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default).
    Run,
    /// Read the configuration, report every mistake in it, and end. Whether its interfaces, user and ports are there is
    /// seen when the agent runs.
    Check,
}

fn main() -> ExitCode {
    // Nobody else reads what the agent writes, whatever shell or unit started it (S16).
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
    let arguments = Arguments::parse();
    certs::tls::install_provider();
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => return fail(&error.into(), BAD_CONFIGURATION),
    };
    match arguments.command.unwrap_or(Command::Run) {
        Command::Check => ExitCode::SUCCESS,
        Command::Run => run(config),
    }
}

fn run(config: Config) -> ExitCode {
    match edge_agent::run::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.into(), 1),
    }
}

/// The whole chain, once: here it is handled.
#[expect(clippy::print_stderr, reason = "the last words of a process that has no log yet, or no more")]
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("bootlane-agent: {error:#}");
    ExitCode::from(code)
}

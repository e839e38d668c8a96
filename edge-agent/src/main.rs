//! `bootlane-agent`: serves the machines of one site.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use edge_agent::{
    check::{self, Findings},
    config::{Config, Examined, Problems},
};

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
    /// Look at everything that a start needs, report all that is wrong, and end: the configuration, interfaces, ports,
    /// user, state folder, join token, and whether controllers answer where they are named. Exit code 64: something keeps the agent
    /// from starting or joining its fleet. Run it as root to see all of it.
    Check,
}

fn main() -> ExitCode {
    // Nobody else reads what the agent writes, whatever shell or unit started it (S16).
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
    let arguments = Arguments::parse();
    certs::tls::install_provider();
    match arguments.command.unwrap_or(Command::Run) {
        Command::Check => check(&arguments.config),
        Command::Run => run(&arguments.config),
    }
}

/// All that is wrong with the file, and with this machine as far as the file can be used.
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "what it is asked for")]
fn check(file: &Path) -> ExitCode {
    let Examined { config, problems: Problems(problems) } = match Config::examine(file) {
        Ok(examined) => examined,
        Err(error) => return fail(&error.into(), BAD_CONFIGURATION),
    };
    problems.iter().for_each(|problem| eprintln!("mistake: {}: {problem}", file.display()));
    let Some(config) = config else {
        eprintln!("warning: this machine was not looked at: mend the file first");
        return ExitCode::from(BAD_CONFIGURATION);
    };
    let Findings { mistakes, warnings, running } = check::check(&config);
    warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    say(&mistakes);
    if problems.is_empty() && mistakes.is_empty() {
        println!(
            "{}",
            if running { "the agent runs, and could be started anew" } else { "the agent can start" }
        );
        return ExitCode::SUCCESS;
    }
    ExitCode::from(BAD_CONFIGURATION)
}

fn run(file: &Path) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => return fail(&error.into(), BAD_CONFIGURATION),
    };
    match edge_agent::run::run(config.clone()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What the check says of this machine, beside what the start has stopped at.
            let found = if error.is_of_machine() { check::check_start(&config).mistakes } else { Vec::new() };
            let code = fail(&error.into(), 1);
            say(&found);
            code
        }
    }
}

#[expect(clippy::print_stderr, reason = "for who looks at the check, or at a start that failed")]
fn say(mistakes: &[String]) {
    mistakes.iter().for_each(|mistake| eprintln!("mistake: {mistake}"));
}

/// The whole chain, once: here it is handled.
#[expect(clippy::print_stderr, reason = "the last words of a process that has no log yet, or no more")]
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("bootlane-agent: {error:#}");
    ExitCode::from(code)
}

//! The commands of `cargo lab`.
//!
//! Each sets up what it needs by itself, prints progress to the output and ends with exit code 0 only when
//! everything that it was asked for was done. 1: something failed. 2: the arguments were not understood.

mod bench;
mod boot;
mod console;
mod demo;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use console::Console;

/// Boots, installs, breaks and measures Bootlane on one machine.
#[derive(Debug, Parser)]
#[command(name = "lab", bin_name = "cargo lab", max_term_width = 110)]
struct Lab {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One machine, all the way: from an empty controller to an installed machine.
    Demo(demo::Arguments),
    /// Everything that a change must pass; the last line is `N passed, N failed`.
    Test(test::Arguments),
    /// Boots virtual machines with real firmware, case by case.
    Boot(boot::Arguments),
    /// Measures, side by side with what others use.
    Bench(bench::Arguments),
    /// Installs the Debian packages that the lab needs, builds what machines boot, and tidies up after crashed runs.
    #[command(hide = true)]
    Setup,
}

/// Whether everything went well. What did not was printed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
}

impl Verdict {
    fn of(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// Reads the arguments and obeys.
pub(crate) fn run() -> ExitCode {
    let console = Console::new();
    match obey(Lab::parse().command, &console) {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::FAILURE,
        Err(error) => {
            console.error(&error);
            ExitCode::FAILURE
        }
    }
}

fn obey(command: Command, console: &Console) -> anyhow::Result<Verdict> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments, console),
        Command::Test(arguments) => test::run(&arguments, console),
        Command::Boot(arguments) => boot::run(&arguments, console),
        Command::Bench(arguments) => bench::run(&arguments, console),
        Command::Setup => setup::run(console),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Lab::command().debug_assert();
    }
}

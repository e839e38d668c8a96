//! `bootlane completions` and `bootlane man`: from the one definition of the command line, which they are given.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::Context;
use crate::failure::{Exit, Failure};

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For this shell
    #[arg(value_enum)]
    shell: Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder; it is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints the completions.
pub(crate) fn completions(
    context: &mut Context,
    arguments: &Completions,
    mut command: Command,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "bootlane", &mut script);
    context.output.bytes(&script)
}

/// Writes a page per command.
pub(crate) fn man(context: &mut Context, arguments: &Man, command: Command) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let failed = |error: std::io::Error| {
        Failure::because(Exit::Failed, &format!("write man pages to {}", folder.display()), &error)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(command, folder).map_err(failed)?;
    context.output.line(&format!("man pages written to {}", folder.display()))
}

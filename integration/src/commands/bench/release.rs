//! A load generator that is measured with must be a release build, and `cargo lab` is none.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;
use integration::binaries::{Binaries, Profile};

use crate::commands::console::Console;

/// Goes on as the release build of this program, with the same arguments. Returns in that one alone.
///
/// # Errors
/// When it cannot be built or run.
pub(super) fn go_on(console: &Console) -> anyhow::Result<()> {
    if Profile::of_this_program() == Profile::Release {
        return Ok(());
    }
    console.line("building the release of everything, and going on as the release of the lab");
    let lab = Binaries::build(Profile::Release)?.lab;
    let arguments = std::env::args_os().skip(1);
    // It takes this process's place, so it only returns when it could not.
    let error = Command::new(&lab).args(arguments).exec();
    Err(error).with_context(|| format!("failed to run {}", lab.display()))
}

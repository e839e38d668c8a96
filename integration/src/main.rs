//! `cargo lab`: everything that needs more than `cargo test`.
//!
//! The commands read their arguments, set up what they need and print what people and CI read. What they run
//! is in the library beside this file.

mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}

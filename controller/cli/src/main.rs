//! `bootlane`: what operators type.
//!
//! A command reads its arguments and files, talks to the Admin service, and writes to [`output::Output`]. It holds
//! no state of its own and decides nothing that the controller could decide.

#![forbid(unsafe_code)]

mod arguments;
mod client;
mod command;
mod dispatch;
mod document;
mod failure;
mod findings;
mod hosts;
mod image;
mod migrate;
mod output;
mod passphrase;
mod picture;
mod question;
mod simulation;
mod timeline;
mod top;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::Arguments;
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    certs::tls::install_provider();
    let arguments = Arguments::parse();
    let output = Output::process(arguments.output);
    let mut context = command::Context { connection: arguments.connection, output };
    match run(&mut context, arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&mut context.output, &failure),
    }
}

fn run(context: &mut command::Context, command: arguments::Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::because(failure::Exit::Failed, "start", &error))?;
    runtime.block_on(telemetry::one_trace(dispatch::run(context, command)))?;
    context.output.flush()
}

fn end(output: &mut Output, failure: &Failure) -> ExitCode {
    // What was written before the failure is still owed; if that fails too, the first failure is the one to tell.
    let _ = output.flush();
    let Some(exit) = failure.exit else { return ExitCode::SUCCESS };
    output.remark(&format!("error: {failure}"));
    ExitCode::from(exit as u8)
}

//! The controller: `bootlane-controller serve --config FILE`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use controller::config::{Config, EXIT_CONFIG, Log};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Knows every host and every operating system, and tells agents what to serve.
#[derive(Debug, Parser)]
#[command(name = "bootlane-controller", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT.
    Serve {
        /// The configuration; deploy/controller.toml is its manual.
        #[arg(long, default_value = "/etc/bootlane/controller.toml")]
        config: PathBuf,
        /// Read the configuration, say what is wrong with it (exit code 64), and stop.
        #[arg(long)]
        check_config: bool,
    },
}

fn main() -> ExitCode {
    certs::tls::install_provider();
    let Command::Serve { config, check_config } = Arguments::parse().command;
    let config = match Config::load(&config) {
        Ok(config) => config,
        Err(error) => return fail(EXIT_CONFIG, &anyhow::Error::new(error)),
    };
    if check_config {
        return ExitCode::SUCCESS;
    }
    start_log(&config.log);
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let running = controller::run(config, stop.clone()).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    running.ended().await;
    Ok(())
}

fn start_log(log: &Log) {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let filter: Targets = log.filter.parse().expect("the configuration was checked");
    let registry = tracing_subscriber::registry().with(filter);
    if log.json {
        registry.with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr)).init();
    } else {
        registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).init();
    }
}

/// Says what went wrong, with its causes, on standard error.
fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    // There is nobody left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "bootlane-controller: {error:#}");
    ExitCode::from(code)
}

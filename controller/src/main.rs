//! The controller: `bootlane-controller serve --config FILE`.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use controller::backup::{NeededBlob, Restored};
use controller::blobs::Blobs;
use controller::config::{Config, EXIT_CONFIG};
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
    /// Put a backup back into an empty folder of state. A new epoch begins, which agents take over all older plans.
    Restore {
        /// The configuration, which names the folder of state.
        #[arg(long, default_value = "/etc/bootlane/controller.toml")]
        config: PathBuf,
        /// A file whose first line is the passphrase that the backup was sealed with.
        #[arg(long)]
        passphrase_file: PathBuf,
        /// The backup, as `bootlane backup` wrote it.
        archive: PathBuf,
    },
}

fn main() -> ExitCode {
    certs::tls::install_provider();
    let command = Arguments::parse().command;
    let (Command::Serve { config, .. } | Command::Restore { config, .. }) = &command;
    let config = match Config::load(config) {
        Ok(config) => config,
        Err(error) => return fail(EXIT_CONFIG, &anyhow::Error::new(error)),
    };
    let done = match command {
        Command::Serve { check_config: true, .. } => Ok(()),
        Command::Serve { .. } => serve(config),
        Command::Restore { passphrase_file, archive, .. } => restore(&config, &passphrase_file, &archive),
    };
    done.map_or_else(|error| fail(1, &error), |()| ExitCode::SUCCESS)
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::start("bootlane-controller", proto::VERSION, &config.telemetry)
        .context("failed to start logging")?;
    let served = serve_until_signal(config).await;
    telemetry.stop().await;
    served
}

async fn serve_until_signal(config: Config) -> anyhow::Result<()> {
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

#[tokio::main]
async fn restore(config: &Config, passphrase_file: &Path, archive: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(passphrase_file)
        .with_context(|| format!("cannot read {}", passphrase_file.display()))?;
    let passphrase = text.lines().next().unwrap_or_default().to_owned();
    let file = File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
    let now = SystemTime::now().into();
    let restored = controller::backup::restore(file, passphrase, &config.state, now).await?;
    let mut out = std::io::stdout().lock();
    let (about, state) = (&restored.about, config.state.display());
    writeln!(
        out,
        "restored fleet {} as of revision {} into {state}; epoch {} begins",
        about.fleet, about.revision, restored.epoch
    )?;
    // The state is restored, whatever the folder of blobs is like: that is no failure.
    match missing_blobs(&restored, &config.blobs).await {
        Ok(missing) => say_missing(&mut out, &restored, &missing, &config.blobs)?,
        Err(error) => writeln!(out, "which image bytes are missing is not known: {error:#}")?,
    }
    Ok(())
}

async fn missing_blobs<'r>(restored: &'r Restored, folder: &Path) -> anyhow::Result<Vec<&'r NeededBlob>> {
    if !folder.exists() {
        return Ok(restored.blobs.iter().collect());
    }
    Ok(restored.missing_from(&Blobs::open(folder)?).await?)
}

fn say_missing(
    out: &mut impl std::io::Write,
    restored: &Restored,
    missing: &[&NeededBlob],
    folder: &Path,
) -> std::io::Result<()> {
    let (all, folder) = (restored.blobs.len(), folder.display());
    if missing.is_empty() {
        return writeln!(out, "all {all} files of its images are in {folder}");
    }
    writeln!(out, "{} of the {all} files of its images are missing from {folder}:", missing.len())?;
    for NeededBlob { digest, size, images } in missing {
        writeln!(out, "  sha256 {digest}, {size} bytes, of {}", images.join(", "))?;
    }
    writeln!(out, "bring the folder back, or import these images again")
}

/// Says what went wrong, with its causes, on standard error.
fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    // There is nobody left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "bootlane-controller: {error:#}");
    ExitCode::from(code)
}

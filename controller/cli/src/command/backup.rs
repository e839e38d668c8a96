//! `bootlane backup`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;

use super::Context;
use crate::client::next;
use crate::failure::{Exit, Failure};
use crate::output::words;
use crate::passphrase;

/// The shortest passphrase that a controller takes.
const SHORTEST: usize = 12;

/// `backup`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The archive; a file that is there stays as it is
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace a file that is there, once the new one is whole
    #[arg(long)]
    force: bool,
    /// The file that holds the passphrase for the CA keys [default: it is asked for]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Does it.
pub(crate) async fn run(context: &mut Context, arguments: &Arguments) -> Result<(), Failure> {
    if !arguments.force && arguments.file.symlink_metadata().is_ok() {
        return Err(exists(&arguments.file));
    }
    let passphrase = match &arguments.passphrase_file {
        Some(path) => passphrase::from_file(path)?,
        None => passphrase::ask("passphrase for the CA keys in the archive", true)?,
    };
    if passphrase.chars().count() < SHORTEST {
        return Err(Failure::usage(format!("the passphrase has fewer than {SHORTEST} characters")));
    }
    let mut client = context.connect().await?;
    let mut archive = begin(&arguments.file)?;
    let mut chunks = client.backup(&passphrase).await?;
    let mut size = 0_u64;
    while let Some(chunk) = next("back up", &mut chunks).await? {
        archive.write_all(&chunk.chunk).map_err(|error| failed(&arguments.file, &error))?;
        size += chunk.chunk.len() as u64;
    }
    publish(archive, arguments)?;
    context.output.line(&format!("{} written, {}", arguments.file.display(), words::size(size)))?;
    context
        .output
        .remark("keep the passphrase apart from the archive: without it the fleet's CA cannot be restored");
    Ok(())
}

/// Beside its place and readable by its owner alone, so that half an archive never stands there.
fn begin(file: &Path) -> Result<NamedTempFile, Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".bootlane-backup")
        .tempfile_in(folder)
        .map_err(|error| failed(file, &error))
}

fn publish(archive: NamedTempFile, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { file, force, .. } = arguments;
    archive.as_file().sync_all().map_err(|error| failed(file, &error))?;
    let placed = if *force { archive.persist(file) } else { archive.persist_noclobber(file) };
    placed.map(drop).map_err(|error| {
        let is_taken = error.error.kind() == std::io::ErrorKind::AlreadyExists;
        if is_taken { exists(file) } else { failed(file, &error.error) }
    })
}

fn exists(file: &Path) -> Failure {
    let what = format!("{} exists already: name another file, or say --force", file.display());
    Failure::new(Exit::Conflict, what)
}

fn failed(file: &Path, error: &std::io::Error) -> Failure {
    Failure::because(Exit::Failed, &format!("write {}", file.display()), error)
}

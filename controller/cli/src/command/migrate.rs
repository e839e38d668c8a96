//! `bootlane migrate`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use proto::catalog::{Kind, check_name};

use super::Context;
use crate::failure::{Exit, Failure};
use crate::migrate::disk::Disk;
use crate::migrate::{self, Migrated, report};
use crate::output::{document, plain};

/// What to read. Nothing but the folder is written: `bootlane apply -f DIR --dry-run` shows what it would change.
#[derive(Debug, Subcommand)]
pub(crate) enum Source {
    /// dnsmasq's files, and those that they name: ranges, options and hosts
    Dnsmasq(Move),
}

/// From where and to where.
#[derive(Debug, Args)]
pub(crate) struct Move {
    /// What to read
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// The site that it becomes, or that its machines stand at
    #[arg(long, value_parser = name)]
    site: String,
    /// The folder for the documents and REPORT.md; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace what an earlier migration wrote there
    #[arg(long)]
    force: bool,
    /// Where absolute paths in the files begin, for a copy of another machine
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

fn name(text: &str) -> Result<String, String> {
    check_name("--site", text).map_or_else(|| Ok(text.to_owned()), |problem| Err(problem.message))
}

/// What is said of what was not carried over.
const REPORT: &str = "REPORT.md";
/// The files of documents, by kind.
const FILES: [(&str, Kind); 3] =
    [("site.yaml", Kind::Site), ("profiles.yaml", Kind::Profile), ("hosts.yaml", Kind::Host)];

/// Does it.
pub(crate) fn run(context: &mut Context, source: &Source) -> Result<(), Failure> {
    let (word, from, read) = match source {
        Source::Dnsmasq(from) => ("dnsmasq", from, migrate::dnsmasq),
    };
    let disk = Disk { root: from.root.clone(), named: from.files.clone() };
    let migrated = read(&disk, &from.files, &from.site);
    if !migrated.mistakes.is_empty() {
        let lines: Vec<_> = migrated.mistakes.iter().map(|mistake| plain(&mistake.to_string())).collect();
        return Err(Failure::bad_input(format!("nothing was written:\n{}", lines.join("\n"))));
    }
    write(from, &texts(word, &from.out, &migrated))?;
    let folder = from.out.display();
    context.output.line(&report::summary(&migrated))?;
    context.output.line(&format!("{folder}/{REPORT} says what became of each line, and what to do first"))
}

/// What is written, by the name of its file.
fn texts(word: &str, folder: &Path, migrated: &Migrated) -> Vec<(&'static str, String)> {
    let mut texts = Vec::new();
    for (file, kind) in FILES {
        let of_kind = migrated.documents.iter().filter(|document| document.kind() == kind);
        let yaml: Vec<_> = of_kind.map(|found| document::yaml(&found.to_value())).collect();
        if !yaml.is_empty() {
            texts.push((file, yaml.join("---\n")));
        }
    }
    texts.push((REPORT, report::text(word, &folder.display().to_string(), migrated)));
    texts
}

/// Everything or, where something stands in the way, nothing.
fn write(to: &Move, texts: &[(&str, String)]) -> Result<(), Failure> {
    let failed = |path: &Path, error: &io::Error| {
        Failure::because(Exit::Failed, &format!("write {}", path.display()), error)
    };
    let ours = || FILES.iter().map(|(file, _)| *file).chain([REPORT]).map(|file| to.out.join(file));
    let there = ours().find(|path| path.symlink_metadata().is_ok());
    if let Some(path) = there.filter(|_| !to.force) {
        let what = format!("{} exists already: name another folder, or say --force", path.display());
        return Err(Failure::new(Exit::Conflict, what));
    }
    fs::create_dir_all(&to.out).map_err(|error| failed(&to.out, &error))?;
    // Of an earlier migration nothing may stay that `apply` would read along.
    for path in ours() {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path, &error)),
            Err(_) | Ok(()) => {}
        }
    }
    for (file, text) in texts {
        let path = to.out.join(file);
        let written = OpenOptions::new().write(true).create_new(true).open(&path);
        written
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

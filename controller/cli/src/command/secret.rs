//! `bootlane secret`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use proto::catalog::Kind;
use serde_json::json;

use super::catalog::{self, Column, ListAll, One, cell, when};
use super::edit::Labels;
use super::{Context, outcomes};
use crate::client::{Change, Writing};
use crate::failure::{Exit, Failure};
use crate::passphrase;

/// What to do with secrets. Their values are never shown.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List secrets, without their values
    #[command(visible_alias = "ls")]
    List(ListAll),
    /// Show one, without its value
    Get(One),
    /// Add a secret; its value is read from a file or asked for
    Add(Value),
    /// Replace the value of a secret
    Set(Value),
    /// Remove a secret that no template needs
    Rm(One),
}

/// `secret add` and `secret set`.
#[derive(Debug, Args)]
pub(crate) struct Value {
    /// Its name
    name: String,
    /// The file that holds the value, `-` for standard input; its last newline is left out
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    #[command(flatten)]
    labels: Labels,
}

const COLUMNS: &[Column] = &[
    Column::new("labels", |secret, _| cell(secret, "/labels")),
    Column::new("created", |secret, now| when(secret, "/meta/created_ms", now)),
];

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Secret, COLUMNS, list.into()).await,
        Verb::Get(one) => catalog::get(context, Kind::Secret, COLUMNS, &one).await,
        Verb::Add(value) => write(context, &value, true).await,
        Verb::Set(value) => write(context, &value, false).await,
        Verb::Rm(one) => catalog::remove(context, Kind::Secret, &one).await,
    }
}

async fn write(context: &mut Context, value: &Value, new: bool) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    let name = value.name.clone();
    let (revision, labels) = match client.find(Kind::Secret, &name).await? {
        Some(found) if !new => (found.revision, found.json.get("labels").cloned()),
        None if new => (0, None),
        Some(_) => {
            let failure = Failure::new(Exit::Conflict, format!("Secret {name} exists already"));
            return Err(failure.remedy(format!("`bootlane secret set {name}` replaces its value")));
        }
        None => return Err(Failure::new(Exit::NotFound, format!("there is no Secret {name}"))),
    };
    let secret = match &value.from_file {
        Some(path) => passphrase::from_file(path)?,
        None => passphrase::ask(&format!("value of secret {name}"), true)?,
    };
    let mut json = json!({"kind": "Secret", "name": name, "spec": {"value": secret.as_str()}});
    json["labels"] = labels.unwrap_or_else(|| json!({}));
    super::edit::edit(&mut json, value.labels.edits())?;
    let change = Change::Put { kind: Kind::Secret, name, json, revision };
    outcomes::write(context, &mut client, &[change], &Writing::default()).await
}

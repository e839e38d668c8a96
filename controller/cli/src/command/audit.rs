//! `bootlane audit`.

use clap::{Args, Subcommand};
use proto::v1::{AuditRecord, ListAuditRequest};
use proto::{Wall, v1};
use serde_json::{Value, json};

use super::Context;
use crate::failure::Failure;
use crate::output::{Format, document, table, words, yaml};

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List changes, the newest first
    #[command(visible_alias = "ls")]
    List(List),
}

/// `audit list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// As many at most
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u32,
    /// Only what was before this revision
    #[arg(long, value_name = "REVISION")]
    before: Option<u64>,
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    let Verb::List(list) = verb;
    let request = ListAuditRequest { limit: list.limit, before_revision: list.before.unwrap_or_default() };
    let records = context.connect().await?.list_audit(request).await?;
    match context.output.format_or(Format::Table) {
        Format::Table => {
            let rows: Vec<_> = records.iter().map(row).collect();
            let headings = ["revision", "time", "who", "what", "detail"];
            context.output.line(&table::render(&headings, &rows, context.output.colours()))
        }
        Format::Json => context.output.line(&document::json(&all(&records))),
        Format::Yaml => context.output.text(&yaml::text(&all(&records))),
    }
}

fn row(record: &AuditRecord) -> Vec<String> {
    vec![
        record.revision.to_string(),
        words::moment(Wall(record.at_ms)),
        record.actor.clone(),
        format!("{} {} {}", record.action, record.kind, record.name),
        record.detail.clone(),
    ]
}

fn all(records: &[v1::AuditRecord]) -> Value {
    let one = |record: &AuditRecord| {
        json!({
            "revision": record.revision, "at_ms": record.at_ms, "actor": record.actor, "action": record.action,
            "kind": record.kind, "name": record.name, "detail": record.detail,
        })
    };
    Value::Array(records.iter().map(one).collect())
}

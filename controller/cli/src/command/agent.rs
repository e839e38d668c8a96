//! `bootlane agent`.

use clap::Subcommand;
use proto::catalog::Kind;
use serde_json::Value;

use super::Context;
use super::catalog::{self, Column, List, One, cell, when};
use crate::failure::Failure;
use crate::output::words;

/// What to do with agents; they are added by enrolling with a join token (`bootlane token add`).
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List agents
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one
    Get(One),
    /// Answer no call of an agent any more and close its streams
    Revoke(One),
    /// Forget a revoked agent
    Rm(One),
}

const COLUMNS: &[Column] = &[
    Column::new("site", |agent, _| cell(agent, "/spec/site")),
    Column::new("state", |agent, _| state(agent)),
    Column::new("last contact", |agent, now| when(agent, "/status/last_contact_ms", now)),
    Column::new("version", |agent, _| cell(agent, "/status/version")),
    Column::new("leases", |agent, _| cell(agent, "/status/leases")),
    Column::new("cache", |agent, _| cache(agent)),
    Column::new("missing", |agent, _| cell(agent, "/status/missing_blobs")),
    Column::new("waiting events", |agent, _| cell(agent, "/status/journal_events")),
];

fn state(agent: &Value) -> String {
    let is = |pointer| agent.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
    match (is("/spec/revoked"), is("/status/connected"), is("/status/disk_low")) {
        (true, ..) => "revoked".into(),
        (false, true, true) => "connected, disk low".into(),
        (false, true, false) => "connected".into(),
        (false, false, _) => "away".into(),
    }
}

fn cache(agent: &Value) -> String {
    let bytes = agent.pointer("/status/cache_bytes").and_then(Value::as_u64);
    bytes.map(words::size).unwrap_or_default()
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Agent, COLUMNS, list).await,
        Verb::Get(one) => catalog::get(context, Kind::Agent, COLUMNS, &one).await,
        Verb::Revoke(one) => revoke(context, &one.name).await,
        Verb::Rm(one) => catalog::remove(context, Kind::Agent, &one).await,
    }
}

async fn revoke(context: &mut Context, name: &str) -> Result<(), Failure> {
    let closed = context.connect().await?.revoke_agent(name).await?;
    let streams = if closed == 1 { "stream" } else { "streams" };
    context.output.line(&format!("Agent {name} revoked, {closed} open {streams} closed"))
}

//! `bootlane agent`.

use clap::{Args, Subcommand};
use proto::catalog::Kind;
use serde_json::Value;

use super::catalog::{self, Column, List, One, cell, when};
use super::{Context, order};
use crate::client::{Client, Selection, Stored};
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
    ///
    /// It takes effect within seconds and cannot be undone: the agent's key is refused for ever, and a machine that is to
    /// serve again enrols with a new join token. Revoking does not reach an agent that is cut off: it goes on serving
    /// its last plan to the machines of its segment until it is switched off.
    ///
    /// Orders that name the agent are not ended, since it can no longer confirm that it will not obey them. They are
    /// listed, beforehand with --dry-run; each holds its host until its time is over, or until
    /// `bootlane order revoke ORDER --abandon`. Take them back beforehand, where the agent still answers. Other hosts of
    /// the site get orders as soon as another agent has enrolled.
    Revoke(Revoke),
    /// Forget a revoked agent
    Rm(One),
}

/// `agent revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Its name
    name: String,
    /// Say which orders would remain, revoke nothing
    #[arg(long)]
    dry_run: bool,
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
        Verb::Revoke(arguments) => revoke(context, &arguments).await,
        Verb::Rm(one) => catalog::remove(context, Kind::Agent, &one).await,
    }
}

/// Whatever is to be said of its orders, the agent is revoked first: nothing that fails on the way may leave it serving.
async fn revoke(context: &mut Context, arguments: &Revoke) -> Result<(), Failure> {
    let name = &arguments.name;
    let mut client = context.connect().await?;
    if arguments.dry_run {
        for order in live_orders(&mut client, name).await? {
            context.output.remark(&format!(
                "order {} of host {} names {name}, which can confirm its end only while it is not revoked",
                order.name,
                cell(&order.json, "/spec/host")
            ));
        }
        return context.output.line(&format!("Agent {name} would be revoked"));
    }
    let closed = client.revoke_agent(name).await?;
    let streams = if closed == 1 { "stream" } else { "streams" };
    context.output.line(&format!("Agent {name} revoked, {closed} open {streams} closed"))?;
    match live_orders(&mut client, name).await {
        Ok(orders) => {
            orders.iter().filter_map(order::unconfirmed).for_each(|remains| context.output.remark(&remains));
        }
        Err(failure) => context.output.remark(&format!(
            "which orders {name} leaves could not be asked ({failure}): see bootlane order list"
        )),
    }
    Ok(())
}

/// The agent's orders that are not at their end.
async fn live_orders(client: &mut Client, agent: &str) -> Result<Vec<Stored>, Failure> {
    let site = cell(&client.get(Kind::Agent, agent).await?.json, "/spec/site");
    let orders = client.list(Kind::Order, &Selection { site: Some(site), ..Selection::default() }).await?;
    Ok(orders.into_iter().filter(|found| holds(&found.json, agent)).collect())
}

/// Is this order one of the agent's, and not at its end?
fn holds(order: &Value, agent: &str) -> bool {
    cell(order, "/spec/agent") == agent && order.pointer("/status/over_ms").is_some()
}

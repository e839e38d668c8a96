//! `bootlane order`.

use clap::{Args, Subcommand};
use proto::catalog::Kind;
use proto::{Span, v1};
use serde_json::Value;

use super::Context;
use super::catalog::{self, Column, List, One, cell, when};
use crate::client::Stored;
use crate::failure::Failure;
use crate::output::{Format, document, words};

/// What to do with orders.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List orders
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one
    Get(One),
    /// Permit one installation of one host
    #[command(visible_alias = "add")]
    Create(Create),
    /// Take an order back; one that has started goes on
    Revoke(One),
    /// Remove an order that is at its end
    Rm(One),
}

/// `order create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The host to install
    host: String,
    /// What to install [default: the host's own profile]
    #[arg(long)]
    profile: Option<String>,
    /// How long the installation may wait for its start [default: 2h]
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    /// The agent that may obey it; needed where a site has several
    #[arg(long)]
    agent: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column::new("host", |order, _| cell(order, "/spec/host")),
    Column::new("site", |order, _| cell(order, "/spec/site")),
    Column::new("profile", |order, _| cell(order, "/spec/profile")),
    Column::new("agent", |order, _| cell(order, "/spec/agent")),
    Column::new("phase", |order, _| phase(order)),
    Column::new("expires", |order, now| when(order, "/spec/not_after_ms", now)),
    Column::new("reason", |order, _| cell(order, "/status/reason")),
];

/// What the agent has reported; until then it stands as it was made.
fn phase(order: &Value) -> String {
    let reported = cell(order, "/status/phase");
    let revoked = order.pointer("/spec/revoked").and_then(Value::as_bool).unwrap_or(false);
    match (reported.as_str(), revoked) {
        ("", false) => "sent".into(),
        ("", true) => "revoked".into(),
        ("armed" | "offered", true) => format!("{reported}, being revoked"),
        _ => reported,
    }
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Order, COLUMNS, list).await,
        Verb::Get(one) => catalog::get(context, Kind::Order, COLUMNS, &one).await,
        Verb::Create(create) => self::create(context, create).await,
        Verb::Revoke(one) => {
            let order = context.connect().await?.revoke_order(&one.name).await?;
            told(context, &order, |order| format!("Order {} is being revoked", order.name))
        }
        Verb::Rm(one) => catalog::remove(context, Kind::Order, &one).await,
    }
}

async fn create(context: &mut Context, create: Create) -> Result<(), Failure> {
    let request = v1::CreateOrderRequest {
        host: create.host,
        profile: create.profile.unwrap_or_default(),
        seconds: create.expires.map_or(0, |span| span.as_seconds().into()),
        agent: create.agent.unwrap_or_default(),
    };
    let order = context.connect().await?.create_order(request).await?;
    let host = cell(&order.json, "/spec/host");
    told(context, &order, |order| {
        let expires = when(&order.json, "/spec/not_after_ms", words::now());
        format!(
            "Order {} created: {host} is installed at its next network boot; expires {expires}",
            order.name
        )
    })?;
    context.output.remark(&format!("follow it with: bootlane boot watch --host {host} --until-end"));
    Ok(())
}

fn told(context: &mut Context, order: &Stored, words: impl Fn(&Stored) -> String) -> Result<(), Failure> {
    match context.output.format_or(Format::Table) {
        Format::Table => context.output.line(&words(order)),
        Format::Yaml => context.output.text(&document::yaml(&order.json)),
        Format::Json => context.output.line(&document::json(&order.json)),
    }
}

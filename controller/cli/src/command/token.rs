//! `bootlane token`.

use clap::{Args, Subcommand};
use proto::catalog::Kind;
use proto::{Span, Wall, v1};
use serde_json::Value;

use super::Context;
use super::catalog::{self, Column, List, One, cell, when};
use crate::failure::Failure;
use crate::output::{Format, document, words, yaml};

/// What to do with join tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List tokens; the secrets themselves are never shown again
    #[command(visible_alias = "ls")]
    List(List),
    /// Show what one permits
    Get(One),
    /// Make a token and print it, this once, alone on standard output
    Add(Add),
    /// Remove a token, so that nobody enrols with it any more
    #[command(alias = "revoke")]
    Rm(One),
}

/// `token add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Where the agent will stand
    #[arg(long)]
    site: String,
    /// How many agents may enrol with it
    #[arg(long, default_value_t = 1, value_name = "N")]
    uses: u32,
    /// How long it is good
    #[arg(long, default_value = "1h", value_name = "TIME")]
    expires: Span,
    /// The one name that the agent may take [default: any]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
}

const COLUMNS: &[Column] = &[
    Column::new("site", |token, _| cell(token, "/spec/site")),
    Column::new("agent", |token, _| cell(token, "/spec/agent")),
    Column::new("used", |token, _| used(token)),
    Column::new("expires", |token, now| when(token, "/spec/not_after_ms", now)),
];

fn used(token: &Value) -> String {
    let enrolled = token.pointer("/spec/enrolled").and_then(Value::as_array).map_or(0, Vec::len);
    format!("{enrolled}/{}", cell(token, "/spec/uses"))
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Token, COLUMNS, list).await,
        Verb::Get(one) => catalog::get(context, Kind::Token, COLUMNS, &one).await,
        Verb::Add(add) => self::add(context, add).await,
        Verb::Rm(one) => catalog::remove(context, Kind::Token, &one).await,
    }
}

async fn add(context: &mut Context, add: Add) -> Result<(), Failure> {
    let request = v1::CreateTokenRequest {
        site: add.site.clone(),
        uses: add.uses,
        seconds: add.expires.as_seconds().into(),
        agent: add.agent.unwrap_or_default(),
    };
    let made = context.connect().await?.create_token(request).await?;
    let not_after = Wall(made.not_after_ms);
    match context.output.format_or(Format::Table) {
        Format::Table => context.output.line(&made.token)?,
        format @ (Format::Yaml | Format::Json) => {
            let value = document::object([
                ("name", made.name.clone().into()),
                ("token", made.token.into()),
                ("not_after_ms", made.not_after_ms.into()),
            ]);
            match format {
                Format::Json => context.output.line(&document::json(&value))?,
                Format::Yaml | Format::Table => {
                    context.output.text(&yaml::text(&value))?;
                }
            }
        }
    }
    context.output.remark(&format!(
        "token {} for site {}: good until {}; it is shown this once\n\
         give it to the agent in a file of mode 0600, for example: bootlane token add … > join-token",
        made.name,
        add.site,
        words::moment(not_after),
    ));
    Ok(())
}

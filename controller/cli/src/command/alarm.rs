//! `bootlane alarm`.

use clap::{Args, Subcommand};
use proto::event::AlarmKind;
use proto::{Wall, v1};
use serde_json::{Value, json};

use super::Context;
use crate::failure::Failure;
use crate::output::{Format, document, plain, table, words, yaml};

/// What to do with alarms.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List what agents said that somebody should look at, the latest first
    ///
    /// The same alarm about the same machine is one line. The last hundred of each site are kept.
    #[command(visible_alias = "ls")]
    List(List),
}

/// `alarm list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this site
    #[arg(long)]
    site: Option<String>,
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    let Verb::List(List { site }) = verb;
    let mut alarms = context.connect().await?.list_alarms(&site.unwrap_or_default()).await?;
    alarms.sort_by_key(|alarm| std::cmp::Reverse(alarm.last_ms));
    match context.output.format_or(Format::Table) {
        Format::Table => {
            let now = words::now();
            let rows: Vec<_> = alarms.iter().map(|alarm| row(alarm, now)).collect();
            let headings = ["last", "times", "site", "agent", "machine", "alarm", "detail"];
            context.output.line(&table::render(&headings, &rows, context.output.colours()))
        }
        Format::Json => context.output.line(&document::json(&all(&alarms))),
        Format::Yaml => context.output.text(&yaml::text(&all(&alarms))),
    }
}

fn row(alarm: &v1::KnownAlarm, now: Wall) -> Vec<String> {
    let machine = if alarm.host.is_empty() { alarm.mac.clone() } else { alarm.host.clone() };
    vec![
        words::relative(Wall(alarm.last_ms), now),
        alarm.times.to_string(),
        alarm.site.clone(),
        alarm.agent.clone(),
        machine,
        words_of(&alarm.kind),
        plain(&alarm.detail),
    ]
}

/// One that only a newer controller knows is shown as it is called.
fn words_of(kind: &str) -> String {
    match serde_json::from_value::<AlarmKind>(kind.into()) {
        Ok(kind) => kind.words().to_owned(),
        Err(_) => plain(kind),
    }
}

fn all(alarms: &[v1::KnownAlarm]) -> Value {
    let one = |alarm: &v1::KnownAlarm| {
        json!({
            "site": alarm.site, "agent": alarm.agent, "alarm": alarm.kind, "detail": alarm.detail,
            "host": alarm.host, "mac": alarm.mac, "first_ms": alarm.first_ms, "last_ms": alarm.last_ms,
            "times": alarm.times,
        })
    };
    Value::Array(alarms.iter().map(one).collect())
}

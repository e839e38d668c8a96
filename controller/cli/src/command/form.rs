//! `bootlane form`.

use clap::{Args, Subcommand};
use proto::{Wall, v1};
use serde_json::{Value, json};

use super::Context;
use crate::failure::Failure;
use crate::output::{Format, document, plain, table, words, yaml};

/// What to do with the forms of replies that were learnt.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List in which form PXE ROMs were seen to take what they are told to boot
    ///
    /// Only what differs from the usual is listed: by firmware model, with which every other machine of the model begins, and
    /// by card. A host's or a site's `reply_form` comes before it.
    #[command(visible_alias = "ls")]
    List,
    /// Forget what a host has taught: it begins anew, as do other machines of its model
    Forget(Forget),
}

/// `form forget`.
#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// The host
    host: String,
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => list(context).await,
        Verb::Forget(forget) => {
            context.connect().await?.forget_forms(&forget.host).await?;
            context.output.line(&format!("what Host {} has taught is forgotten", forget.host))
        }
    }
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let forms = context.connect().await?.list_forms().await?;
    match context.output.format_or(Format::Table) {
        Format::Table => {
            let rows: Vec<_> = forms.iter().map(row).collect();
            let headings = ["machines", "form", "firmware", "proved by", "site", "time"];
            context.output.line(&table::render(&headings, &rows, context.output.colours()))
        }
        Format::Json => context.output.line(&document::json(&all(&forms))),
        Format::Yaml => context.output.text(&yaml::text(&all(&forms))),
    }
}

fn row(known: &v1::KnownForm) -> Vec<String> {
    let machines = if known.mac.is_empty() { format!("model {}", known.model) } else { known.mac.clone() };
    let firmware = plain(&known.firmware);
    let time = words::moment(Wall(known.at_ms));
    vec![machines, known.form.clone(), firmware, known.host.clone(), known.site.clone(), time]
}

fn all(forms: &[v1::KnownForm]) -> Value {
    let one = |known: &v1::KnownForm| {
        json!({
            "model": known.model, "mac": known.mac, "form": known.form, "firmware": known.firmware, "host": known.host,
            "site": known.site, "at_ms": known.at_ms,
        })
    };
    Value::Array(forms.iter().map(one).collect())
}

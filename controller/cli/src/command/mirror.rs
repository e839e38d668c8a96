//! `bootlane mirror`.

use clap::{Args, Subcommand};
use proto::catalog::Kind;
use serde_json::Value;

use super::Context;
use super::catalog::{self, Column, ListAll, One, cell, key_value};
use super::edit::{Edit, Labels, Unset};
use crate::failure::Failure;

/// What to do with package mirrors.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List mirrors
    #[command(visible_alias = "ls")]
    List(ListAll),
    /// Show one
    Get(One),
    /// Add a mirror: agents serve it at /mirror/NAME/
    Add(Add),
    /// Change fields of a mirror
    Set(Set),
    /// Remove a mirror, and what agents keep of it
    Rm(One),
}

/// `mirror add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name
    name: String,
    /// Where its files come from, the preferred first; may be repeated
    #[arg(long = "upstream", value_name = "URL", required = true)]
    upstreams: Vec<String>,
    #[command(flatten)]
    fields: Fields,
}

/// `mirror set`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Its name
    name: String,
    /// Where its files come from, in place of what was there; may be repeated
    #[arg(long = "upstream", value_name = "URL")]
    upstreams: Vec<String>,
    #[command(flatten)]
    fields: Fields,
    /// Take a field away, for example redirects_to or sites.country; may be repeated
    #[arg(long, value_name = "FIELD")]
    unset: Vec<Unset>,
}

#[derive(Debug, Args)]
struct Fields {
    /// debian, rpm or generic: what is an index there, and what never changes
    #[arg(long)]
    family: Option<String>,
    /// A label that a site must have to serve it; may be repeated
    #[arg(long = "site-label", value_name = "KEY=VALUE", value_parser = key_value)]
    sites: Vec<(String, String)>,
    /// A host that an upstream may redirect to; may be repeated
    #[arg(long = "redirects-to", value_name = "HOST")]
    redirects_to: Vec<String>,
    /// Files that are asked after, as a pattern; may be repeated
    #[arg(long, value_name = "PATTERN")]
    index: Vec<String>,
    /// Files that never change under their name, as a pattern; may be repeated
    #[arg(long, value_name = "PATTERN")]
    immutable: Vec<String>,
    /// How long an index is given away before it is asked after again, for example 30s
    #[arg(long, value_name = "TIME")]
    fresh: Option<String>,
    /// What it may take on each agent's disk, for example 20GiB
    #[arg(long, value_name = "SIZE")]
    budget: Option<String>,
    /// The largest file that is taken
    #[arg(long, value_name = "SIZE")]
    max_object: Option<String>,
    #[command(flatten)]
    labels: Labels,
}

impl Fields {
    fn edits(&self, upstreams: &[String]) -> Vec<Edit> {
        let plain = [
            Edit::list("upstreams", upstreams),
            Edit::optional("family", self.family.clone()),
            Edit::list("redirects_to", &self.redirects_to),
            Edit::list("index", &self.index),
            Edit::list("immutable", &self.immutable),
            Edit::optional("fresh", self.fresh.clone()),
            Edit::optional("budget", self.budget.clone()),
            Edit::optional("max_object", self.max_object.clone()),
        ];
        let sites =
            self.sites.iter().map(|(key, value)| Edit::entry("sites", key, Value::from(value.as_str())));
        plain.into_iter().flatten().chain(sites).chain(self.labels.edits()).collect()
    }
}

const COLUMNS: &[Column] = &[
    Column::new("family", |mirror, _| cell(mirror, "/spec/family")),
    Column::new("upstreams", |mirror, _| cell(mirror, "/spec/upstreams")),
    Column::new("sites", |mirror, _| sites(mirror)),
    Column::new("budget", |mirror, _| cell(mirror, "/spec/budget")),
];

/// `country=fr,floor=2`; "all" without any.
fn sites(mirror: &Value) -> String {
    let labels = mirror.pointer("/spec/sites").and_then(Value::as_object);
    let words = |(key, value): (&String, &Value)| format!("{key}={}", value.as_str().unwrap_or_default());
    match labels.filter(|labels| !labels.is_empty()) {
        Some(labels) => labels.iter().map(words).collect::<Vec<_>>().join(","),
        None => "all".into(),
    }
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Mirror, COLUMNS, list.into()).await,
        Verb::Get(one) => catalog::get(context, Kind::Mirror, COLUMNS, &one).await,
        Verb::Add(add) => {
            let edits = add.fields.edits(&add.upstreams);
            catalog::add(context, Kind::Mirror, &add.name, edits).await
        }
        Verb::Set(set) => {
            let edits = set.fields.edits(&set.upstreams);
            catalog::set(context, Kind::Mirror, &set.name, edits, &set.unset).await
        }
        Verb::Rm(one) => catalog::remove(context, Kind::Mirror, &one).await,
    }
}

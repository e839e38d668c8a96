//! `list`, `get`, `add`, `set` and `rm`, which are the same for all kinds.

use std::collections::BTreeMap;

use proto::Wall;
use proto::catalog::{Kind, read_document};
use serde_json::{Value, json};

use super::edit::{Edit, Unset, edit};
use super::{Context, outcomes, wan};
use crate::client::{Change, Selection, Stored, Writing};
use crate::failure::{Exit, Failure};
use crate::output::{Format, document, plain, table, words};

/// Which documents to list.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct List {
    /// Only those of this site
    #[arg(long)]
    pub(crate) site: Option<String>,
    /// Only those with this label; may be repeated
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) labels: Vec<(String, String)>,
}

/// Which documents of a kind without sites to list.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ListAll {
    /// Only those with this label; may be repeated
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) labels: Vec<(String, String)>,
}

impl From<ListAll> for List {
    fn from(all: ListAll) -> Self {
        Self { site: None, labels: all.labels }
    }
}

/// One document.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// Its name
    pub(crate) name: String,
}

/// `KEY=VALUE`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("expected KEY=VALUE".into()),
    }
}

/// `rack=r1,team=infra`: all of them.
pub(crate) fn labels_in_words<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let labels: Vec<_> = labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    plain(&labels.join(","))
}

/// A column of a list.
pub(crate) struct Column {
    heading: &'static str,
    cell: fn(&Value, Wall) -> String,
}

impl Column {
    /// What stands below this heading.
    pub(crate) const fn new(heading: &'static str, cell: fn(&Value, Wall) -> String) -> Self {
        Self { heading, cell }
    }
}

/// A value of a document as a cell: "" for nothing, lists with commas.
pub(crate) fn cell(document: &Value, pointer: &str) -> String {
    document.pointer(pointer).map(words_of).unwrap_or_default()
}

/// A moment of a document, relative to now.
pub(crate) fn when(document: &Value, pointer: &str, now: Wall) -> String {
    let at = document.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    if at == 0 { String::new() } else { words::relative(Wall(at), now) }
}

fn words_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(words_of).collect::<Vec<_>>().join(","),
        Value::Object(fields) => fields.keys().cloned().collect::<Vec<_>>().join(","),
    }
}

/// `list`.
pub(crate) async fn list(
    context: &mut Context,
    kind: Kind,
    columns: &[Column],
    list: List,
) -> Result<(), Failure> {
    let selection = Selection { site: list.site, labels: BTreeMap::from_iter(list.labels) };
    let found = context.connect().await?.list(kind, &selection).await?;
    if found.is_empty() && !selection.labels.is_empty() {
        context.output.remark(&format!("no {kind} has {}", labels_in_words(&selection.labels)));
    }
    show(context, columns, &found, Format::Table)
}

/// `get`.
pub(crate) async fn get(
    context: &mut Context,
    kind: Kind,
    columns: &[Column],
    one: &One,
) -> Result<(), Failure> {
    let found = context.connect().await?.get(kind, &one.name).await?;
    match context.output.format_or(Format::Yaml) {
        Format::Json => context.output.line(&document::json(&found.json)),
        format @ (Format::Yaml | Format::Table) => {
            let comments = wan::comment(&found.json, words::now()) + &problems(&found.json);
            show(context, columns, &[found], format)?;
            if comments.is_empty() { Ok(()) } else { context.output.text(&comments) }
        }
    }
}

/// What a site's plan lacks, as comments: YAML below which they stand is read as before.
fn problems(document: &Value) -> String {
    let text = |problem: &Value, field: &str| cell(problem, &format!("/{field}"));
    let line = |problem: &Value| {
        let (field, message) = (text(problem, "field"), text(problem, "message"));
        let field = if field.is_empty() { field } else { format!("{field}: ") };
        plain(&format!("#   {} {}: {field}{message}", text(problem, "kind"), text(problem, "name"))) + "\n"
    };
    let all = document.pointer("/status/problems").and_then(Value::as_array).into_iter().flatten();
    let lines: String = all.map(line).collect();
    if lines.is_empty() { lines } else { format!("# what the plan of this site lacks:\n{lines}") }
}

/// Documents in the format that was asked for.
pub(crate) fn show(
    context: &mut Context,
    columns: &[Column],
    found: &[Stored],
    default: Format,
) -> Result<(), Failure> {
    match context.output.format_or(default) {
        Format::Table => context.output.line(&rows(columns, found, words::now(), context.output.colours())),
        Format::Yaml => {
            let texts: Vec<_> = found.iter().map(|stored| document::yaml(&stored.json)).collect();
            let first = if texts.len() > 1 { "---\n" } else { "" };
            context.output.text(&format!("{first}{}", texts.join("---\n")))
        }
        Format::Json => {
            let all = found.iter().map(|stored| stored.json.clone()).collect();
            context.output.line(&document::json(&Value::Array(all)))
        }
    }
}

fn rows(columns: &[Column], found: &[Stored], now: Wall, colours: bool) -> String {
    let headings: Vec<_> =
        std::iter::once("name").chain(columns.iter().map(|column| column.heading)).collect();
    let row = |stored: &Stored| {
        let cells = columns.iter().map(|column| (column.cell)(&stored.json, now));
        std::iter::once(stored.name.clone()).chain(cells).collect::<Vec<_>>()
    };
    table::render(&headings, &found.iter().map(row).collect::<Vec<_>>(), colours)
}

/// `add`: a document that must not exist yet.
pub(crate) async fn add(
    context: &mut Context,
    kind: Kind,
    name: &str,
    edits: Vec<Edit>,
) -> Result<(), Failure> {
    let mut json = json!({"kind": kind.word(), "name": name, "spec": {}});
    edit(&mut json, edits)?;
    let checked = check(kind, json)?;
    let mut client = context.connect().await?;
    if client.find(kind, name).await?.is_some() {
        let message = format!("{kind} {name} exists already");
        let remedy = format!("`bootlane {} set {name}` changes it", noun(kind));
        return Err(Failure::new(Exit::Conflict, message).remedy(remedy));
    }
    let change = Change::Put { kind, name: name.into(), json: checked, revision: 0 };
    outcomes::write(context, &mut client, &[change], &Writing::default()).await
}

/// `set`: a document that exists, as it was read a moment ago.
pub(crate) async fn set(
    context: &mut Context,
    kind: Kind,
    name: &str,
    edits: Vec<Edit>,
    unset: &[Unset],
) -> Result<(), Failure> {
    let edits: Vec<_> = edits.into_iter().chain(unset.iter().map(Unset::edit)).collect();
    if edits.is_empty() {
        return Err(Failure::usage("nothing to set: name a field, see --help"));
    }
    let mut client = context.connect().await?;
    let Stored { revision, json, .. } = client.get(kind, name).await?;
    let mut json = written(json);
    edit(&mut json, edits)?;
    let change = Change::Put { kind, name: name.into(), json: check(kind, json)?, revision };
    outcomes::write(context, &mut client, &[change], &Writing::default()).await
}

/// `rm`: only what it is now, so that a change made meanwhile is not lost unseen.
pub(crate) async fn remove(context: &mut Context, kind: Kind, one: &One) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    let revision = client.get(kind, &one.name).await?.revision;
    let change = Change::Remove { kind, name: one.name.clone(), revision };
    outcomes::write(context, &mut client, &[change], &Writing::default()).await
}

/// Without what the controller keeps.
fn written(mut json: Value) -> Value {
    if let Value::Object(fields) = &mut json {
        fields.remove("meta");
        fields.remove("status");
    }
    json
}

/// Finds what is wrong with a document by itself, before anybody is asked.
fn check(kind: Kind, json: Value) -> Result<Value, Failure> {
    let read = read_document(kind, json).and_then(|any| match any.validate() {
        problems if problems.is_empty() => Ok(any),
        problems => Err(problems),
    });
    read.map(|any| written(any.to_value())).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Failure::usage(lines.join("\n"))
    })
}

fn noun(kind: Kind) -> String {
    kind.word().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_words() {
        let document = json!({"spec": {"macs": ["a", "b"], "locked": true, "labels": {"x": 1}}});
        assert_eq!(cell(&document, "/spec/macs"), "a,b");
        assert_eq!(cell(&document, "/spec/locked"), "yes");
        assert_eq!(cell(&document, "/spec/labels"), "x");
        assert_eq!(cell(&document, "/spec/none"), "");
    }

    #[test]
    fn what_a_plan_lacks_is_a_comment() {
        let problem = json!({"kind": "Host", "name": "web-1", "field": "spec.profile", "message": "there is no\nprofile"});
        let text = problems(&json!({"status": {"problems": [problem]}}));
        assert_eq!(
            text,
            "# what the plan of this site lacks:\n#   Host web-1: spec.profile: there is no\u{fffd}profile\n"
        );
        assert_eq!(problems(&json!({"status": {"problems": []}})), "");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_field() {
        let json = json!({"kind": "Site", "name": "a", "spec": {"subnets": [{"network": "10.1.0/24"}]}});
        let failure = check(Kind::Site, json).expect_err("no network");
        assert!(failure.message.starts_with("spec.subnets[0].network: "), "{failure}");
        assert!(failure.message.ends_with("found \"10.1.0/24\""), "{failure}");
    }

    #[test]
    fn a_wrong_document_never_leaves() {
        let json = json!({"kind": "Host", "name": "A", "spec": {"site": "lyon", "macs": []}});
        let failure = check(Kind::Host, json).expect_err("two mistakes");
        assert_eq!(failure.exit, Some(Exit::Usage));
        assert!(failure.message.contains("name: ") && failure.message.contains("spec.macs: "), "{failure}");
    }
}

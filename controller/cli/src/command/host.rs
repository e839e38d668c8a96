//! `bootlane host`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::{Args, Subcommand};
use proto::Mac;
use proto::catalog::{AnyResource, Kind, Problem};

use super::catalog::{self, Column, List, One, cell, key_value};
use super::edit::{Edit, Labels, Unset, Variables};
use super::explain::{self, Explain};
use super::simulate::Simulate;
use super::{Context, outcomes};
use crate::client::{Change, Outcome, Writing};
use crate::document::{Input, Place, read_inputs};
use crate::failure::{Exit, Failure};
use crate::hosts::{self, BadLine, BadTable, Defaults, Listed};
use crate::output::plain;

/// Who owns the fields that a table declares.
const MANAGER: &str = "host-import";

/// What to do with hosts.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List hosts
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one
    Get(One),
    /// Add a host
    Add(Add),
    /// Change fields of a host
    Set(Set),
    /// Remove a host and the history of its orders
    Rm(One),
    /// Say why it did not boot, and what it would be given now
    Explain(Explain),
    /// Take hosts over from a table: CSV with a heading, or the two columns `mac, os`
    Import(Import),
    /// Show what a machine would be told, fetch and run if it were switched on now, and what would fail; changes nothing
    Simulate(Simulate),
}

/// `host add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name
    name: String,
    /// Where it stands
    #[arg(long)]
    site: String,
    /// A link address that it may boot from; may be repeated
    #[arg(long = "mac", value_name = "MAC", required = true)]
    macs: Vec<Mac>,
    #[command(flatten)]
    fields: Fields,
}

/// `host set`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Its name
    name: String,
    /// Where it stands
    #[arg(long)]
    site: Option<String>,
    /// A link address that it may boot from; replaces those it has; may be repeated
    #[arg(long = "mac", value_name = "MAC")]
    macs: Vec<Mac>,
    #[command(flatten)]
    fields: Fields,
    /// Take the protection lock away
    #[arg(long, conflicts_with = "lock")]
    unlock: bool,
    /// Take a field away, for example address or labels.rack; may be repeated
    #[arg(long, value_name = "FIELD")]
    unset: Vec<Unset>,
}

#[derive(Debug, Args)]
struct Fields {
    /// A fixed address
    #[arg(long)]
    address: Option<String>,
    /// What it boots, or is installed with when an order names nothing else
    #[arg(long)]
    profile: Option<String>,
    /// The image with the network bootstrap programs, if not the profile's or the site's
    #[arg(long, value_name = "IMAGE")]
    loaders: Option<String>,
    /// The SMBIOS UUID
    #[arg(long)]
    uuid: Option<String>,
    /// The SMBIOS serial number
    #[arg(long)]
    serial: Option<String>,
    /// An asset tag, for people
    #[arg(long)]
    asset_tag: Option<String>,
    /// Set the protection lock: no order can be made or obeyed
    #[arg(long)]
    lock: bool,
    /// TFTP from port 69 alone, whatever the site says: true or false
    #[arg(long, value_name = "BOOL")]
    tftp_single_port: Option<bool>,
    /// How long its link may carry nothing after it is up, whatever the site says, for example 30s
    #[arg(long, value_name = "TIME")]
    link_wait: Option<String>,
    #[command(flatten)]
    labels: Labels,
    #[command(flatten)]
    variables: Variables,
}

impl Fields {
    fn edits(&self, site: Option<String>, macs: &[Mac]) -> Vec<Edit> {
        let plain = [
            Edit::optional("site", site),
            Edit::list("macs", macs),
            Edit::optional("address", self.address.clone()),
            Edit::optional("profile", self.profile.clone()),
            Edit::optional("loaders", self.loaders.clone()),
            Edit::optional("uuid", self.uuid.clone()),
            Edit::optional("serial", self.serial.clone()),
            Edit::optional("asset_tag", self.asset_tag.clone()),
            self.lock.then(|| Edit::spec("locked", true)),
            Edit::optional("tftp_single_port", self.tftp_single_port),
            Edit::optional("link_wait", self.link_wait.clone()),
        ];
        let plain = plain.into_iter().flatten();
        plain.chain(self.labels.edits()).chain(self.variables.edits()).collect()
    }
}

/// `host import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The table, `-` for standard input; lines with # are comments
    file: String,
    /// The site of rows that name none
    #[arg(long)]
    site: Option<String>,
    /// The profile for a word of the column os; may be repeated
    #[arg(long = "map", value_name = "OS=PROFILE", value_parser = key_value)]
    map: Vec<(String, String)>,
    /// Show what would change, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Take fields over that another manager owns
    #[arg(long)]
    force: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("site", |host, _| cell(host, "/spec/site")),
    Column::new("macs", |host, _| cell(host, "/spec/macs")),
    Column::new("address", |host, _| cell(host, "/spec/address")),
    Column::new("profile", |host, _| cell(host, "/spec/profile")),
    Column::new("locked", |host, _| cell(host, "/spec/locked")),
];

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Host, COLUMNS, list).await,
        Verb::Get(one) => catalog::get(context, Kind::Host, COLUMNS, &one).await,
        Verb::Add(add) => {
            let edits = add.fields.edits(Some(add.site), &add.macs);
            catalog::add(context, Kind::Host, &add.name, edits).await
        }
        Verb::Set(set) => {
            let mut edits = set.fields.edits(set.site, &set.macs);
            edits.extend(set.unlock.then(|| Edit::spec("locked", false)));
            catalog::set(context, Kind::Host, &set.name, edits, &set.unset).await
        }
        Verb::Rm(one) => catalog::remove(context, Kind::Host, &one).await,
        Verb::Explain(explain) => explain::host(context, &explain).await,
        Verb::Import(import) => self::import(context, import).await,
        Verb::Simulate(simulate) => super::simulate::run(context, simulate).await,
    }
}

async fn import(context: &mut Context, import: Import) -> Result<(), Failure> {
    let text = read(&import.file)?;
    let defaults = Defaults { site: import.site, profiles: BTreeMap::from_iter(import.map) };
    let writing = Writing { dry_run: import.dry_run, manager: MANAGER.into(), force: import.force };
    let listed = match hosts::read(&text, &defaults) {
        Ok(listed) => listed,
        Err(table) => return Err(all_mistakes(context, &import.file, table, writing).await),
    };
    let changes: Vec<_> = listed.iter().map(change).collect();
    let written = context.connect().await?.write(&changes, &writing).await?;
    let places = |outcome: &Outcome, _: &Problem| place(&import.file, &listed, outcome);
    outcomes::tell(&mut context.output, written, import.dry_run, &places)
}

fn read(file: &str) -> Result<String, Failure> {
    if Path::new(file).is_dir() {
        return Err(Failure::usage(format!("{file} is a folder, expected a table")));
    }
    let sources = read_inputs(&[Input::from(file)])
        .map_err(|error| Failure::because(Exit::BadInput, "read the table", &error))?;
    Ok(sources.first().map_or_else(String::new, |source| source.text.clone()))
}

/// With what the controller finds in the lines that can be read.
async fn all_mistakes(context: &mut Context, file: &str, table: BadTable, writing: Writing) -> Failure {
    let BadTable { mut bad, listed } = table;
    let changes = listed.iter().map(change).collect();
    // Nothing in a table refers to another of its hosts.
    for (outcome, problem) in outcomes::judge(context, changes, BTreeSet::new(), writing).await {
        let line = listed.iter().find(|listed| listed.host.name == outcome.name).map(|listed| listed.line);
        bad.extend(line.map(|line| BadLine { line, message: hosts::in_column(&problem) }));
    }
    bad.sort_by_key(|bad| bad.line);
    let lines: Vec<_> =
        bad.iter().map(|bad| format!("{file}:{}: {}", bad.line, plain(&bad.message))).collect();
    Failure::bad_input(format!("nothing was written:\n{}", lines.join("\n")))
}

/// What the table says and no more: a lock or a variable that somebody set stays.
fn change(listed: &Listed) -> Change {
    let mut json = AnyResource::Host(listed.host.clone()).to_value();
    if let Some(spec) = json.get_mut("spec").and_then(serde_json::Value::as_object_mut) {
        spec.remove("locked");
    }
    Change::Apply { kind: Kind::Host, name: listed.host.name.clone(), json }
}

fn place(file: &str, listed: &[Listed], outcome: &Outcome) -> Option<Place> {
    let of = listed.iter().find(|listed| listed.host.name == outcome.name)?;
    let line = usize::try_from(of.line).ok()?;
    Some(Place { file: file.to_owned(), line, column: 1 })
}

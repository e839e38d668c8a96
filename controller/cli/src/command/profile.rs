//! `bootlane profile`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use proto::catalog::Kind;
use serde_json::json;

use super::Context;
use super::catalog::{self, Column, ListAll, One, cell, key_value};
use super::edit::{Edit, Labels, Unset, Variables};
use crate::failure::{Exit, Failure};

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List profiles
    #[command(visible_alias = "ls")]
    List(ListAll),
    /// Show one
    Get(One),
    /// Add a profile
    Add(Add),
    /// Change fields of a profile
    Set(Set),
    /// Remove a profile that no host names
    Rm(One),
}

/// `profile add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name
    name: String,
    /// The image that is booted or installed
    #[arg(long)]
    image: String,
    #[command(flatten)]
    fields: Fields,
}

/// `profile set`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Its name
    name: String,
    /// The image that is booted or installed
    #[arg(long)]
    image: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// Take a field away, for example installer or variables.disk; may be repeated
    #[arg(long, value_name = "FIELD")]
    unset: Vec<Unset>,
}

#[derive(Debug, Args)]
struct Fields {
    /// install (overwrites the disk, needs an order) or run
    #[arg(long)]
    mode: Option<String>,
    /// The image whose kernel writes a disk image to the disk
    #[arg(long, value_name = "IMAGE")]
    installer: Option<String>,
    /// The image with the network bootstrap programs, if not the site's
    #[arg(long, value_name = "IMAGE")]
    loaders: Option<String>,
    /// A template for the kernel's arguments, in place of the family's
    #[arg(long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    arguments: Option<String>,
    /// A template that follows the kernel's arguments, for example console=ttyS0
    #[arg(long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    more_arguments: Option<String>,
    /// A file that is rendered for each host, by its name there; may be repeated
    #[arg(long = "template", value_name = "NAME=FILE", value_parser = key_value)]
    templates: Vec<(String, String)>,
    /// How long an installation may take, for example 1h
    #[arg(long, value_name = "TIME")]
    install_time: Option<String>,
    /// How many attempts an order allows
    #[arg(long, value_name = "N")]
    attempts: Option<u32>,
    #[command(flatten)]
    labels: Labels,
    #[command(flatten)]
    variables: Variables,
}

impl Fields {
    fn edits(&self, image: Option<String>) -> Result<Vec<Edit>, Failure> {
        let plain = [
            Edit::optional("image", image),
            Edit::optional("mode", self.mode.clone()),
            Edit::optional("installer", self.installer.clone()),
            Edit::optional("loaders", self.loaders.clone()),
            Edit::optional("boot.arguments", self.arguments.clone()),
            Edit::optional("boot.more_arguments", self.more_arguments.clone()),
            Edit::optional("install_time", self.install_time.clone()),
            Edit::optional("attempts", self.attempts),
        ];
        let mut edits: Vec<_> = plain.into_iter().flatten().collect();
        for (name, path) in &self.templates {
            edits.push(Edit::entry("templates", name, json!({"text": read(path.into())?})));
        }
        edits.extend(self.labels.edits().chain(self.variables.edits()));
        Ok(edits)
    }
}

fn read(path: PathBuf) -> Result<String, Failure> {
    std::fs::read_to_string(&path)
        .map_err(|error| Failure::because(Exit::BadInput, &format!("read {}", path.display()), &error))
}

const COLUMNS: &[Column] = &[
    Column::new("image", |profile, _| cell(profile, "/spec/image")),
    Column::new("mode", |profile, _| cell(profile, "/spec/mode")),
    Column::new("installer", |profile, _| cell(profile, "/spec/installer")),
    Column::new("templates", |profile, _| cell(profile, "/spec/templates")),
];

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Profile, COLUMNS, list.into()).await,
        Verb::Get(one) => catalog::get(context, Kind::Profile, COLUMNS, &one).await,
        Verb::Add(add) => {
            let edits = add.fields.edits(Some(add.image))?;
            catalog::add(context, Kind::Profile, &add.name, edits).await
        }
        Verb::Set(set) => {
            let edits = set.fields.edits(set.image)?;
            catalog::set(context, Kind::Profile, &set.name, edits, &set.unset).await
        }
        Verb::Rm(one) => catalog::remove(context, Kind::Profile, &one).await,
    }
}

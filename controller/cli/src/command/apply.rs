//! `bootlane apply`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use proto::catalog::{Kind, Problem};

use super::catalog::{key_value, labels_in_words};
use super::{Context, outcomes};
use crate::client::{Change, Client, Outcome, Selection, Writing};
use crate::document::{Declared, Input, Loaded, Mistake, Place, check_set, load, read_inputs};
use crate::failure::{Exit, Failure};
use crate::output::plain;

/// As many mistakes are shown.
const SHOWN: usize = 100;

/// `apply`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A file of YAML or JSON documents, a folder of such files, or `-`; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR", required = true, num_args = 1..)]
    files: Vec<String>,
    /// Show what would change, write nothing
    #[arg(long)]
    dry_run: bool,
    /// Who owns the fields that the files declare, for example gitops
    #[arg(long, value_name = "NAME", default_value = "cli")]
    manager: String,
    /// Take fields over that another manager owns
    #[arg(long)]
    force: bool,
    /// Remove what has all the labels of -l and is not in the files
    #[arg(long, requires = "labels")]
    prune: bool,
    /// What --prune may remove; may be repeated
    #[arg(short = 'l', long = "label", value_name = "KEY=VALUE", value_parser = key_value, requires = "prune")]
    labels: Vec<(String, String)>,
}

/// Does it.
pub(crate) async fn run(context: &mut Context, arguments: &Arguments) -> Result<(), Failure> {
    let loaded = read(&arguments.files)?;
    if !loaded.mistakes.is_empty() {
        return Err(all_mistakes(context, loaded, arguments).await);
    }
    let documents = loaded.documents;
    if documents.is_empty() {
        return Err(Failure::bad_input("the files hold no documents"));
    }
    let mut client = context.connect().await?;
    let mut changes: Vec<_> = documents.iter().map(change).collect();
    if arguments.prune {
        let removals = prune(&mut client, &documents, &arguments.labels).await?;
        if removals.is_none() {
            let labels = labels_in_words(arguments.labels.iter().map(|(key, value)| (key, value)));
            context.output.remark(&format!(
                "warning: --prune removes nothing: nothing has {labels}, in the files or stored"
            ));
        }
        changes.extend(removals.into_iter().flatten());
    }
    let written = client.write(&changes, &arguments.writing()).await?;
    let places = |outcome: &Outcome, problem: &Problem| place(&documents, outcome, problem);
    outcomes::tell(&mut context.output, written, arguments.dry_run, &places)
}

impl Arguments {
    fn writing(&self) -> Writing {
        Writing { dry_run: self.dry_run, manager: self.manager.clone(), force: self.force }
    }
}

/// All documents of these files, what is referred to first.
fn read(files: &[String]) -> Result<Loaded, Failure> {
    let inputs: Vec<_> = files.iter().map(|file| Input::from(file.as_str())).collect();
    let sources =
        read_inputs(&inputs).map_err(|error| Failure::because(Exit::BadInput, "read the files", &error))?;
    let mut all = Loaded::default();
    for source in &sources {
        let Loaded { documents, mistakes, unread } = load(source);
        all.documents.extend(documents);
        all.mistakes.extend(mistakes);
        all.unread.extend(unread);
    }
    let twice = check_set(&all.documents);
    if !twice.is_empty() {
        // Which of the two is meant is not known.
        all.unread.push(None);
    }
    all.mistakes.extend(twice);
    let order = |kind| Kind::ALL.iter().position(|known| *known == kind);
    all.documents.sort_by_key(|document| order(document.kind));
    Ok(all)
}

/// With what the controller finds in the documents that can be read.
async fn all_mistakes(context: &mut Context, loaded: Loaded, arguments: &Arguments) -> Failure {
    let Loaded { documents, mut mistakes, unread } = loaded;
    if let Some(unread) = unread.into_iter().collect() {
        let changes = documents.iter().map(change).collect();
        for (outcome, problem) in outcomes::judge(context, changes, unread, arguments.writing()).await {
            if let Some(place) = place(&documents, &outcome, &problem) {
                mistakes.push(Mistake { place, message: plain(&problem.to_string()) });
            }
        }
    }
    wrong(&mistakes)
}

fn wrong(mistakes: &[Mistake]) -> Failure {
    let mut lines: Vec<_> = mistakes.iter().take(SHOWN).map(Mistake::to_string).collect();
    if mistakes.len() > SHOWN {
        lines.push(format!("and {} more", mistakes.len() - SHOWN));
    }
    Failure::bad_input(format!("nothing was written:\n{}", lines.join("\n")))
}

fn change(document: &Declared) -> Change {
    Change::Apply { kind: document.kind, name: document.name.clone(), json: document.json.clone() }
}

/// Removals of what has these labels and is not declared, what refers to others first; None: nothing at all has them.
async fn prune(
    client: &mut Client,
    documents: &[Declared],
    labels: &[(String, String)],
) -> Result<Option<Vec<Change>>, Failure> {
    let declared: BTreeSet<_> =
        documents.iter().map(|document| (document.kind, document.name.as_str())).collect();
    let selection = Selection { site: None, labels: BTreeMap::from_iter(labels.iter().cloned()) };
    let mut removals = Vec::new();
    let mut known = documents.iter().any(|document| has(document, labels));
    for kind in Kind::ALL.into_iter().rev().filter(|kind| kind.declarable()) {
        let found = client.list(kind, &selection).await?;
        known |= !found.is_empty();
        let gone = found.into_iter().filter(|stored| !declared.contains(&(kind, stored.name.as_str())));
        removals.extend(gone.map(|stored| Change::Remove {
            kind,
            name: stored.name,
            revision: stored.revision,
        }));
    }
    Ok(known.then_some(removals))
}

fn has(document: &Declared, labels: &[(String, String)]) -> bool {
    let own = document.typed.labels();
    labels.iter().all(|(key, value)| own.get(key) == Some(value))
}

fn place(documents: &[Declared], outcome: &Outcome, problem: &Problem) -> Option<Place> {
    let of = |document: &&Declared| document.kind == outcome.kind && document.name == outcome.name;
    documents.iter().find(of).map(|document| document.place(&problem.field))
}

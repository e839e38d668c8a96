//! Writing, and telling what became of it.

use std::collections::BTreeSet;

use proto::catalog::Problem;
use serde_json::{Value, json};

use super::Context;
use crate::client::{Change, Client, Effect, Outcome, Writing, Written};
use crate::document::{Place, diff};
use crate::failure::{Exit, Failure};
use crate::output::{Format, Output, document, plain_lines, yaml};

/// Where a problem of an outcome stands, if its document came from a file.
pub(crate) type Places<'a> = &'a dyn Fn(&Outcome, &Problem) -> Option<Place>;

/// Writes the changes and tells what became of each.
pub(crate) async fn write(
    context: &mut Context,
    client: &mut Client,
    changes: &[Change],
    writing: &Writing,
) -> Result<(), Failure> {
    let written = client.write(changes, writing).await?;
    tell(&mut context.output, written, writing.dry_run, &|_, _| None)
}

/// What the controller finds wrong with changes of a set that is not written, as some of its documents, by these names, cannot be
/// read. What rests on those is not judged. Nothing where no controller answers: what is wrong with the files is to be mended first.
pub(crate) async fn judge(
    context: &mut Context,
    changes: Vec<Change>,
    unread: BTreeSet<String>,
    writing: Writing,
) -> Vec<(Outcome, Problem)> {
    let changes = independent(changes, unread);
    if changes.is_empty() {
        return Vec::new();
    }
    let Ok(mut client) = context.connect().await else { return Vec::new() };
    let Ok(written) = client.write(&changes, &Writing { dry_run: true, ..writing }).await else {
        return Vec::new();
    };
    let (Written::Done { outcomes, .. } | Written::Refused { outcomes, .. }) = written;
    let found = outcomes.into_iter().flat_map(|outcome| {
        let problems = outcome.problems.clone();
        problems.into_iter().map(move |problem| (outcome.clone(), problem))
    });
    found.collect()
}

/// Those that name none of these, nor anything that does.
fn independent(mut changes: Vec<Change>, mut names: BTreeSet<String>) -> Vec<Change> {
    loop {
        let rests = |change: &mut Change| change.spec().is_some_and(|spec| names_one_of(spec, &names));
        let resting: Vec<_> = changes.extract_if(.., rests).collect();
        if resting.is_empty() {
            return changes;
        }
        names.extend(resting.into_iter().map(|change| change.name().to_owned()));
    }
}

fn names_one_of(value: &Value, names: &BTreeSet<String>) -> bool {
    match value {
        Value::String(text) => names.contains(text),
        Value::Array(values) => values.iter().any(|value| names_one_of(value, names)),
        Value::Object(fields) => fields.values().any(|value| names_one_of(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Tells what became of a set of changes; a dry run shows the differences too.
///
/// # Errors
/// With every problem, if anything was refused.
pub(crate) fn tell(
    output: &mut Output,
    written: Written,
    dry_run: bool,
    places: Places<'_>,
) -> Result<(), Failure> {
    let (outcomes, warnings, refused) = match written {
        Written::Done { outcomes, warnings } => (outcomes, warnings, None),
        Written::Refused { outcomes, conflict } => (outcomes, vec![], Some(conflict)),
    };
    match output.format_or(Format::Table) {
        Format::Table if refused.is_none() || dry_run => people(output, &outcomes, dry_run)?,
        Format::Table => {}
        Format::Yaml => {
            let text = yaml::text(&summary(&outcomes));
            output.text(&text)?;
        }
        Format::Json => output.line(&document::json(&summary(&outcomes)))?,
    }
    warnings.iter().for_each(|warning| output.remark(&format!("warning: {warning}")));
    match refused {
        None => Ok(()),
        Some(conflict) => Err(refusal(&outcomes, conflict, places)),
    }
}

fn people(output: &mut Output, outcomes: &[Outcome], dry_run: bool) -> Result<(), Failure> {
    let unchanged = outcomes.iter().filter(|outcome| outcome.effect == Effect::Unchanged).count();
    for outcome in
        outcomes.iter().filter(|outcome| outcome.effect != Effect::Unchanged || outcomes.len() == 1)
    {
        let would = if dry_run && outcome.effect != Effect::Refused { "would be " } else { "" };
        let unchanged = dry_run && outcome.effect == Effect::Unchanged;
        let would = if unchanged { "" } else { would };
        output.line(&format!("{} {} {would}{}", outcome.kind, outcome.name, outcome.effect.word()))?;
        if dry_run && outcome.effect != Effect::Refused {
            output.text(&diff(outcome.before.as_ref(), outcome.after.as_ref(), output.colours()))?;
        }
    }
    if unchanged > 0 && outcomes.len() > 1 {
        output.line(&format!("{unchanged} unchanged"))?;
    }
    if outcomes.is_empty() {
        output.line("nothing to do")?;
    }
    Ok(())
}

fn summary(outcomes: &[Outcome]) -> Value {
    let one = |outcome: &Outcome| {
        let problems: Vec<_> = outcome
            .problems
            .iter()
            .map(|problem| json!({"field": problem.field, "message": problem.message}))
            .collect();
        json!({
            "kind": outcome.kind.word(),
            "name": outcome.name,
            "effect": outcome.effect.word(),
            "problems": problems,
        })
    };
    Value::Array(outcomes.iter().map(one).collect())
}

fn refusal(outcomes: &[Outcome], conflict: bool, places: Places<'_>) -> Failure {
    let mut lines = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.effect == Effect::Refused) {
        for problem in &outcome.problems {
            let place = places(outcome, problem).map(|place| format!("{place}: ")).unwrap_or_default();
            lines.push(plain_lines(&format!("{place}{} {}: {problem}", outcome.kind, outcome.name)));
        }
    }
    let exit = if conflict { Exit::Conflict } else { Exit::Failed };
    let message = format!("nothing was written:\n{}", lines.join("\n"));
    Failure::new(exit, message)
}

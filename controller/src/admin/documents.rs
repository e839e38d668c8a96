//! Get, List, Write and the audit log: the catalog in messages, without secrets.

use proto::{
    catalog::{AnyResource, Kind, Problem},
    v1,
};
use tonic::Status;

use super::{known, readiness::with_readiness, refusal, selectors, wan::with_wan, warnings};
use crate::{
    app::App,
    catalog::{
        Document, LARGEST_PAGE, Question,
        audit::Line,
        roles::Actor,
        write::{Change, Effect, Outcome, Request},
    },
    status::with_presence,
    store::Revision,
};

pub(super) async fn get(app: &App, request: v1::GetRequest) -> Result<v1::Document, Status> {
    let kind = kind("kind", &request.kind)?;
    let found = app.catalog.get_with_status(kind, &request.name).await.map_err(refusal::read)?;
    let found = match found {
        Some(found) => Some(seen(app, found).await),
        None => None,
    };
    found.map(message).ok_or_else(|| Status::not_found(format!("there is no {kind} {}", cut(&request.name))))
}

pub(super) async fn list(app: &App, request: v1::ListRequest) -> Result<v1::ListResponse, Status> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let limit = match request.limit {
        0 => LARGEST_PAGE,
        limit => limit as usize,
    };
    let (site, after) = (known::site(app, request.site).await?, some(request.after));
    let question = Question {
        kind: kind("kind", &request.kind)?,
        site,
        labels: request.labels.into_iter().collect(),
        after,
        limit,
    };
    let page = app.catalog.page(&question).await.map_err(refusal::read)?;
    let mut documents = Vec::with_capacity(page.items.len());
    for item in page.items {
        documents.push(message(seen(app, item).await));
    }
    Ok(v1::ListResponse { documents, revision: page.revision.0, more: page.more })
}

/// With what only this controller knows.
async fn seen(app: &App, any: AnyResource) -> AnyResource {
    with_readiness(app, with_wan(app, with_presence(app, any))).await
}

pub(super) async fn write(
    app: &App,
    actor: &Actor,
    request: v1::WriteRequest,
) -> Result<v1::WriteResponse, Status> {
    let changes = changes(request.changes)?;
    let (dry_run, manager, force) = (request.dry_run, request.manager, request.force);
    let request = Request { changes, dry_run, manager, force };
    let before = app.planner.sites();
    let written =
        app.catalog.write(actor, &app.vault, &request, app.clock.wall()).await.map_err(refusal::write)?;
    let changed = written.outcomes.iter().any(|outcome| outcome.effect != Effect::Unchanged);
    let (mut warnings, more_warnings) = match changed && !dry_run {
        true => warnings::since(app, before, written.revision).await,
        false => (vec![], 0),
    };
    // What was written stands, whatever cannot be read after it.
    warnings.extend(selectors::idle(app, &written.outcomes).await.unwrap_or_default());
    let outcomes = written.outcomes.into_iter().map(outcome).collect();
    Ok(v1::WriteResponse { outcomes, revision: written.revision.0, warnings, more_warnings })
}

pub(super) async fn audit(
    app: &App,
    request: &v1::ListAuditRequest,
) -> Result<v1::ListAuditResponse, Status> {
    let before = (request.before_revision != 0).then_some(Revision(request.before_revision));
    let limit = if request.limit == 0 { 100 } else { request.limit as usize };
    let lines = app.catalog.audit_log(before, limit).await.map_err(refusal::read)?;
    Ok(v1::ListAuditResponse { records: lines.into_iter().map(record).collect() })
}

/// A document for callers: redacted, always.
pub(super) fn message(any: AnyResource) -> v1::Document {
    let any = any.redacted();
    let revision = any.meta().map_or(0, |meta| meta.revision);
    v1::Document {
        kind: any.kind().word().into(),
        name: any.name().into(),
        json: json(&any).into(),
        revision,
    }
}

fn json(any: &AnyResource) -> Vec<u8> {
    any.to_value().to_string().into_bytes()
}

/// Reads every change, or names everything that is wrong with the outer form of any.
fn changes(sent: Vec<v1::Change>) -> Result<Vec<Change>, Status> {
    let mut problems = Vec::new();
    let mut changes = Vec::with_capacity(sent.len());
    for (index, change) in sent.into_iter().enumerate() {
        match read_change(change) {
            Ok(change) => changes.push(change),
            Err((at, found)) => {
                let at = at.unwrap_or_else(|| format!("changes[{index}]"));
                problems
                    .extend(found.into_iter().map(|p| Problem::new(format!("{at}:{}", p.field), p.message)));
            }
        }
    }
    if problems.is_empty() { Ok(changes) } else { Err(refusal::invalid(&problems)) }
}

/// A change, or what is wrong with which document.
fn read_change(change: v1::Change) -> Result<Change, (Option<String>, Vec<Problem>)> {
    use v1::change::Change as Wire;
    let missing = || (None, vec![Problem::new("change", "is missing")]);
    match change.change.ok_or_else(missing)? {
        Wire::Apply(sent) => Ok(Change::Apply(document(&sent)?)),
        Wire::Put(sent) => Ok(Change::Put(document(&sent)?, sent.revision)),
        Wire::Remove(v1::Removal { kind, name, revision }) => {
            let kind = kind
                .parse::<Kind>()
                .map_err(|error| (None, vec![Problem::new("kind", error.to_string())]))?;
            let at = Some(format!("{kind}/{}", cut(&name)));
            match proto::catalog::check_name("name", &name) {
                None => Ok(Change::Remove { kind, name, revision }),
                Some(problem) => Err((at, vec![problem])),
            }
        }
    }
}

fn document(sent: &v1::Document) -> Result<Document, (Option<String>, Vec<Problem>)> {
    let named = !sent.kind.is_empty() && !sent.name.is_empty();
    let at = named.then(|| format!("{}/{}", cut(&sent.kind), cut(&sent.name)));
    let document = Document::from_json(&sent.json).map_err(|problems| (at, problems))?;
    let other = |field: &str, outer: &str, inner: &str| {
        let differs = !outer.is_empty() && !outer.eq_ignore_ascii_case(inner);
        differs
            .then(|| Problem::new(field, format!("is {inner} in the document and {} around it", cut(outer))))
    };
    let problems =
        [other("kind", &sent.kind, document.kind.word()), other("name", &sent.name, &document.name)];
    let problems: Vec<_> = problems.into_iter().flatten().collect();
    let at = Some(format!("{}/{}", document.kind, document.name));
    if problems.is_empty() { Ok(document) } else { Err((at, problems)) }
}

fn outcome(outcome: Outcome) -> v1::Outcome {
    use v1::outcome::Effect as Wire;
    let effect = match outcome.effect {
        Effect::Unchanged => Wire::Unchanged,
        Effect::Created => Wire::Created,
        Effect::Changed => Wire::Changed,
        Effect::Removed => Wire::Removed,
        Effect::Refused => Wire::Refused,
    };
    let json = |any: Option<AnyResource>| any.map(|any| json(&any.redacted())).unwrap_or_default().into();
    let problem = |problem: Problem| v1::Problem { field: problem.field, message: problem.message };
    v1::Outcome {
        kind: outcome.kind.word().into(),
        name: outcome.name,
        effect: effect.into(),
        before: json(outcome.before),
        after: json(outcome.after),
        problems: outcome.problems.into_iter().map(problem).collect(),
    }
}

fn record(line: Line) -> v1::AuditRecord {
    let Line { revision, at, actor, change } = line;
    v1::AuditRecord {
        revision: revision.0,
        at_ms: at.0,
        actor,
        action: change.action,
        kind: change.kind.word().into(),
        name: change.name,
        detail: change.detail,
    }
}

fn kind(field: &str, text: &str) -> Result<Kind, Status> {
    text.parse::<Kind>().map_err(|error| refusal::field(field, error.to_string()))
}

/// Text of a caller, short enough for an answer.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

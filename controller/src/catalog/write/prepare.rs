//! One change of a request: what the document was, what it is to be, and what is wrong with that by itself.

use proto::{
    Wall,
    catalog::{AnyResource, Kind, Problem},
};
use serde_json::{Map, Value};

use super::{Change, DEFAULT_MANAGER, Effect, Outcome, Request, WriteError, new_meta, secret};
use crate::{
    catalog::{
        Document, ReadError, document,
        draft::{Draft, Edit},
        fields, orders,
        roles::Actor,
    },
    vault::Vault,
};

/// The longest list of changed fields in an audit record, in characters.
const DETAIL: usize = 500;

/// Puts one change into the draft and says what will come of it; whether others stand in its way is checked later.
pub(super) async fn prepare(
    draft: &mut Draft,
    actor: &Actor,
    vault: &Vault,
    request: &Request,
    change: &Change,
    now: Wall,
) -> Result<Outcome, WriteError> {
    let (kind, name) = change.id();
    actor.require_change(kind, name, None)?;
    if draft.touches(kind, name) {
        return Ok(refused(
            kind,
            name,
            None,
            vec![Problem::new("", "is named twice in this request")],
            false,
        ));
    }
    let before = draft.catalog().get_any(kind, name).await?;
    if let Some(before) = &before {
        actor.require_change(kind, name, before.site())?;
    }
    let writing = Writing { draft, actor, vault, request, now };
    match change {
        Change::Apply(document) => writing.document(document, before, None),
        Change::Put(document, revision) => writing.document(document, before, Some(*revision)),
        Change::Remove { revision, .. } => writing.remove(kind, name, before, *revision).await,
    }
}

impl Change {
    fn id(&self) -> (Kind, &str) {
        match self {
            Self::Apply(document) | Self::Put(document, _) => (document.kind, &document.name),
            Self::Remove { kind, name, .. } => (*kind, name),
        }
    }
}

struct Writing<'a> {
    draft: &'a mut Draft,
    actor: &'a Actor,
    vault: &'a Vault,
    request: &'a Request,
    now: Wall,
}

impl Writing<'_> {
    /// An apply, or a put of what was read at a revision.
    fn document(
        self,
        document: &Document,
        before: Option<AnyResource>,
        put: Option<u64>,
    ) -> Result<Outcome, WriteError> {
        let (kind, name) = (document.kind, document.name.as_str());
        let refuse = |problems, conflict| Ok(refused(kind, name, before.as_ref(), problems, conflict));
        if let Some(problem) = check_kind(kind, put.is_some() && before.is_some()) {
            return refuse(vec![problem], false);
        }
        if let Some(problem) = put.and_then(|revision| check_revision(before.as_ref(), revision)) {
            return refuse(vec![problem], true);
        }
        let mut body = document.body.clone();
        if kind == Kind::Secret {
            match secret::seal(self.vault, name, before.as_ref(), &mut body) {
                Ok(()) => {}
                Err(secret::Unsealed::Problem(problem)) => return refuse(vec![problem], false),
                Err(secret::Unsealed::Vault(error)) => return Err(WriteError::Seal(error)),
            }
        }
        match self.merge(kind, name, &body, before.as_ref(), put.is_some())? {
            Ok(after) => self.keep(kind, name, before, after),
            Err((problems, conflict)) => refuse(problems, conflict),
        }
    }

    /// The document as it will be stored, with its owners.
    fn merge(
        &self,
        kind: Kind,
        name: &str,
        body: &Map<String, Value>,
        before: Option<&AnyResource>,
        put: bool,
    ) -> Result<Result<AnyResource, (Vec<Problem>, bool)>, WriteError> {
        let manager = manager_of(self.request);
        let mut meta = match before.and_then(AnyResource::meta) {
            Some(meta) => meta.clone(),
            None => new_meta(self.now)?,
        };
        if let Some(problem) = fields::check_manager(&meta.managers, manager) {
            return Ok(Err((vec![problem], false)));
        }
        let stored = before.map(content).unwrap_or_default();
        let declared = fields::leaves(kind, body);
        let mut merged = match put {
            true => body.clone(),
            false => fields::merge(&stored, &meta.managers, manager, &declared),
        };
        merged.insert("kind".into(), kind.word().into());
        merged.insert("name".into(), name.into());
        let mut after = match document::parse(kind, Value::Object(merged)) {
            Ok(after) => after,
            Err(problems) => return Ok(Err((problems, false))),
        };
        self.actor.require_change(kind, name, after.site())?;
        let (old, new) = (fields::leaves(kind, &stored), fields::leaves(kind, &content(&after)));
        if put {
            meta.managers = fields::after_put(&meta.managers, manager, &declared, &old, &new);
        } else {
            let conflicts = fields::conflicts(&old, &new, &meta.managers, manager, &declared);
            if !conflicts.is_empty() && !self.request.force {
                return Ok(Err((conflicts, true)));
            }
            meta.managers = fields::after_apply(&meta.managers, manager, &declared, &old, &new);
        }
        after.set_meta(Some(meta));
        Ok(Ok(after))
    }

    /// Puts the document into the draft, if anything of it is new.
    fn keep(
        self,
        kind: Kind,
        name: &str,
        before: Option<AnyResource>,
        mut after: AnyResource,
    ) -> Result<Outcome, WriteError> {
        let old = before.as_ref().map(|before| fields::leaves(kind, &content(before))).unwrap_or_default();
        let changed = fields::changed(&old, &fields::leaves(kind, &content(&after)));
        let effect = match (&before, changed.is_empty()) {
            (None, _) => Effect::Created,
            (Some(_), true) => Effect::Unchanged,
            (Some(_), false) => Effect::Changed,
        };
        if let Some(before) = &before {
            after.set_status(status_of(before));
        }
        let (was, is) = (before.clone().map(AnyResource::redacted), Some(after.clone().redacted()));
        let (action, detail) = match effect {
            Effect::Created => ("create", String::new()),
            Effect::Changed | Effect::Removed | Effect::Refused => ("change", changed.join(" ")),
            Effect::Unchanged => ("own", format!("fields of manager {}", manager_of(self.request))),
        };
        let owners = |any: &AnyResource| any.meta().map(|meta| meta.managers.clone());
        if effect != Effect::Unchanged || before.as_ref().map(owners) != Some(owners(&after)) {
            let detail = detail.chars().take(DETAIL).collect();
            let edit = Edit { before, after: Some(after), action: action.into(), detail };
            self.draft.edit(kind, name, edit);
        }
        let (kind, name) = (kind, name.to_owned());
        Ok(Outcome { kind, name, effect, before: was, after: is, problems: vec![], conflict: false })
    }

    async fn remove(
        mut self,
        kind: Kind,
        name: &str,
        before: Option<AnyResource>,
        revision: u64,
    ) -> Result<Outcome, WriteError> {
        let Some(before) = before else {
            return Ok(refused(kind, name, None, vec![Problem::new("", "does not exist")], false));
        };
        let stale = (revision != 0).then(|| check_revision(Some(&before), revision)).flatten();
        if let Some(problem) = stale {
            return Ok(refused(kind, name, Some(&before), vec![problem], true));
        }
        if let AnyResource::Host(host) = &before {
            self.remove_ended_orders(&host.spec.site, name).await?;
        }
        let was = Some(before.clone().redacted());
        let edit = Edit { before: Some(before), after: None, action: "remove".into(), detail: String::new() };
        self.draft.edit(kind, name, edit);
        let (effect, name) = (Effect::Removed, name.to_owned());
        Ok(Outcome { kind, name, effect, before: was, after: None, problems: vec![], conflict: false })
    }

    /// The history of a host goes with it.
    async fn remove_ended_orders(&mut self, site: &str, host: &str) -> Result<(), ReadError> {
        for order in orders::ended_orders(self.draft, site, host).await? {
            orders::remove_order(self.draft, order, "with its host");
        }
        Ok(())
    }
}

fn manager_of(request: &Request) -> &str {
    if request.manager.is_empty() { DEFAULT_MANAGER } else { &request.manager }
}

/// Labels and spec as they are stored.
fn content(any: &AnyResource) -> Map<String, Value> {
    match any.to_value() {
        Value::Object(mut fields) => {
            fields.retain(|field, _| field == "labels" || field == "spec");
            fields
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn status_of(any: &AnyResource) -> Option<Value> {
    any.to_value().get("status").cloned()
}

fn check_kind(kind: Kind, put_of_existing: bool) -> Option<Problem> {
    if kind.declarable() || (kind == Kind::Operator && put_of_existing) {
        return None;
    }
    let how = match kind {
        Kind::Agent => "agents enrol with a join token",
        Kind::Order => "orders are made by `order create`",
        Kind::Token => "join tokens are made by `bootlane token add`",
        Kind::Operator => "operators are made by `bootlane operator add`",
        Kind::Site | Kind::Host | Kind::Image | Kind::Profile | Kind::Mirror | Kind::Secret => return None,
    };
    Some(Problem::new("kind", format!("cannot be written: {how}")))
}

/// A put must know what it replaces.
fn check_revision(before: Option<&AnyResource>, read: u64) -> Option<Problem> {
    let now = before.and_then(AnyResource::meta).map_or(0, |meta| meta.revision);
    let message = match (now, read) {
        (now, read) if now == read => return None,
        (0, read) => format!("does not exist any more: you read it at revision {read}"),
        (now, 0) => format!("exists already, at revision {now}"),
        (now, read) => format!("was changed by another writer: is at revision {now}, you read {read}"),
    };
    Some(Problem::new("", message))
}

fn refused(
    kind: Kind,
    name: &str,
    before: Option<&AnyResource>,
    problems: Vec<Problem>,
    conflict: bool,
) -> Outcome {
    let before = before.cloned().map(AnyResource::redacted);
    Outcome { kind, name: name.to_owned(), effect: Effect::Refused, before, after: None, problems, conflict }
}

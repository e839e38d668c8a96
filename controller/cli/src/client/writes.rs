//! Writing the catalog, and what became of each change.

use prost::Message as _;
use proto::catalog::{Kind, Problem};
use proto::v1;
use serde_json::Value;
use tonic::{Code, Status};

use super::{Client, call, status, strange};
use crate::failure::Failure;
use crate::output::plain;

/// As many changes go in one request; the most that a controller takes.
const MOST_CHANGES: usize = 10_000;

/// One change of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// The fields that the manager declares.
    Apply {
        /// Of this kind.
        kind: Kind,
        /// Of this name.
        name: String,
        /// Kind, name, labels and spec.
        json: Value,
    },
    /// The whole document, as read at a revision; 0: it must not exist.
    Put {
        /// Of this kind.
        kind: Kind,
        /// Of this name.
        name: String,
        /// Kind, name, labels and spec.
        json: Value,
        /// As it was read.
        revision: u64,
    },
    /// No document any more; revision 0: whatever it has.
    Remove {
        /// Of this kind.
        kind: Kind,
        /// Of this name.
        name: String,
        /// As it was read.
        revision: u64,
    },
}

impl Change {
    /// Of which document.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Apply { name, .. } | Self::Put { name, .. } | Self::Remove { name, .. } => name,
        }
    }

    /// What the document is to be.
    pub(crate) fn spec(&self) -> Option<&Value> {
        match self {
            Self::Apply { json, .. } | Self::Put { json, .. } => json.get("spec"),
            Self::Remove { .. } => None,
        }
    }
}

/// How a set of changes is to be taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writing {
    /// Check and answer, write nothing.
    pub(crate) dry_run: bool,
    /// Who owns the fields; "": the CLI.
    pub(crate) manager: String,
    /// Take fields over that another manager owns.
    pub(crate) force: bool,
}

/// What happened to a document, or would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It was so already.
    Unchanged,
    /// It is new.
    Created,
    /// It is different.
    Changed,
    /// It is gone.
    Removed,
    /// It cannot be so.
    Refused,
}

impl Effect {
    /// For people and programs.
    #[must_use]
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Refused => "refused",
        }
    }
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// Of which document.
    pub(crate) kind: Kind,
    /// Of which document.
    pub(crate) name: String,
    /// What happened, or would have.
    pub(crate) effect: Effect,
    /// None where there was none.
    pub(crate) before: Option<Value>,
    /// None where there is none.
    pub(crate) after: Option<Value>,
    /// Why it was refused.
    pub(crate) problems: Vec<Problem>,
}

/// What became of a set of changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Written {
    /// All of it.
    Done {
        /// Each.
        outcomes: Vec<Outcome>,
        /// What plans lack since.
        warnings: Vec<String>,
    },
    /// None of it was written.
    Refused {
        /// With the reasons.
        outcomes: Vec<Outcome>,
        /// Somebody else wrote meanwhile, or owns a field.
        conflict: bool,
    },
}

impl Client {
    /// Writes all of these changes, or none.
    ///
    /// # Errors
    /// What has nothing to do with single documents; what has is [`Written::Refused`].
    pub(crate) async fn write(&mut self, changes: &[Change], writing: &Writing) -> Result<Written, Failure> {
        let request = request(changes, writing)?;
        match self.admin.write(call(request.clone())).await {
            Ok(answered) => judge(answered.into_inner(), false),
            Err(refusal) if !writing.dry_run && concerns_documents(&refusal) => {
                self.explain(request, &refusal).await
            }
            Err(refusal) => Err(status::failure("write", &refusal)),
        }
    }

    /// A refusal as a whole says less than a dry run, which judges each document.
    async fn explain(&mut self, mut request: v1::WriteRequest, refusal: &Status) -> Result<Written, Failure> {
        request.dry_run = true;
        let whole = || status::failure("write", refusal);
        let answered = self.admin.write(call(request)).await.map_err(|_| whole())?;
        let conflict = matches!(refusal.code(), Code::Aborted | Code::AlreadyExists);
        match judge(answered.into_inner(), conflict)? {
            Written::Done { .. } => Err(whole()),
            refused @ Written::Refused { .. } => Ok(refused),
        }
    }
}

fn concerns_documents(refusal: &Status) -> bool {
    matches!(
        refusal.code(),
        Code::InvalidArgument | Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists
    )
}

fn request(changes: &[Change], writing: &Writing) -> Result<v1::WriteRequest, Failure> {
    let request = v1::WriteRequest {
        changes: changes.iter().map(wire).collect(),
        dry_run: writing.dry_run,
        manager: writing.manager.clone(),
        force: writing.force,
    };
    let size = request.encoded_len();
    if changes.len() > MOST_CHANGES || size > proto::MESSAGE_LIMIT {
        let message = format!(
            "{} changes of {size} bytes are more than one request takes ({MOST_CHANGES} changes, {} bytes)",
            changes.len(),
            proto::MESSAGE_LIMIT
        );
        return Err(Failure::bad_input(message).remedy("split the set, what is referred to first"));
    }
    Ok(request)
}

fn wire(change: &Change) -> v1::Change {
    use v1::change::Change as Wire;
    let change = match change {
        Change::Apply { kind, name, json } => Wire::Apply(document(*kind, name, json, 0)),
        Change::Put { kind, name, json, revision } => Wire::Put(document(*kind, name, json, *revision)),
        Change::Remove { kind, name, revision } => {
            Wire::Remove(v1::Removal { kind: kind.word().into(), name: name.clone(), revision: *revision })
        }
    };
    v1::Change { change: Some(change) }
}

fn document(kind: Kind, name: &str, json: &Value, revision: u64) -> v1::Document {
    v1::Document {
        kind: kind.word().into(),
        name: name.into(),
        json: json.to_string().into_bytes().into(),
        revision,
    }
}

fn judge(response: v1::WriteResponse, conflict: bool) -> Result<Written, Failure> {
    let warnings = warnings(&response);
    let outcomes = response.outcomes.into_iter().map(outcome).collect::<Result<Vec<_>, _>>()?;
    let refused = outcomes.iter().any(|outcome| outcome.effect == Effect::Refused);
    Ok(if refused { Written::Refused { outcomes, conflict } } else { Written::Done { outcomes, warnings } })
}

fn warnings(response: &v1::WriteResponse) -> Vec<String> {
    let warning = |warning: &v1::PlanWarning| {
        let v1::PlanWarning { site, kind, name, field, message } = warning;
        let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
        let plan = if site.is_empty() { String::new() } else { format!("plan of site {site}: ") };
        plain(&format!("{plan}{kind} {name}: {field}{message}"))
    };
    let mut lines: Vec<_> = response.warnings.iter().map(warning).collect();
    if response.more_warnings > 0 {
        lines.push(format!("and {} more", response.more_warnings));
    }
    lines
}

fn outcome(wire: v1::Outcome) -> Result<Outcome, Failure> {
    let effect = effect(wire.effect())?;
    let json = |bytes: &[u8]| match bytes {
        [] => Ok(None),
        bytes => serde_json::from_slice(bytes).map(Some).map_err(|_| strange("an outcome that is no JSON")),
    };
    Ok(Outcome {
        kind: wire.kind.parse().map_err(|_| strange("an outcome of an unknown kind"))?,
        effect,
        before: json(&wire.before)?,
        after: json(&wire.after)?,
        problems: wire.problems.into_iter().map(|p| Problem::new(p.field, p.message)).collect(),
        name: wire.name,
    })
}

fn effect(wire: v1::outcome::Effect) -> Result<Effect, Failure> {
    use v1::outcome::Effect as Wire;
    match wire {
        Wire::Unchanged => Ok(Effect::Unchanged),
        Wire::Created => Ok(Effect::Created),
        Wire::Changed => Ok(Effect::Changed),
        Wire::Removed => Ok(Effect::Removed),
        Wire::Refused => Ok(Effect::Refused),
        Wire::Unspecified => Err(strange("an outcome of an unknown kind")),
    }
}

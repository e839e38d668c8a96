//! Writing the catalog: apply, put and remove, checked together and committed together.

mod prepare;
mod secret;

use std::collections::BTreeMap;

use proto::{
    Uid, Wall,
    catalog::{AnyResource, Kind, Meta, Problem},
};
use ring::rand::SecureRandom as _;

use super::{
    Catalog, Document, ReadError,
    check::check,
    draft::{CommitError, Draft, Id},
    roles::{Actor, Denied},
};
use crate::{store::Revision, vault::Vault};

/// The manager of who gives no other name.
pub const DEFAULT_MANAGER: &str = "cli";
/// The most changes of one request.
pub const MOST_CHANGES: usize = 10_000;
/// How often a change is tried anew when other controllers are faster.
const TRIES: usize = 16;

/// A request to change the catalog.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to change; a document at most once.
    pub changes: Vec<Change>,
    /// Check and answer, write nothing.
    pub dry_run: bool,
    /// Who owns the fields that are set.
    pub manager: String,
    /// Take over fields that another manager owns.
    pub force: bool,
}

/// One change of a [`Request`].
#[derive(Debug, Clone)]
pub enum Change {
    /// The fields that the manager declares.
    Apply(Document),
    /// The whole document, as read at a revision; 0: it must not exist.
    Put(Document, u64),
    /// No document any more; revision 0: whatever it has.
    Remove {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// As it was read.
        revision: u64,
    },
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Of which document.
    pub kind: Kind,
    /// Of which document.
    pub name: String,
    /// What happened, or would have.
    pub effect: Effect,
    /// Without secrets; None where there was none.
    pub before: Option<AnyResource>,
    /// Without secrets; None where there is none.
    pub after: Option<AnyResource>,
    /// Why it was refused.
    pub problems: Vec<Problem>,
    /// It was refused because somebody else wrote meanwhile or owns a field: read again, or use force.
    pub conflict: bool,
}

/// What happened to a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
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

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// In the order of the request.
    pub outcomes: Vec<Outcome>,
    /// The store's revision after the write; zero for a dry run.
    pub revision: Revision,
}

/// Why a request changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Documents are wrong, or somebody else wrote: the outcomes say which and why.
    #[error("{} of {} changes are refused", outcomes.iter().filter(|o| o.effect == Effect::Refused).count(), outcomes.len())]
    Refused {
        /// Of all changes, in the order of the request.
        outcomes: Vec<Outcome>,
    },
    /// More than [`MOST_CHANGES`].
    #[error("{0} changes are more than one request takes ({MOST_CHANGES}): split it into smaller ones")]
    TooMany(usize),
    /// Committing.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A value could not be sealed.
    #[error("cannot seal the secret")]
    Seal(#[source] crate::vault::VaultError),
}

impl From<ReadError> for WriteError {
    fn from(error: ReadError) -> Self {
        Self::Commit(error.into())
    }
}

/// Why a change that the controller itself makes was refused.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// What is asked for cannot be.
    #[error("{}", list(problems))]
    Refused {
        /// By field of the request or document.
        problems: Vec<Problem>,
    },
    /// There is no such document.
    #[error("there is no {kind} {name}")]
    NotFound {
        /// Of which kind.
        kind: Kind,
        /// Of which name.
        name: String,
    },
    /// It is there, but not in a state for this.
    #[error("{0}")]
    Precondition(String),
    /// Committing.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<ReadError> for ChangeError {
    fn from(error: ReadError) -> Self {
        Self::Commit(error.into())
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

impl Catalog {
    /// Carries out a request, or refuses all of it: nothing is written unless every change is in order.
    ///
    /// One transaction holds it all; only a request of nothing but `apply` that is too large for one is written in
    /// several, what is referred to first. Who was interrupted applies again.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was written, except as [`CommitError::Conflict`] says.
    pub async fn write(
        &self,
        actor: &Actor,
        vault: &Vault,
        request: &Request,
        now: Wall,
    ) -> Result<Written, WriteError> {
        if request.changes.len() > MOST_CHANGES {
            return Err(WriteError::TooMany(request.changes.len()));
        }
        let _turn = self.turn.lock().await;
        let mut tries = 1;
        loop {
            match self.try_write(actor, vault, request, now).await {
                Err(WriteError::Commit(CommitError::Conflict)) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn try_write(
        &self,
        actor: &Actor,
        vault: &Vault,
        request: &Request,
        now: Wall,
    ) -> Result<Written, WriteError> {
        let mut draft = Draft::begin(self).await?;
        let mut outcomes = Vec::with_capacity(request.changes.len());
        for change in &request.changes {
            outcomes.push(prepare::prepare(&mut draft, actor, vault, request, change, now).await?);
        }
        refuse(&mut outcomes, check(&draft).await?);
        let refused = outcomes.iter().any(|outcome| outcome.effect == Effect::Refused);
        if request.dry_run {
            return Ok(Written { outcomes, revision: Revision::ZERO });
        }
        if refused {
            return Err(WriteError::Refused { outcomes });
        }
        if draft.edits().is_empty() {
            let revision = self.store.revision().await.map_err(ReadError::from)?;
            return Ok(Written { outcomes, revision });
        }
        let applies = request.changes.iter().all(|change| matches!(change, Change::Apply(_)));
        let revision = match applies {
            true => draft.commit_in_parts(&actor.label(), now).await?,
            false => draft.commit(&actor.label(), now).await?,
        };
        Ok(Written { outcomes, revision })
    }

    /// Takes the turn for a change that the controller makes on somebody's behalf.
    pub(super) async fn attempts(&self) -> Attempts<'_> {
        Attempts { catalog: self, left: TRIES, _turn: self.turn.lock().await }
    }
}

/// A change that is drafted anew while other controllers are faster, for a bounded number of times.
pub(super) struct Attempts<'a> {
    catalog: &'a Catalog,
    left: usize,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Attempts<'_> {
    /// A draft on what is stored now.
    pub(super) async fn begin(&mut self) -> Result<Draft, CommitError> {
        self.left = self.left.checked_sub(1).ok_or(CommitError::Conflict)?;
        Ok(Draft::begin(self.catalog).await?)
    }

    /// Checks and commits a draft; None: another controller was faster, begin anew.
    pub(super) async fn commit(
        &self,
        draft: Draft,
        actor: &str,
        now: Wall,
    ) -> Result<Option<Revision>, ChangeError> {
        let problems: Vec<_> = check(&draft).await?.into_iter().map(|(_, problem)| problem).collect();
        if !problems.is_empty() {
            return Err(ChangeError::Refused { problems });
        }
        if draft.is_empty() {
            return Ok(Some(Revision::ZERO));
        }
        match draft.commit(actor, now).await {
            Err(CommitError::Conflict) => Ok(None),
            done => Ok(Some(done?)),
        }
    }
}

/// Marks the outcomes that the check of the whole refuses.
fn refuse(outcomes: &mut [Outcome], found: Vec<(Id, Problem)>) {
    let mut by_id: BTreeMap<Id, Vec<Problem>> = BTreeMap::new();
    for (id, problem) in found {
        by_id.entry(id).or_default().push(problem);
    }
    for outcome in outcomes {
        if let Some(problems) = by_id.remove(&(outcome.kind, outcome.name.clone())) {
            outcome.effect = Effect::Refused;
            outcome.problems.extend(problems);
        }
    }
}

/// What the controller keeps of a new document.
pub(super) fn new_meta(now: Wall) -> Result<Meta, CommitError> {
    let mut id = [0; 16];
    let random = ring::rand::SystemRandom::new().fill(&mut id);
    random.map_err(|_| CommitError::NoRandomness)?;
    Ok(Meta { id: Uid(id), revision: 0, created_ms: now, managers: BTreeMap::new() })
}

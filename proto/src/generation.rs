//! Which plan is newer than which (DESIGN §4 "Generations").

use std::fmt;

use crate::{
    Digest, v1,
    wire::{WireError, array, required},
};

/// Orders plans: a restored controller starts a new epoch, revisions count within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation {
    /// Of the store: raised by a restore.
    pub epoch: u64,
    /// Of the store when the plan was made.
    pub revision: u64,
}

impl fmt::Display for Generation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.epoch, self.revision)
    }
}

/// Names one plan: of two plans with one id the content is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanId {
    /// Older is refused.
    pub generation: Generation,
    /// The version of the planner that made it.
    pub planner: u32,
    /// Of the plan's content.
    pub digest: Digest,
}

impl fmt::Display for PlanId {
    /// Short, for people: `1.42/7f83b165`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.generation, &self.digest.to_string()[..8])
    }
}

impl From<PlanId> for v1::PlanId {
    fn from(id: PlanId) -> Self {
        let Generation { epoch, revision } = id.generation;
        Self {
            generation: Some(v1::Generation { epoch, revision }),
            planner: id.planner,
            digest: id.digest.0.to_vec().into(),
        }
    }
}

impl TryFrom<v1::PlanId> for PlanId {
    type Error = WireError;

    fn try_from(id: v1::PlanId) -> Result<Self, WireError> {
        let v1::Generation { epoch, revision } = required("generation", id.generation)?;
        let digest = Digest(array("digest", &id.digest)?);
        Ok(Self { generation: Generation { epoch, revision }, planner: id.planner, digest })
    }
}

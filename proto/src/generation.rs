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

impl PlanId {
    /// Is it the content of that other plan? The same may have got another number since, but for after a restore.
    #[must_use]
    pub fn has_content_of(&self, other: &Self) -> bool {
        (self.generation.epoch, self.digest) == (other.generation.epoch, other.digest)
    }
}

/// Which plan an agent obeys, beside the newest of its site: [`PlanId::has_content_of`] as it is told in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Following {
    /// The newest.
    Newest,
    /// An older one.
    Behind,
    /// It never said, or its site has none.
    Unknown,
}

impl Following {
    /// Compares two plans as [`PlanId`]s are displayed. Plans of the same content follow each other under newer numbers, and nobody
    /// is told of those: what an agent obeys is told by epoch and digest.
    #[must_use]
    pub fn of(newest: &str, applied: &str) -> Self {
        match (content(newest), content(applied)) {
            (Some(newest), Some(applied)) if newest == applied => Self::Newest,
            (Some(_), Some(_)) => Self::Behind,
            (None, _) | (_, None) => Self::Unknown,
        }
    }
}

/// Epoch and digest of `EPOCH.REVISION/DIGEST`.
fn content(id: &str) -> Option<(&str, &str)> {
    let (generation, digest) = id.split_once('/')?;
    let (epoch, _) = generation.split_once('.')?;
    Some((epoch, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_the_newest_by_its_content_and_its_epoch() {
        let newest = "2.7/aabbccdd";
        assert_eq!(Following::of(newest, "2.7/aabbccdd"), Following::Newest);
        assert_eq!(
            Following::of(newest, "2.5/aabbccdd"),
            Following::Newest,
            "the same under an older number"
        );
        assert_eq!(Following::of(newest, "2.5/00bbccdd"), Following::Behind);
        assert_eq!(Following::of(newest, "1.7/aabbccdd"), Following::Behind, "before a restore");
        for unknown in ["", "x"] {
            assert_eq!(Following::of(newest, unknown), Following::Unknown);
            assert_eq!(Following::of(unknown, newest), Following::Unknown);
        }
    }

    #[test]
    fn what_is_compared_is_what_is_displayed() {
        let id = |revision, digest| PlanId {
            generation: Generation { epoch: 2, revision },
            planner: 7,
            digest: Digest([digest; 32]),
        };
        let newest = id(9, 0xab).to_string();
        assert_eq!(Following::of(&newest, &id(7, 0xab).to_string()), Following::Newest);
        assert!(id(9, 0xab).has_content_of(&id(7, 0xab)) && !id(9, 0xab).has_content_of(&id(9, 0xac)));
        assert_eq!(Following::of(&newest, &id(9, 0xac).to_string()), Following::Behind);
    }
}

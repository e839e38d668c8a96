//! The plan as it travels and is stored: entries under one digest, and the changes between two of them.

use std::{collections::BTreeMap, fmt};

use prost::bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::{
    Digest, Generation, PlanId, v1,
    wire::{WireError, required},
};

/// The most entries that a plan may have.
const ENTRIES: usize = 100_000;
/// The longest key, in bytes.
const KEY: usize = 200;

/// One part: the encoded message that the first word of its key names.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// See `plan.proto`, message Entry.
    pub body: Bytes,
    /// The lowest plan level that may obey it.
    pub level: u32,
}

impl fmt::Debug for Entry {
    /// Without the body, which may hold secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Entry({} bytes, level {})", self.body.len(), self.level)
    }
}

/// A plan whose digest holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDocument {
    id: PlanId,
    fleet: String,
    site: String,
    entries: BTreeMap<String, Entry>,
}

/// A change that cannot be applied to the plan at hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// It is made for another plan: ask for a snapshot.
    #[error("the change is made for plan {base}, the one at hand is {held}")]
    Gap {
        /// The plan that the change starts from.
        base: PlanId,
        /// The plan at hand.
        held: PlanId,
    },
    /// The result has another digest than the change says: ask for a snapshot.
    #[error("the changed plan's digest is {found}, the change says {expected}")]
    Digest {
        /// As the change says.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// The message itself is wrong.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl PlanDocument {
    /// A new plan; computes its digest.
    #[must_use]
    pub fn assemble(
        fleet: &str,
        site: &str,
        generation: Generation,
        planner: u32,
        entries: impl IntoIterator<Item = (String, Entry)>,
    ) -> Self {
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        let id = PlanId { generation, planner, digest: digest(fleet, site, &entries) };
        Self { id, fleet: fleet.into(), site: site.into(), entries }
    }

    /// Names it.
    #[must_use]
    pub fn id(&self) -> PlanId {
        self.id
    }

    /// The fleet's name.
    #[must_use]
    pub fn fleet(&self) -> &str {
        &self.fleet
    }

    /// The site's name.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// All entries in ascending order of key.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// What turns this plan into `newer`.
    #[must_use]
    pub fn delta_to(&self, newer: &Self) -> v1::PlanDelta {
        let changed = newer.entries.iter().filter(|(key, entry)| self.entries.get(*key) != Some(entry));
        let removed = self.entries.keys().filter(|key| !newer.entries.contains_key(*key));
        v1::PlanDelta {
            base: Some(self.id.into()),
            id: Some(newer.id.into()),
            put: changed.map(|(key, entry)| wire_entry(key, entry)).collect(),
            removed: removed.cloned().collect(),
        }
    }

    /// This plan with `delta` applied.
    ///
    /// # Errors
    /// When the change is for another plan, is malformed, or does not lead to the digest that it states.
    pub fn apply(&self, delta: v1::PlanDelta) -> Result<Self, DeltaError> {
        let base = PlanId::try_from(required("base", delta.base)?)?;
        let id = PlanId::try_from(required("id", delta.id)?)?;
        if base != self.id {
            return Err(DeltaError::Gap { base, held: self.id });
        }
        let mut entries = self.entries.clone();
        for key in &delta.removed {
            entries.remove(key);
        }
        entries.extend(
            delta.put.into_iter().map(|entry| (entry.key, Entry { body: entry.body, level: entry.level })),
        );
        check_keys(&entries)?;
        let found = digest(&self.fleet, &self.site, &entries);
        if found != id.digest {
            return Err(DeltaError::Digest { expected: id.digest, found });
        }
        Ok(Self { id, fleet: self.fleet.clone(), site: self.site.clone(), entries })
    }

    /// The plan without the entries for which `leave_out` holds, and those entries. The id stays: it names the whole.
    /// For keeping secrets apart at rest; [`PlanDocument::rejoin`] is the way back.
    #[must_use]
    pub fn split(&self, leave_out: impl Fn(&str) -> bool) -> (v1::Plan, Vec<v1::Entry>) {
        let mut plan = v1::Plan::from(self);
        let (out, kept) = plan.entries.into_iter().partition(|entry| leave_out(&entry.key));
        plan.entries = kept;
        (plan, out)
    }

    /// A plan that an agent kept in two parts on its own disk, where it guards both by checksums of its own. What was
    /// kept apart may since have been destroyed, so the digest is not asked for: a change that is applied to a plan
    /// that is not whole does not lead to its digest, and the agent asks for a snapshot.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn rejoin(plan: v1::Plan, apart: Vec<v1::Entry>) -> Result<Self, WireError> {
        let id = PlanId::try_from(required("id", plan.id)?).map_err(|e| e.within("id"))?;
        let entries = plan.entries.into_iter().chain(apart);
        let entries =
            entries.map(|entry| (entry.key, Entry { body: entry.body, level: entry.level })).collect();
        check_keys(&entries)?;
        Ok(Self { id, fleet: plan.fleet, site: plan.site, entries })
    }
}

impl From<&PlanDocument> for v1::Plan {
    fn from(plan: &PlanDocument) -> Self {
        Self {
            id: Some(plan.id.into()),
            fleet: plan.fleet.clone(),
            site: plan.site.clone(),
            entries: plan.entries.iter().map(|(key, entry)| wire_entry(key, entry)).collect(),
        }
    }
}

impl TryFrom<v1::Plan> for PlanDocument {
    type Error = WireError;

    fn try_from(plan: v1::Plan) -> Result<Self, WireError> {
        let id = PlanId::try_from(required("id", plan.id)?).map_err(|e| e.within("id"))?;
        let mut entries = BTreeMap::new();
        for entry in plan.entries {
            if entries.last_key_value().is_some_and(|(last, _)| *last >= entry.key) {
                return Err(WireError::new("entries", format!("{:?} is out of order", entry.key)));
            }
            entries.insert(entry.key, Entry { body: entry.body, level: entry.level });
        }
        check_keys(&entries)?;
        let found = digest(&plan.fleet, &plan.site, &entries);
        if found != id.digest {
            return Err(WireError::new("id.digest", format!("says {}, the content has {found}", id.digest)));
        }
        Ok(Self { id, fleet: plan.fleet, site: plan.site, entries })
    }
}

fn wire_entry(key: &str, entry: &Entry) -> v1::Entry {
    v1::Entry { key: key.into(), body: entry.body.clone(), level: entry.level }
}

fn check_keys(entries: &BTreeMap<String, Entry>) -> Result<(), WireError> {
    if entries.len() > ENTRIES {
        return Err(WireError::new("entries", format!("are {}, at most {ENTRIES} are taken", entries.len())));
    }
    match entries.keys().find(|key| key.is_empty() || key.len() > KEY) {
        Some(key) => Err(WireError::new("entries.key", format!("takes 1 to {KEY} bytes, has {}", key.len()))),
        None => Ok(()),
    }
}

/// SHA-256 over fleet, site and each entry's key, level and body, every string preceded by its length.
fn digest(fleet: &str, site: &str, entries: &BTreeMap<String, Entry>) -> Digest {
    let mut hash = Sha256::new_with_prefix(b"bootlane plan v1\0");
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(fleet.as_bytes());
    field(site.as_bytes());
    for (key, entry) in entries {
        field(key.as_bytes());
        field(&entry.level.to_le_bytes());
        field(&entry.body);
    }
    Digest(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(revision: u64, entries: &BTreeMap<String, u8>) -> PlanDocument {
        let entries =
            entries.iter().map(|(key, body)| (key.clone(), Entry { body: vec![*body].into(), level: 1 }));
        PlanDocument::assemble("acme", "lyon", Generation { epoch: 1, revision }, 1, entries)
    }

    proptest! {
        #[test]
        fn a_delta_leads_from_one_plan_to_the_other(
            a in prop::collection::btree_map("[a-e]{1,2}", any::<u8>(), 0..8),
            b in prop::collection::btree_map("[a-e]{1,2}", any::<u8>(), 0..8),
        ) {
            let (a, b) = (plan(1, &a), plan(2, &b));
            prop_assert_eq!(a.apply(a.delta_to(&b)), Ok(b.clone()));
            prop_assert_eq!(PlanDocument::try_from(v1::Plan::from(&b)), Ok(b));
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let whole = plan(1, &BTreeMap::from([("host/1".into(), 7)]));
        let mut wire = v1::Plan::from(&whole);
        wire.entries[0].body = vec![8].into();
        let error = PlanDocument::try_from(wire).expect_err("another byte");
        assert_eq!(error.field, "id.digest");
    }

    #[test]
    fn a_delta_for_another_plan_is_a_gap() {
        let (a, b) = (plan(1, &BTreeMap::new()), plan(2, &BTreeMap::from([("x".into(), 1)])));
        let delta = a.delta_to(&b);
        assert!(matches!(b.apply(delta), Err(DeltaError::Gap { .. })));
    }

    #[test]
    fn parts_kept_apart_make_the_same_plan_again() {
        let whole = plan(1, &BTreeMap::from([("host/1".into(), 7), ("secret/2".into(), 8)]));
        let (open, sealed) = whole.split(|key| key.starts_with("secret/"));
        assert_eq!((open.entries.len(), sealed.len()), (1, 1));
        assert_eq!(PlanDocument::rejoin(open.clone(), sealed), Ok(whole.clone()));

        let newer =
            plan(2, &BTreeMap::from([("host/1".into(), 7), ("host/3".into(), 1), ("secret/2".into(), 8)]));
        let destroyed = PlanDocument::rejoin(open, vec![]).expect("the rest is whole");
        assert!(matches!(destroyed.apply(whole.delta_to(&newer)), Err(DeltaError::Digest { .. })));
    }
}

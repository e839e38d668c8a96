//! What the cache is to hold within its budget, and in which order the rest gives way.
//!
//! What orders and hosts need belongs to it whatever the budget. Of what is merely to be held, each blob belongs to it that
//! fits beside those before it, in the order in which the plan names them. So it follows from plan and budget alone, and
//! what is here or could not be had plays no part: nothing is evicted and fetched again by turns.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use proto::Digest;

use super::need::{Need, Needs};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Goal {
    within: BTreeSet<Digest>,
    /// Where what is merely to be held stands among what the plan names.
    prefetched: BTreeMap<Digest, usize>,
}

/// When a blob gives way: the least first, those of the same turn by their last use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// The plan does not name it.
    Unnamed,
    /// It does, and the budget has no room for it: from the last named to the first.
    Beyond(Reverse<usize>),
    /// It is to be held and nothing more: from the last named to the first.
    Prefetched(Reverse<usize>),
}

impl Goal {
    /// Of what a plan needs, and so many bytes.
    #[must_use]
    pub fn of(needs: &Needs, budget: u64) -> Self {
        let mut goal = Self::default();
        let mut bytes = needs.indispensable_bytes();
        for (place, wanted) in needs.in_order().iter().enumerate() {
            let after = bytes.saturating_add(wanted.blob.size);
            if wanted.need < Need::Prefetch {
                goal.within.insert(wanted.blob.digest);
                continue;
            }
            goal.prefetched.insert(wanted.blob.digest, place);
            if after <= budget {
                goal.within.insert(wanted.blob.digest);
                bytes = after;
            }
        }
        goal
    }

    /// Is it to be held?
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.within.contains(digest)
    }

    /// When a blob gives way; None: never.
    #[must_use]
    pub fn turn(&self, digest: &Digest) -> Option<Turn> {
        match (self.prefetched.get(digest), self.has(digest)) {
            (Some(place), true) => Some(Turn::Prefetched(Reverse(*place))),
            (Some(place), false) => Some(Turn::Beyond(Reverse(*place))),
            (None, true) => None,
            (None, false) => Some(Turn::Unnamed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::BlobRef;

    use super::{super::need::Wanted, *};

    fn digest(name: u8) -> Digest {
        Digest::of(&[name])
    }

    fn needs(blobs: &[(u8, u64, Need)]) -> Needs {
        let wanted = |(name, size, need): &(u8, u64, Need)| Wanted {
            blob: BlobRef { digest: digest(*name), size: *size },
            need: *need,
        };
        blobs.iter().map(wanted).collect()
    }

    #[test]
    fn the_budget_is_for_what_is_named_first() {
        let held = needs(&[
            (1, 30, Need::Order),
            (2, 10, Need::Boot),
            (3, 40, Need::Prefetch),
            (4, 30, Need::Prefetch),
            (5, 20, Need::Prefetch),
        ]);
        let within = |budget| {
            let goal = Goal::of(&held, budget);
            (1..=6).filter(|name| goal.has(&digest(*name))).collect::<Vec<_>>()
        };
        assert_eq!(within(130), [1, 2, 3, 4, 5]);
        assert_eq!(within(100), [1, 2, 3, 5], "what is too large does not keep out what is smaller");
        assert_eq!(within(79), [1, 2, 4]);
        assert_eq!(within(10), [1, 2], "what orders and hosts need is held all the same");
    }

    #[test]
    fn what_is_named_last_gives_way_first_and_what_is_needed_never() {
        let blobs =
            [(1, 10, Need::Boot), (2, 10, Need::Prefetch), (3, 50, Need::Prefetch), (4, 10, Need::Prefetch)];
        let goal = Goal::of(&needs(&blobs), 30);
        let mut names: Vec<u8> = (1..=5).filter(|name| goal.turn(&digest(*name)).is_some()).collect();
        names.sort_by_key(|name| goal.turn(&digest(*name)));
        assert_eq!(names, [5, 3, 4, 2]);
    }
}

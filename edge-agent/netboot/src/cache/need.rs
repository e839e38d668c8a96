//! Every blob that a plan names, once, by the highest need that there is for it.

use std::collections::{BTreeMap, BTreeSet};

use proto::{
    Digest,
    plan::{self, BlobRef, Boot, SitePlan},
};

/// Why a blob is wanted; the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// A machine has asked for it and waits.
    Waiting,
    /// A loader, with which every boot begins, what an order installs, or what one waits for.
    Order,
    /// What a host boots when no order stands.
    Boot,
    /// Declared to be held here, and nothing more.
    Prefetch,
}

/// A blob, and why it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub blob: BlobRef,
    /// Why.
    pub need: Need,
}

/// What a plan names: in order of need, and by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    ordered: Vec<Wanted>,
    by_digest: BTreeMap<Digest, Wanted>,
}

impl Needs {
    /// Of a plan, whose order it is.
    #[must_use]
    pub fn of(plan: &SitePlan) -> Self {
        let loaders = plan.loaders.values().flat_map(|set| set.files.values().copied());
        let orders = plan.orders.values().flat_map(|order| order.boot.blobs());
        let awaited = plan.prefetch.values().filter(|prefetch| prefetch.need == plan::Need::Order);
        let awaited = awaited.flat_map(|prefetch| prefetch.blobs.iter().copied());
        let by_orders: BTreeSet<Digest> =
            loaders.chain(orders).chain(awaited).map(|blob| blob.digest).collect();
        let boots = plan.hosts.values().filter_map(|host| host.boot.as_ref()).flat_map(Boot::blobs);
        let by_boots: BTreeSet<Digest> = boots.map(|blob| blob.digest).collect();
        let need = |digest: &Digest| match (by_orders.contains(digest), by_boots.contains(digest)) {
            (true, _) => Need::Order,
            (false, true) => Need::Boot,
            (false, false) => Need::Prefetch,
        };
        plan.blobs().map(|blob| Wanted { blob, need: need(&blob.digest) }).collect()
    }

    /// All of it, what is needed most first.
    #[must_use]
    pub fn in_order(&self) -> &[Wanted] {
        &self.ordered
    }

    /// What the plan says of a blob; None: nothing, and then it is not fetched, whoever asks (S8).
    #[must_use]
    pub fn of_blob(&self, digest: &Digest) -> Option<Wanted> {
        self.by_digest.get(digest).copied()
    }

    /// Is it something that an order or a host needs, so that it never gives way?
    #[must_use]
    pub fn is_indispensable(&self, digest: &Digest) -> bool {
        self.of_blob(digest).is_some_and(|wanted| wanted.need < Need::Prefetch)
    }

    /// The sizes together of what orders and hosts need, in bytes.
    #[must_use]
    pub fn indispensable_bytes(&self) -> u64 {
        let needed = self.ordered.iter().filter(|wanted| wanted.need < Need::Prefetch);
        needed.map(|wanted| wanted.blob.size).fold(0, u64::saturating_add)
    }
}

impl FromIterator<Wanted> for Needs {
    /// Of two that name one blob the first stays; what comes is in order of need.
    fn from_iter<I: IntoIterator<Item = Wanted>>(wanted: I) -> Self {
        let mut needs = Self::default();
        for wanted in wanted {
            needs.by_digest.entry(wanted.blob.digest).or_insert_with(|| {
                needs.ordered.push(wanted);
                wanted
            });
        }
        needs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: u8, need: Need) -> Wanted {
        Wanted { blob: BlobRef { digest: Digest::of(&[name]), size: u64::from(name) }, need }
    }

    #[test]
    fn a_blob_is_wanted_once_by_its_highest_need() {
        let needs: Needs =
            [wanted(1, Need::Order), wanted(2, Need::Boot), wanted(1, Need::Boot), wanted(3, Need::Prefetch)]
                .into_iter()
                .collect();
        assert_eq!(
            needs.in_order(),
            [wanted(1, Need::Order), wanted(2, Need::Boot), wanted(3, Need::Prefetch)]
        );
        let indispensable = [1, 2, 3, 4].map(|name| needs.is_indispensable(&Digest::of(&[name])));
        assert_eq!(indispensable, [true, true, false, false]);
        assert_eq!(needs.indispensable_bytes(), 3);
    }
}

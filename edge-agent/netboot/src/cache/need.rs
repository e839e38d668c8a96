//! Every blob that a plan names, once, by the highest need that there is for it.

use std::collections::{BTreeMap, BTreeSet};

use proto::{
    Digest,
    plan::{self, BlobRef, Boot, Content, SitePlan},
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
    names: BTreeMap<Digest, String>,
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
        let wanted = plan.blobs().map(|blob| Wanted { blob, need: need(&blob.digest) });
        Self { names: names(plan), ..wanted.collect() }
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

    /// What a blob is, for people: the file and image, and what needs it most.
    #[must_use]
    pub fn name(&self, digest: &Digest) -> &str {
        self.names.get(digest).map_or("a file that the plan does not name", String::as_str)
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

/// For each blob what names it first, in order of need.
fn names(plan: &SitePlan) -> BTreeMap<Digest, String> {
    let mut names = BTreeMap::new();
    for set in plan.loaders.values() {
        for (path, blob) in &set.files {
            names.entry(blob.digest).or_insert_with(|| format!("{path} of the loaders {:?}", set.name));
        }
    }
    for order in plan.orders.values() {
        let host =
            plan.hosts.get(&order.host).map_or_else(|| order.host.to_string(), |host| host.name.clone());
        name_boot(&mut names, &order.boot, &format!("order {} of host {host}", order.number));
    }
    name_prefetch(&mut names, plan, plan::Need::Order);
    for host in plan.hosts.values() {
        if let Some(boot) = &host.boot {
            name_boot(&mut names, boot, &format!("host {}", host.name));
        }
    }
    name_prefetch(&mut names, plan, plan::Need::Site);
    names
}

fn name_boot(names: &mut BTreeMap<Digest, String>, boot: &Boot, of: &str) {
    for (path, file) in &boot.files {
        if let Content::Blob(blob) = &file.content {
            names.entry(blob.digest).or_insert_with(|| format!("{path} of image {} for {of}", boot.image));
        }
    }
}

fn name_prefetch(names: &mut BTreeMap<Digest, String>, plan: &SitePlan, need: plan::Need) {
    for prefetch in plan.prefetched(need) {
        for blob in &prefetch.blobs {
            let of = || format!("a file of {}", prefetch.name.replacen('/', " ", 1));
            names.entry(blob.digest).or_insert_with(of);
        }
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

    #[test]
    fn a_blob_has_the_name_of_what_needs_it_most() {
        let blob = |name: &str| BlobRef { digest: Digest::of(name.as_bytes()), size: 1 };
        let prefetch = |name: &str, need, blobs: &[&str]| plan::Prefetch {
            name: name.into(),
            need,
            rank: 0,
            blobs: blobs.iter().map(|name| blob(name)).collect(),
        };
        let entries = [
            plan::network_entry(&plan::Network::default()),
            plan::prefetch_entry(&prefetch("image/debian-12", plan::Need::Site, &["both", "one"])),
            plan::prefetch_entry(&prefetch("order/web-1-1", plan::Need::Order, &["both"])),
        ];
        let generation = proto::Generation { epoch: 1, revision: 1 };
        let document = plan::PlanDocument::assemble("acme", "lyon", generation, 1, entries);
        let needs = Needs::of(&SitePlan::decode(&document).expect("a plan"));
        let names = ["both", "one", "none"].map(|name| needs.name(&blob(name).digest).to_owned());
        assert_eq!(
            names,
            ["a file of order web-1-1", "a file of image debian-12", "a file that the plan does not name"]
        );
    }
}

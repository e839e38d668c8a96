//! What a site's plan and the catalog say of what a machine boots.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt as _;
use proto::catalog::{Family, Mode};
use proto::event::EventKind;
use proto::plan::{BlobRef, Boot, DhcpMode, LoaderSet, SitePlan, Stage, UnknownMachines};
use proto::{Mac, Platform};

use super::{Inquiry, Unreadable};
use crate::diagnosis::{BootFacts, LoaderFacts};
use crate::events::StoredEvent;

/// As much of a loader shows what it runs on.
const HEAD: u64 = 4_096;
/// Plans that are held at a time: one of a large site takes a megabyte.
const PLANS: usize = 16;

/// The plans of sites; None: a site without one, or one that cannot be read.
pub(super) type Plans = HashMap<String, Option<Arc<SitePlan>>>;

/// What a profile boots.
#[derive(Debug, Clone)]
pub(super) struct ProfileFacts {
    image: String,
    family: Option<Family>,
    installs: bool,
}

impl Inquiry {
    pub(super) fn plan(&mut self, site: &str) -> Option<Arc<SitePlan>> {
        let Self { app, read, .. } = self;
        if read.plans.len() >= PLANS && !read.plans.contains_key(site) {
            read.plans.clear();
        }
        let decode = || SitePlan::decode(&app.planner.latest(site)?.document).ok().map(Arc::new);
        read.plans.entry(site.to_owned()).or_insert_with(decode).clone()
    }

    pub(super) fn site_facts(&mut self, site: &str) -> Option<(DhcpMode, UnknownMachines)> {
        self.plan(site).map(|plan| (plan.network.dhcp, plan.network.unknown))
    }

    /// What a machine boots by this profile, but for its loaders; None: by none.
    pub(super) async fn boot_facts(
        &mut self,
        profile: Option<&str>,
        ordered: bool,
    ) -> Result<Option<BootFacts>, Unreadable> {
        let Some(name) = profile else { return Ok(None) };
        let Some(ProfileFacts { image, family, installs }) = self.profile_facts(name).await? else {
            return Ok(None);
        };
        let installs = ordered || installs;
        Ok(Some(BootFacts { profile: name.to_owned(), image, family, installs, entries: Vec::new() }))
    }

    async fn profile_facts(&mut self, name: &str) -> Result<Option<ProfileFacts>, Unreadable> {
        if let Some(known) = self.read.profiles.get(name) {
            return Ok(known.clone());
        }
        let facts = match self.app.catalog.get_profile(name).await? {
            Some(profile) => {
                let (image, installs) = (profile.spec.image, profile.spec.mode == Mode::Install);
                let family = self.app.catalog.get_image(&image).await?.map(|image| image.spec.family);
                Some(ProfileFacts { image, family, installs })
            }
            None => None,
        };
        self.read.profiles.insert(name.to_owned(), facts.clone());
        Ok(facts)
    }

    /// What firmware of each platform is sent to, for this machine.
    pub(super) fn entries(&mut self, site: &str, mac: Option<Mac>) -> Vec<(Platform, String)> {
        self.plan(site).map(|plan| entries(&plan, mac)).unwrap_or_default()
    }

    /// What the bytes of the loader show that was fetched last, if this controller has them.
    pub(super) async fn loader_facts(&mut self, site: &str, events: &[StoredEvent]) -> Option<LoaderFacts> {
        let name = events.iter().rev().find_map(|event| {
            let EventKind::FileServed { stage: Stage::Loader, name, .. } = &event.numbered.event.kind else {
                return None;
            };
            Some(name.clone())
        })?;
        let plan = self.plan(site)?;
        let blob = plan.loaders.values().find_map(|set| blob_of(set, &name))?;
        let stream = self.app.blobs.read(blob.digest, 0..HEAD.min(blob.size)).await.ok()?;
        let head: Vec<_> = stream.try_collect().await.ok()?;
        Some(LoaderFacts::of(name, &head.concat()))
    }
}

fn blob_of(set: &LoaderSet, name: &str) -> Option<BlobRef> {
    set.files.iter().find(|(path, _)| named(set, path) == name).map(|(_, blob)| *blob)
}

/// As machines are told to fetch it.
fn named(set: &LoaderSet, path: &str) -> String {
    if set.name.is_empty() { path.to_owned() } else { format!("{}/{path}", set.name) }
}

/// What firmware of each platform is sent to, of the sets that the machine's boot names and the site's default.
fn entries(plan: &SitePlan, mac: Option<Mac>) -> Vec<(Platform, String)> {
    let host = mac.and_then(|mac| plan.host_of(mac));
    let ordered = host.and_then(|host| plan.orders_of(host.id).next()).map(|order| &order.boot);
    let boot = ordered.or_else(|| host.and_then(|host| host.boot.as_ref()));
    let named_by = |boot: &Boot, set: &LoaderSet| boot.loaders.contains(&set.name);
    let sets =
        plan.loaders.values().filter(|set| set.site_default || boot.is_some_and(|boot| named_by(boot, set)));
    sets.flat_map(|set| set.entries.iter().map(|(platform, path)| (*platform, named(set, path)))).collect()
}

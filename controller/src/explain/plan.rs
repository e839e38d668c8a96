//! What a site's plan and the catalog say of what a machine boots.

use std::sync::Arc;

use futures::TryStreamExt as _;
use proto::catalog::Mode;
use proto::event::EventKind;
use proto::plan::{BlobRef, Boot, DhcpMode, LoaderSet, SitePlan, Stage, UnknownMachines};
use proto::{Mac, Platform};

use super::{ExplainError, Inquiry};
use crate::diagnosis::{BootFacts, LoaderFacts};
use crate::events::StoredEvent;

/// As much of a loader shows what it runs on.
const HEAD: u64 = 4_096;

impl Inquiry<'_> {
    pub(super) fn plan(&mut self, site: &str) -> Option<Arc<SitePlan>> {
        let app = self.app;
        let decode = || SitePlan::decode(&app.planner.latest(site)?.document).ok().map(Arc::new);
        self.plans.entry(site.to_owned()).or_insert_with(decode).clone()
    }

    pub(super) fn site_facts(&mut self, site: &str) -> Option<(DhcpMode, UnknownMachines)> {
        self.plan(site).map(|plan| (plan.network.dhcp, plan.network.unknown))
    }

    /// What the machine boots by this profile; None: by none.
    pub(super) async fn boot_facts(
        &mut self,
        site: &str,
        mac: Option<Mac>,
        profile: Option<String>,
        ordered: bool,
    ) -> Result<Option<BootFacts>, ExplainError> {
        let Some(name) = profile else { return Ok(None) };
        let Some(profile) = self.app.catalog.get_profile(&name).await? else { return Ok(None) };
        let image = profile.spec.image;
        let family = self.app.catalog.get_image(&image).await?.map(|image| image.spec.family);
        let installs = ordered || profile.spec.mode == Mode::Install;
        let entries = self.plan(site).map(|plan| entries(&plan, mac)).unwrap_or_default();
        Ok(Some(BootFacts { profile: name, image, family, installs, entries }))
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

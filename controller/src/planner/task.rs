//! The planner's loop: read all, plan all, then follow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certs::FleetName;
use proto::Generation;
use proto::catalog::Kind;
use tokio::sync::watch;

use super::feed::{self, Feed};
use super::mirror::Mirror;
use super::status::StatusWriter;
use super::{Planner, Published};
use crate::plan::{PLANNER, Planned, plan};
use crate::store::{Key, ReadError, Revision, Store, Txn};
use crate::vault::Vault;

/// How long to wait before the catalog is read again after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Where the version of the last planner is, so that a new one plans at a higher revision than the old one did.
const VERSION_KEY: &str = "/status/planner";

/// How far planning is, for others.
pub(super) struct Tells {
    /// Every site was planned once.
    pub(super) ready: watch::Sender<bool>,
    /// Every site is planned as of this revision.
    pub(super) reached: watch::Sender<Revision>,
    /// Since when changes are being worked in.
    pub(super) working: watch::Sender<Option<Instant>>,
}

pub(super) struct Task {
    fleet: FleetName,
    store: Arc<dyn Store>,
    vault: Vault,
    planner: Planner,
    tells: Tells,
    status: StatusWriter,
}

impl Task {
    pub(super) fn new(
        fleet: FleetName,
        store: Arc<dyn Store>,
        vault: Vault,
        planner: Planner,
        tells: Tells,
    ) -> Self {
        let status = StatusWriter::start(Arc::clone(&store));
        Self { fleet, store, vault, planner, tells, status }
    }

    pub(super) async fn run(self) {
        loop {
            match self.follow().await {
                Ok(()) => tracing::info!("the catalog is read anew, as its history is gone"),
                Err(error) => tracing::error!(%error, "the planner cannot read the catalog"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Plans until the watch ends.
    async fn follow(&self) -> Result<(), ReadError> {
        self.note_version().await?;
        let epoch = self.store.epoch().await?.0;
        self.tells.working.send_replace(Some(Instant::now()));
        let everything = feed::read(self.store.as_ref()).await?;
        let mut mirror = Mirror::default();
        let mut touched = BTreeSet::new();
        for entry in &everything.entries {
            mirror.put(&self.vault, &entry.key, Some(&entry.version.value), &mut touched);
        }
        touched.extend(mirror.sites().map(str::to_owned));
        touched.extend(self.published());
        self.replan(&mut mirror, touched, Generation { epoch, revision: everything.revision.0 });
        self.tells.ready.send_replace(true);
        self.planned(everything.revision);

        let mut feed = Feed::after(self.store.as_ref(), everything.revision);
        while let Some(step) = feed.next().await {
            self.tells.working.send_replace(Some(Instant::now()));
            let mut touched = BTreeSet::new();
            let mut revision = step.revision;
            step.changes.iter().for_each(|change| mirror.apply(&self.vault, change, &mut touched));
            // What came meanwhile is planned along: one plan of the newest instead of one of each.
            while let Some(step) = feed.next_ready() {
                revision = step.revision;
                step.changes.iter().for_each(|change| mirror.apply(&self.vault, change, &mut touched));
            }
            self.replan(&mut mirror, touched, Generation { epoch, revision: revision.0 });
            self.planned(revision);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Every site is planned as of this revision.
    fn planned(&self, revision: Revision) {
        self.tells.reached.send_replace(revision);
        self.tells.working.send_replace(None);
    }

    fn published(&self) -> Vec<String> {
        let sites = self.planner.sites.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        sites.keys().cloned().collect()
    }

    fn replan(&self, mirror: &mut Mirror, sites: BTreeSet<String>, generation: Generation) {
        let _span =
            tracing::info_span!("plan", sites = sites.len(), revision = generation.revision).entered();
        for site in sites {
            let planned = mirror.view(self.fleet.as_str(), &site).and_then(|view| plan(&view, generation));
            match planned {
                Some(planned) => {
                    mirror.note_uses(&site, planned.uses.clone());
                    self.publish(&site, planned);
                }
                None => {
                    mirror.forget_if_empty(&site);
                    self.planner.publish(&site, None);
                }
            }
        }
    }

    fn publish(&self, site: &str, planned: Planned) {
        let before = self.planner.latest(site);
        let Planned { document, problems, uses, blobs, agents, orders } = planned;
        let images: BTreeSet<_> =
            uses.into_iter().filter_map(|(kind, name)| (kind == Kind::Image).then_some(name)).collect();
        let same = before.as_ref().is_some_and(|before| before.document.id().has_content_of(&document.id()));
        let unchanged = |before: &Arc<Published>| {
            (&before.problems, &before.orders, &before.images, &before.agents)
                == (&problems, &orders, &images, &agents)
        };
        if same && before.as_ref().is_some_and(unchanged) {
            return;
        }
        let published = match (before, same) {
            // Only what is said of it has changed: the plan keeps its id.
            (Some(before), true) => {
                let (document, delta) = (before.document.clone(), before.delta.clone());
                Published { document, problems, blobs, images, agents, orders, delta }
            }
            (before, _) => {
                let delta = before.map(|before| before.document.delta_to(&document));
                Published { document, problems, blobs, images, agents, orders, delta }
            }
        };
        tracing::debug!(site, plan = %published.document.id(), problems = published.problems.len(), "planned");
        let published = Arc::new(published);
        self.planner.publish(site, Some(Arc::clone(&published)));
        self.status.note(site, published);
    }

    /// A new planner makes other plans of the same catalog, which must be newer than the old ones: this write raises
    /// the revision.
    async fn note_version(&self) -> Result<(), ReadError> {
        let key = Key::parse(VERSION_KEY).expect("a plain path");
        let found = self.store.get(&key).await?;
        let version = PLANNER.to_string();
        let known = found.as_ref().is_some_and(|found| found.value == version);
        let at = found.map_or(Revision::ZERO, |found| found.mod_revision);
        if known {
            return Ok(());
        }
        if let Err(error) = self.store.txn(Txn::new().expect(key.clone(), at).put(key, version)).await {
            tracing::warn!(%error, "cannot note the planner's version");
        }
        Ok(())
    }
}

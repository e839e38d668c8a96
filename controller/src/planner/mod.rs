//! Keeps every site's plan up to date with the catalog and publishes it to whoever follows.
//!
//! One task mirrors what plans are made of ([`mirror`]), replans the sites that a change touches, and swaps the newest
//! plan into a `watch` channel per site. A plan whose content has not changed keeps its id, so nobody hears of it.

mod feed;
mod mirror;
mod status;
mod task;

pub use status::SiteStatus;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use certs::FleetName;
use proto::{Digest, plan::PlanDocument, v1};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::plan::{OrderNeed, PlanProblem};
use crate::store::{Revision, Store};
use crate::vault::Vault;

/// A site's newest plan.
#[derive(Debug)]
pub struct Published {
    /// The plan.
    pub document: PlanDocument,
    /// What it lacks.
    pub problems: Vec<PlanProblem>,
    /// The blobs that it names, with their sizes in bytes: what the site's agents may fetch.
    pub blobs: BTreeMap<Digest, u64>,
    /// The images that it rests on, whether they exist or not.
    pub images: BTreeSet<String>,
    /// The agents that serve the site.
    pub agents: Vec<String>,
    /// What must be at the site for each order that is not at its end, by name.
    pub orders: BTreeMap<String, OrderNeed>,
    /// The change from the plan before, made once for all who follow; None for a site's first plan.
    pub delta: Option<v1::PlanDelta>,
}

/// What followers of one site see: None while the site is not in the catalog.
pub type PlanChannel = watch::Receiver<Option<Arc<Published>>>;

type PlanSender = watch::Sender<Option<Arc<Published>>>;

/// The plans of all sites. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Planner {
    sites: Arc<RwLock<HashMap<String, PlanSender>>>,
    ready: watch::Receiver<bool>,
    planned: watch::Receiver<Revision>,
    /// Since when changes are being worked in; None: all are.
    busy: watch::Receiver<Option<Instant>>,
}

impl Planner {
    /// Starts the planner; abort the task to stop it.
    #[must_use]
    pub fn start(fleet: FleetName, store: Arc<dyn Store>, vault: Vault) -> (Self, JoinHandle<()>) {
        let (ready, is_ready) = watch::channel(false);
        let (reached, planned) = watch::channel(Revision::ZERO);
        let (working, busy) = watch::channel(Some(Instant::now()));
        let planner = Self { sites: Arc::default(), ready: is_ready, planned, busy };
        let tells = task::Tells { ready, reached, working };
        let task = task::Task::new(fleet, store, vault, planner.clone(), tells);
        (planner, tokio::spawn(task.run()))
    }

    /// Waits until the catalog has been read and every site planned once.
    pub async fn ready(&self) {
        // The task only ends with the controller, and then nobody waits for plans.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }

    /// Follows a site's plan, also of one that does not exist yet. For names that were checked.
    #[must_use]
    pub fn subscribe(&self, site: &str) -> PlanChannel {
        let mut sites = self.sites.write().unwrap_or_else(PoisonError::into_inner);
        sites.entry(site.to_owned()).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    /// A site's newest plan.
    #[must_use]
    pub fn latest(&self, site: &str) -> Option<Arc<Published>> {
        let sites = self.sites.read().unwrap_or_else(PoisonError::into_inner);
        sites.get(site).and_then(|channel| channel.borrow().clone())
    }

    /// All sites that have a plan, by name.
    #[must_use]
    pub fn sites(&self) -> BTreeMap<String, Arc<Published>> {
        let sites = self.sites.read().unwrap_or_else(PoisonError::into_inner);
        let plan = |(site, channel): (&String, &PlanSender)| Some((site.clone(), channel.borrow().clone()?));
        sites.iter().filter_map(plan).collect()
    }

    /// For how long changes of the catalog have been waiting to be in the plans; zero while all are.
    #[must_use]
    pub fn lag(&self) -> Duration {
        self.busy.borrow().map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Waits until every site is planned as of this revision, or a later one.
    pub async fn reached(&self, revision: Revision) {
        // The task only ends with the controller, and then nobody waits for plans.
        let _ = self.planned.clone().wait_for(|planned| *planned >= revision).await;
    }

    fn publish(&self, site: &str, plan: Option<Arc<Published>>) {
        let mut sites = self.sites.write().unwrap_or_else(PoisonError::into_inner);
        let channel = sites.entry(site.to_owned()).or_insert_with(|| watch::Sender::new(None));
        channel.send_replace(plan);
    }
}

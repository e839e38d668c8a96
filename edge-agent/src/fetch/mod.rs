//! Fetches what the plan names into the image cache: what a machine waits for first, the rest in order of need.
//!
//! ```text
//! machines ──► Images ──► Fetcher: queue, room ──► transfer: one blob, from source after source ──► Fill
//! plan ──────────────────────┘                        supply: sources, back-off, the WAN's budget
//! ```
//!
//! Bytes come from other agents of the site, from the URLs that the plan names, and from the controller. They are resumed
//! where a cut left them, and count only once their SHA-256 holds (S8, S15). Digests and sizes come from the plan; nothing
//! that a machine says leads to a fetch of anything else. What is decided here is decided by [`netboot::cache`].

mod assemble;
mod budget;
mod error;
mod evict;
mod outside;
pub(crate) mod pace;
mod parts;
mod source;
mod supply;
mod transfer;
mod trouble;
mod work;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use netboot::{
    cache::{
        goal::Goal,
        need::{Need, Needs, Wanted},
        queue::Asked,
        room::{Admission, Room},
    },
    site::Input,
};
use proto::{
    Digest,
    plan::{BlobRef, SitePlan},
};
use tokio::sync::{mpsc, watch};
use tracing::Instrument as _;

use crate::{
    controllers::{Health, Link},
    core::{Core, Stopped},
    disk::cache::Cache,
    holding::Arrivals,
};

pub use budget::Budget;
pub use error::{FetchError, SourceError};
use supply::{PATIENCE, Supply};
use transfer::Purpose;
use work::{Ended, Work};

/// How often the cache is looked at, if nothing happens.
const LOOK: Duration = Duration::from_secs(5);
/// Blobs of which it is told that there is no room for them.
const TOLD: usize = 1_000;
const NO_ROOM: &str = "the image cache has no room for it within its budget";

/// What the fetcher is started with.
#[derive(Debug)]
pub struct Options {
    /// Where blobs go.
    pub cache: Arc<Cache>,
    /// `HOST:PORT` of fleet listeners.
    pub controllers: Vec<String>,
    /// Our own name.
    pub agent: String,
    /// Who is told what is out of reach.
    pub core: Core,
    /// What is needed.
    pub plan: watch::Receiver<Option<Arc<SitePlan>>>,
    /// Is there a way to fetch?
    pub link: watch::Receiver<Link>,
    /// What machines wait for.
    pub wanted: mpsc::Receiver<BlobRef>,
    /// What the cache may take where the plan says nothing, in bytes.
    pub budget: u64,
    /// What the WAN may carry, for mirrors too.
    pub wan: Arc<Budget>,
    /// Told upward.
    pub health: watch::Sender<Health>,
    /// Told why blobs do not come, and how many bytes do.
    pub arrivals: Arrivals,
}

/// See the module.
#[derive(Debug)]
pub struct Fetcher {
    options: Options,
    supply: Arc<Supply>,
    plan: Option<Arc<SitePlan>>,
    needs: Arc<Needs>,
    /// What of that the cache is to hold.
    goal: Arc<Goal>,
    /// What the cache lacked of the needs at the last look, in order of need.
    absent: Vec<Wanted>,
    /// Whole blobs of the goal at the last look, in bytes: needed by orders and hosts; merely to be held.
    held: (u64, u64),
    work: Work,
    told: Option<BTreeSet<Digest>>,
    short: u64,
    /// The disk takes no images.
    disk_low: bool,
}

impl Fetcher {
    /// Begins nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let Options { cache, controllers, agent, link, arrivals, wan, .. } = &options;
        let (controllers, agent) = (controllers.clone(), agent.clone());
        let supply = Supply::new(cache.clone(), controllers, agent, link.clone(), PATIENCE, wan.clone());
        let arrivals = arrivals.clone();
        Self {
            options,
            supply: Arc::new(supply.telling(arrivals.clone())),
            plan: None,
            needs: Arc::default(),
            goal: Arc::default(),
            absent: Vec::new(),
            held: (0, 0),
            work: Work::new(arrivals),
            told: None,
            short: 0,
            disk_low: false,
        }
    }

    /// Runs until the core stops.
    pub async fn run(mut self) {
        self.take_plan().await;
        loop {
            self.begin().await;
            if self.tell().await.is_err() {
                return;
            }
            let pause = self.work.pause(self.supply.now().mono).map_or(LOOK, |pause| pause.min(LOOK));
            tokio::select! {
                Ok(()) = self.options.plan.changed() => self.take_plan().await,
                Ok(()) = self.options.link.changed() => {
                    self.supply.link_changed();
                    self.work.retry();
                }
                Some(blob) = self.options.wanted.recv(), if self.work.has_room() => self.asked(blob),
                Some(ended) = self.work.ended() => self.finished(ended).await,
                () = tokio::time::sleep(pause) => self.look(),
                () = self.options.core.stopped() => return,
            }
        }
    }

    async fn take_plan(&mut self) {
        self.plan = self.options.plan.borrow_and_update().clone();
        let Some(plan) = &self.plan else { return };
        self.needs = Arc::new(Needs::of(plan));
        self.goal = Arc::new(Goal::of(&self.needs, self.budget()));
        self.supply.obey(plan);
        self.work.end_unwanted(|digest| self.goal.has(digest));
        self.work.retry();
        self.trim().await;
        self.remove_partials().await;
    }

    async fn finished(&mut self, ended: Ended) {
        let was_given_up = matches!(ended, Ok((_, Err(FetchError::Unwanted))));
        let was_waited_for = self.work.finished(&self.supply, ended, &self.needs);
        if was_given_up {
            self.remove_partials().await;
        }
        // What a machine has waited for may be asked for again soon, so it stays until room is needed.
        if was_waited_for { self.look() } else { self.trim().await }
    }

    /// Asks the cache what of the plan it holds.
    fn look(&mut self) {
        let wanted = self.needs.in_order();
        let held = self.options.cache.holds(wanted.iter().map(|wanted| &wanted.blob.digest));
        self.absent.clear();
        self.held = (0, 0);
        for (wanted, held) in wanted.iter().zip(held) {
            match (held, wanted.need < Need::Prefetch) {
                (false, _) => self.absent.push(*wanted),
                (true, true) => self.held.0 += wanted.blob.size,
                (true, false) if self.goal.has(&wanted.blob.digest) => self.held.1 += wanted.blob.size,
                (true, false) => {}
            }
        }
    }

    fn asked(&mut self, blob: BlobRef) {
        if self.work.queue.ask(blob) == Asked::Running {
            self.work.raise(&blob.digest);
        }
    }

    /// Starts as many fetches as may run.
    async fn begin(&mut self) {
        if !self.may_fetch() {
            return;
        }
        while let Some((wanted, admission)) = self.next() {
            self.make_room(admission).await;
            let what = self.needs.name(&wanted.blob.digest);
            let (supply, purpose) = (self.supply.clone(), Purpose::new(wanted.need, what));
            let shared = purpose.clone();
            let span = tracing::info_span!("fetch", bytes = wanted.blob.size);
            let fetch = async move { transfer::fetch(&supply, wanted.blob, &purpose).await };
            self.work.begin(wanted, shared, fetch.instrument(span));
        }
    }

    fn may_fetch(&self) -> bool {
        self.options.core.view().borrow().fills_permitted && self.supply.reaches(&BTreeSet::new())
    }

    fn room(&self) -> Room {
        Room {
            budget: self.budget(),
            held_indispensable: self.held.0,
            held_prefetched: self.held.1,
            filling: self.work.filling(),
        }
    }

    fn next(&mut self) -> Option<(Wanted, Admission)> {
        let (room, goal, cache) = (self.room(), &self.goal, &self.options.cache);
        let admit =
            |wanted: &Wanted| room.admit(wanted.need, goal.has(&wanted.blob.digest), wanted.blob.size);
        let may =
            |wanted: &Wanted| admit(wanted) != Admission::No && cache.size_of(&wanted.blob.digest).is_none();
        let wanted = self.work.queue.next(self.supply.now().mono, &self.needs, &self.absent, may)?;
        Some((wanted, admit(&wanted)))
    }

    /// What is missing and whether it can be had; the site engine answers with the local disk for what cannot.
    async fn tell(&mut self) -> Result<(), Stopped> {
        self.tell_budget();
        self.tell_disk(self.options.core.view().borrow().fills_permitted);
        self.tell_health();
        let out_of_reach = self.out_of_reach();
        if self.told.as_ref() != Some(&out_of_reach) {
            self.told = Some(out_of_reach.clone());
            self.options.core.input(Input::OutOfReach(out_of_reach)).await?;
        }
        Ok(())
    }

    fn out_of_reach(&self) -> BTreeSet<Digest> {
        let digests = self.absent.iter().map(|wanted| wanted.blob.digest);
        digests.filter(|digest| !self.supply.reaches(self.work.without(digest))).collect()
    }

    /// Says when what orders and hosts need does not fit, and of each blob that is left out why.
    fn tell_budget(&mut self) {
        let (needed, budget) = (self.needs.indispensable_bytes(), self.budget());
        let short = needed.saturating_sub(budget);
        if short > 0 && self.short == 0 {
            tracing::error!(
                needed,
                budget,
                "what orders and hosts boot does not fit into the image cache: raise its budget"
            );
        }
        self.short = short;
        let room = self.room();
        let left_out = |wanted: &&Wanted| {
            let within = self.goal.has(&wanted.blob.digest);
            room.admit(wanted.need, within, wanted.blob.size) == Admission::No
        };
        let idle = self.absent.iter().filter(|wanted| !self.work.runs(&wanted.blob.digest));
        for wanted in idle.filter(left_out).take(TOLD) {
            self.work.held_back(wanted.blob.digest, NO_ROOM);
        }
    }

    /// Says when the disk is too low for images, and when it is no more.
    fn tell_disk(&mut self, permitted: bool) {
        match (permitted, std::mem::replace(&mut self.disk_low, !permitted)) {
            (false, false) => {
                let absent = self.absent.len();
                tracing::warn!(absent, "the disk is low on space: no images are fetched until there is more");
            }
            (true, true) => tracing::info!("the disk has space again: images are fetched"),
            (true, false) | (false, true) => {}
        }
    }

    fn tell_health(&self) {
        let new = (
            self.options.cache.total_bytes(),
            u32::try_from(self.absent.len()).unwrap_or(u32::MAX),
            self.budget(),
        );
        self.options.health.send_if_modified(|health| {
            let changed = (health.cache_bytes, health.missing_blobs, health.cache_budget) != new;
            (health.cache_bytes, health.missing_blobs, health.cache_budget) = new;
            changed
        });
    }
}

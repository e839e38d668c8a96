//! What the agent holds of its plan, looked up in the cache for the controller: which blobs are not here, how far those
//! on their way have come, how fast, and why some do not come.
//!
//! It looks at the cache from outside and leaves fetching to the fetcher, which only tells what failed
//! and how much came ([`Arrivals`]).

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use proto::{
    Digest,
    holding::{Awaited, BlobState, Holding},
    plan::SitePlan,
};
use tokio::{sync::watch, time::Instant};

use crate::{core::Core, counts::Count, disk::cache::Cache};

/// How often the cache is looked at while something is awaited.
const BUSY: Duration = Duration::from_secs(1);
/// How often while everything is here: a blob may be found damaged.
const IDLE: Duration = Duration::from_secs(10);
/// Over which time the rate is a mean, roughly.
const SMOOTHED: Duration = Duration::from_secs(10);
/// After this time without a byte nothing comes any more.
const SILENT: Duration = Duration::from_secs(3);
/// The longest pause between bytes that is taken for how they come.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What the fetcher tells: why blobs do not come, and how many bytes have. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Arrivals(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    faults: Mutex<HashMap<Digest, Fault>>,
    /// Bytes that came from sources.
    received: AtomicU64,
    counts: Fetched,
}

/// What was fetched since the start.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// Fetches that came to their end.
    pub(crate) done: Count,
    /// Tries that failed.
    pub(crate) failed: Count,
    /// Bytes from other agents of the site.
    pub(crate) from_agents: Count,
    /// Bytes from the URLs that the site names.
    pub(crate) from_urls: Count,
    /// Bytes from the controller.
    pub(crate) from_controllers: Count,
}

/// What went wrong with a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// The last try failed.
    Failed(String),
    /// What had come was thrown away, and it is fetched again.
    Anew(String),
}

impl Arrivals {
    /// A try has failed.
    pub fn failed(&self, digest: Digest, why: String) {
        self.faults().insert(digest, Fault::Failed(why));
    }

    /// What had come of it was wrong, and it comes again.
    pub fn anew(&self, digest: Digest, why: String) {
        self.faults().insert(digest, Fault::Anew(why));
    }

    /// It is here, or wanted no more.
    pub fn over(&self, digest: &Digest) {
        self.faults().remove(digest);
    }

    /// So many bytes came from a source.
    pub fn received(&self, bytes: u64) {
        self.0.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What was fetched since the start.
    pub(crate) fn counts(&self) -> &Fetched {
        &self.0.counts
    }

    fn received_so_far(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Forgets all but what is still awaited.
    fn keep(&self, awaited: &HashSet<Digest>) {
        self.faults().retain(|digest, _| awaited.contains(digest));
    }

    fn of(&self, digest: &Digest) -> Option<Fault> {
        self.faults().get(digest).cloned()
    }

    /// Why a blob is fetched again, if it is.
    #[cfg(test)]
    pub(crate) fn why_anew(&self, digest: &Digest) -> Option<String> {
        match self.of(digest) {
            Some(Fault::Anew(why)) => Some(why),
            Some(Fault::Failed(_)) | None => None,
        }
    }

    fn faults(&self) -> MutexGuard<'_, HashMap<Digest, Fault>> {
        // No call panics while it holds the lock.
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What looks.
#[derive(Debug)]
pub struct Survey {
    /// Where blobs are.
    pub cache: Arc<Cache>,
    /// What is to be here.
    pub plan: watch::Receiver<Option<Arc<SitePlan>>>,
    /// Who says whether the disk takes anything.
    pub core: Core,
    /// What failed, and what came.
    pub arrivals: Arrivals,
    /// Told what was seen, when it is news.
    pub out: watch::Sender<Option<Arc<Holding>>>,
}

impl Survey {
    /// Looks until the core stops.
    pub async fn run(mut self) {
        let mut pace = Pace::default();
        loop {
            let plan = self.plan.borrow_and_update().clone();
            let seen = match plan {
                Some(plan) => Some(self.look(&plan, self.partials().await, &mut pace)),
                None => None,
            };
            let pause = if seen.as_ref().is_none_or(Holding::is_complete) { IDLE } else { BUSY };
            self.tell(seen);
            tokio::select! {
                Ok(()) = self.plan.changed() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.core.stopped() => return,
            }
        }
    }

    async fn partials(&self) -> HashMap<Digest, u64> {
        let cache = Arc::clone(&self.cache);
        // Who cannot look sees nothing, and looks again in a second.
        tokio::task::spawn_blocking(move || cache.partials()).await.unwrap_or_default()
    }

    /// `partials`: the bytes on disk of blobs that are not here as a whole.
    fn look(&self, plan: &SitePlan, partials: HashMap<Digest, u64>, pace: &mut Pace) -> Holding {
        let mut holding = Holding::of(plan.id);
        if !self.core.view().borrow().fills_permitted {
            holding.held_up = "the agent's disk is low on space".into();
        }
        let mut seen = HashSet::new();
        let mut awaited = HashSet::new();
        for blob in plan.blobs().filter(|blob| seen.insert(blob.digest)) {
            if self.cache.size_of(&blob.digest).is_none() {
                awaited.insert(blob.digest);
                let arrived = partials.get(&blob.digest).copied().unwrap_or(0);
                holding.lacks(blob.digest, self.awaited(blob.digest, blob.size, arrived));
            }
        }
        self.arrivals.keep(&awaited);
        let rate = pace.seen(Instant::now(), self.arrivals.received_so_far());
        holding.bytes_per_second = if awaited.is_empty() { 0 } else { rate };
        holding
    }

    fn awaited(&self, digest: Digest, size: u64, arrived: u64) -> Awaited {
        let (state, reason) = match (self.cache.is_filling(&digest), self.arrivals.of(&digest)) {
            (false, Some(Fault::Failed(why))) => (BlobState::Failed, why),
            (false, Some(Fault::Anew(why))) => (BlobState::Queued, why),
            (false, None) => (BlobState::Queued, String::new()),
            (true, Some(Fault::Anew(why))) => (BlobState::Arriving, why),
            // It is tried again.
            (true, Some(Fault::Failed(_)) | None) => (BlobState::Arriving, String::new()),
        };
        Awaited { size, arrived: arrived.min(size), state, reason }
    }

    fn tell(&self, seen: Option<Holding>) {
        self.out.send_if_modified(|known| {
            let news = known.as_deref() != seen.as_ref();
            if news {
                *known = seen.map(Arc::new);
            }
            news
        });
    }
}

/// How fast bytes come from sources. What is copied from other blobs, or found on disk, does not count.
#[derive(Debug, Default)]
struct Pace {
    /// When was looked last, and the bytes until then.
    last: Option<(Instant, u64)>,
    /// When something came last, and how long before that nothing had.
    came: Option<(Instant, Duration)>,
    /// Bytes a second.
    mean: f64,
}

impl Pace {
    /// Bytes a second, where so many have come until now.
    fn seen(&mut self, now: Instant, received: u64) -> u64 {
        if let Some((then, before)) = self.last.replace((now, received)) {
            let bytes = received.saturating_sub(before);
            self.note(now, bytes > 0);
            self.add(bytes, now.saturating_duration_since(then));
        }
        if self.is_silent(now) {
            self.mean = 0.0;
        }
        // A rate of a few bytes is what is left of one that has ended.
        if self.mean < 64.0 { 0 } else { self.mean as u64 }
    }

    fn note(&mut self, now: Instant, came: bool) {
        if came {
            let pause = self.came.map_or(Duration::ZERO, |(last, _)| now.saturating_duration_since(last));
            self.came = Some((now, pause));
        }
    }

    /// Nothing comes any more. Where little comes at long intervals, as under a low limit, that is seen later.
    fn is_silent(&self, now: Instant) -> bool {
        let silent = |(last, pause): (Instant, Duration)| {
            now.saturating_duration_since(last) > SILENT.max(2 * pause.min(LONGEST_PAUSE))
        };
        self.came.is_none_or(silent)
    }

    fn add(&mut self, bytes: u64, time: Duration) {
        if time.is_zero() {
            return;
        }
        let rate = bytes as f64 / time.as_secs_f64();
        let weight = 1.0 - (-time.as_secs_f64() / SMOOTHED.as_secs_f64()).exp();
        self.mean = if self.mean == 0.0 { rate } else { self.mean + weight * (rate - self.mean) };
    }
}

#[cfg(test)]
mod tests;

//! What the agent holds of its plan, looked up in the cache for the controller: which blobs are not here, how far those
//! on their way have come, how fast, and why some do not come.
//!
//! It looks at the cache from outside and leaves fetching to the fetcher, which only tells what failed ([`Faults`]).

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use proto::{
    Digest,
    holding::{Awaited, BlobState, Holding},
    plan::SitePlan,
};
use tokio::{sync::watch, time::Instant};

use crate::{core::Core, disk::cache::Cache};

/// How often the cache is looked at while something is awaited.
const BUSY: Duration = Duration::from_secs(1);
/// How often while everything is here: a blob may be found damaged.
const IDLE: Duration = Duration::from_secs(10);
/// Over which time the rate is a mean, roughly.
const SMOOTHED: Duration = Duration::from_secs(15);

/// Why blobs failed to come, by digest. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<HashMap<Digest, String>>>);

impl Faults {
    /// A try has failed.
    pub fn failed(&self, digest: Digest, why: String) {
        self.all().insert(digest, why);
    }

    /// It is here, or wanted no more.
    pub fn over(&self, digest: &Digest) {
        self.all().remove(digest);
    }

    /// Forgets all but what is still awaited.
    fn keep(&self, awaited: &HashSet<Digest>) {
        self.all().retain(|digest, _| awaited.contains(digest));
    }

    fn of(&self, digest: &Digest) -> Option<String> {
        self.all().get(digest).cloned()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Digest, String>> {
        // No call panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// What failed.
    pub faults: Faults,
    /// Told what was seen, when it is news.
    pub out: watch::Sender<Option<Arc<Holding>>>,
}

impl Survey {
    /// Looks until the core stops.
    pub async fn run(mut self) {
        let mut pace = Pace::default();
        loop {
            let plan = self.plan.borrow_and_update().clone();
            let seen = plan.map(|plan| self.look(&plan, &mut pace));
            let pause = if seen.as_ref().is_none_or(Holding::is_complete) { IDLE } else { BUSY };
            self.tell(seen);
            tokio::select! {
                Ok(()) = self.plan.changed() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.core.stopped() => return,
            }
        }
    }

    fn look(&self, plan: &SitePlan, pace: &mut Pace) -> Holding {
        let mut holding = Holding::of(plan.id);
        if !self.core.view().borrow().fills_permitted {
            holding.held_up = "the agent's disk is low on space".into();
        }
        let mut seen = HashSet::new();
        let mut rests = HashMap::new();
        for blob in plan.blobs().filter(|blob| seen.insert(blob.digest)) {
            if self.cache.size_of(&blob.digest).is_none() {
                let awaited = self.awaited(blob.digest, blob.size);
                rests.insert(blob.digest, (awaited.rest(), awaited.state == BlobState::Arriving));
                holding.lacks(blob.digest, awaited);
            }
        }
        self.faults.keep(&rests.keys().copied().collect());
        holding.bytes_per_second =
            pace.seen(Instant::now(), rests, |digest| self.cache.size_of(digest).is_some());
        holding
    }

    fn awaited(&self, digest: Digest, size: u64) -> Awaited {
        let arriving = self.cache.arrived(&digest);
        let fault = self.faults.of(&digest);
        let state = match (arriving, &fault) {
            (Some(_), _) => BlobState::Arriving,
            (None, Some(_)) => BlobState::Failed,
            (None, None) => BlobState::Queued,
        };
        let reason = fault.filter(|_| state == BlobState::Failed).unwrap_or_default();
        Awaited { size, arrived: arriving.unwrap_or(0).min(size), state, reason }
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

/// What is left of each blob in bytes, and whether it is on its way.
type Rests = HashMap<Digest, (u64, bool)>;

/// How fast what is awaited becomes less.
#[derive(Debug, Default)]
struct Pace {
    last: Option<(Instant, Rests)>,
    /// Bytes a second.
    mean: f64,
}

impl Pace {
    /// Bytes a second, after a look at what is left of each blob. `held`: is one here as a whole?
    fn seen(&mut self, now: Instant, rests: Rests, held: impl Fn(&Digest) -> bool) -> u64 {
        if let Some((then, before)) = self.last.take() {
            let arrived = |(digest, (rest, arriving)): (&Digest, &(u64, bool))| match rests.get(digest) {
                Some((left, _)) if *arriving => rest.saturating_sub(*left),
                // What a fill finds that goes on with what was here before a cut has not come just now.
                Some(_) => 0,
                None if held(digest) => *rest,
                // The plan does not name it any more.
                None => 0,
            };
            let bytes: u64 = before.iter().map(arrived).sum();
            self.add(bytes, now.saturating_duration_since(then));
        }
        if rests.is_empty() {
            self.mean = 0.0;
        }
        self.last = Some((now, rests));
        // A rate of a few bytes is what is left of one that has ended.
        if self.mean < 64.0 { 0 } else { self.mean as u64 }
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
mod tests {
    use super::*;

    fn rests(blobs: &[(u8, u64)]) -> Rests {
        blobs.iter().map(|(name, rest)| (Digest([*name; 32]), (*rest, true))).collect()
    }

    #[test]
    fn the_pace_is_what_arrives_and_not_what_is_planned_no_more() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let mut look = |seconds, blobs: &[(u8, u64)], held: u8| {
            let now = began + Duration::from_secs(seconds);
            pace.seen(now, rests(blobs), |digest| *digest == Digest([held; 32]))
        };
        assert_eq!(look(0, &[(1, 10_000), (2, 50_000)], 0), 0);
        assert_eq!(look(1, &[(1, 9_000), (2, 50_000)], 0), 1_000);
        assert_eq!(look(10, &[(2, 50_000)], 1), 1_000, "the rest of the first came too");
        let slower = look(11, &[(3, 7)], 0);
        assert!((1..1_000).contains(&slower), "{slower}: the second was dropped from the plan");
        assert_eq!(look(12, &[], 3), 0, "nothing is awaited");
    }

    #[test]
    fn what_an_earlier_fill_left_is_no_pace() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let mut look = |seconds, rest, arriving| {
            let rests = HashMap::from([(Digest([1; 32]), (rest, arriving))]);
            pace.seen(began + Duration::from_secs(seconds), rests, |_| false)
        };
        look(0, 900_000, false);
        assert_eq!(look(1, 400_000, true), 0);
        assert!(look(2, 399_000, true) > 0);
    }

    #[test]
    fn a_link_that_is_cut_has_no_pace_soon() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let mut look =
            |seconds, rest| pace.seen(began + Duration::from_secs(seconds), rests(&[(1, rest)]), |_| false);
        look(0, 90_000_000);
        assert_eq!(look(10, 80_000_000), 1_000_000);
        let after: Vec<_> = (11..=240).map(|second| look(second, 80_000_000)).collect();
        assert!(after.is_sorted_by(|a, b| a >= b) && after.last() == Some(&0), "{after:?}");
    }
}

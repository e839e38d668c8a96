//! One mirror at work: what it holds, what is being asked, and what is known not to be there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use netboot::mirror::{Class, ObjectPath, Seen, class, is_coherent, is_fresh, vouchers};
use proto::{Wall, plan::MirrorPlan};

use super::{
    counts::Counters,
    flight::{Failure, FailureKind, Flight, Outcome},
    store::Store,
};
use crate::outage::{Lasting, Outage};

/// How long it is remembered that a file is not there.
const ABSENT: Duration = Duration::from_secs(10);
/// How many such files are remembered.
const MOST_ABSENT: usize = 4_096;
/// How long an upstream that did not answer is not asked.
const AWAY: Duration = Duration::from_secs(10);
/// Files that may be asked after at one time.
const MOST_FLIGHTS: usize = 512;

/// One mirror.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) store: Store,
    pub(super) counters: Counters,
    flights: Mutex<HashMap<ObjectPath, Arc<Flight>>>,
    absent: Mutex<HashMap<ObjectPath, Instant>>,
    /// Upstreams that did not answer, and until when they are not asked.
    away: Mutex<HashMap<String, Instant>>,
    outage: Mutex<Outage>,
}

/// What is to be done for who asks for a file.
#[derive(Debug)]
pub(super) enum Step {
    /// Give what is held.
    Give,
    /// There is none.
    Absent,
    /// Wait for what comes of the question; `first`: it is to be asked now, by who gets this.
    Wait { flight: Arc<Flight>, first: bool },
    /// Not now.
    Busy,
}

impl Kept {
    pub(super) fn new(name: &str, store: Store) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            store,
            counters: Counters::default(),
            flights: Mutex::default(),
            absent: Mutex::default(),
            away: Mutex::default(),
            outage: Mutex::default(),
        })
    }

    /// Decides, in one go: so of all who ask at once, one is the first.
    pub(super) fn step(&self, mirror: &MirrorPlan, object: &ObjectPath, now: Wall) -> Step {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(object) {
            return Step::Wait { flight: Arc::clone(flight), first: false };
        }
        // A file is published before its flight ends, so one that is not held now is being asked after by nobody.
        if self.is_fresh(mirror, object, now) {
            return Step::Give;
        }
        if self.is_absent(object) {
            return Step::Absent;
        }
        if flights.len() >= MOST_FLIGHTS {
            return Step::Busy;
        }
        let flight = Flight::new();
        flights.insert(object.clone(), Arc::clone(&flight));
        Step::Wait { flight, first: true }
    }

    fn is_fresh(&self, mirror: &MirrorPlan, object: &ObjectPath, now: Wall) -> bool {
        let path = object.as_str();
        let Some(seen) = self.store.seen(path) else { return false };
        is_fresh(class(mirror, path), seen, self.vouchers(mirror, path), mirror.fresh, now)
    }

    /// May it be given away though no upstream answers?
    pub(super) fn is_coherent(&self, mirror: &MirrorPlan, object: &ObjectPath) -> bool {
        let path = object.as_str();
        let Some(seen) = self.store.seen(path) else { return false };
        is_coherent(class(mirror, path), seen, self.vouchers(mirror, path))
    }

    fn vouchers<'a>(&'a self, mirror: &MirrorPlan, path: &'a str) -> impl Iterator<Item = Seen> + 'a {
        let needed = class(mirror, path) == Class::Index;
        let names = needed.then(|| vouchers(mirror, path)).into_iter().flatten();
        names.filter_map(|voucher| self.store.seen(&voucher))
    }

    fn is_absent(&self, object: &ObjectPath) -> bool {
        let mut absent = lock(&self.absent);
        let known = absent.get(object).is_some_and(|until| Instant::now() < *until);
        if !known {
            absent.remove(object);
        }
        known
    }

    /// The upstreams have no such file.
    pub(super) fn note_absent(&self, object: &ObjectPath) {
        let mut absent = lock(&self.absent);
        let now = Instant::now();
        if absent.len() >= MOST_ABSENT {
            absent.retain(|_, until| now < *until);
        }
        if absent.len() < MOST_ABSENT {
            absent.insert(object.clone(), now + ABSENT);
        }
    }

    pub(super) fn is_away(&self, upstream: &str) -> bool {
        lock(&self.away).get(upstream).is_some_and(|until| Instant::now() < *until)
    }

    /// The upstream did not answer; it is left alone for a while.
    pub(super) fn note_away(&self, upstream: &str, why: &str) {
        let now = Instant::now();
        let mut away = lock(&self.away);
        away.retain(|_, until| now < *until);
        away.insert(upstream.to_owned(), now + AWAY);
        drop(away);
        let worth_a_line = lock(&self.outage).failed(now, format!("{upstream}: {why}"));
        if let Some(Lasting { seconds, failures }) = worth_a_line {
            tracing::warn!(
                mirror = self.name,
                upstream,
                error = why,
                lasting_s = seconds,
                failures,
                "an upstream of a mirror does not answer; what is held is served"
            );
        }
    }

    /// How many files are being asked after.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        lock(&self.flights).len()
    }

    /// An upstream answered.
    pub(super) fn note_answer(&self) {
        if let Some(Lasting { seconds, failures }) = lock(&self.outage).over(Instant::now()) {
            tracing::info!(mirror = self.name, lasted_s = seconds, failures, "an upstream answers again");
        }
    }
}

/// A question under way; when it is dropped others may ask again.
#[derive(Debug)]
pub(super) struct Flying {
    pub(super) kept: Arc<Kept>,
    pub(super) object: ObjectPath,
    pub(super) flight: Arc<Flight>,
}

impl Drop for Flying {
    fn drop(&mut self) {
        lock(&self.kept.flights).remove(&self.object);
        // For who still waits, if the task was cut off; else the first outcome stays.
        self.flight.land(Outcome::Failed(Failure::new(FailureKind::Here, "the fetch was cut off")));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No call panics while it holds a lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time of day.
pub(super) fn wall_now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

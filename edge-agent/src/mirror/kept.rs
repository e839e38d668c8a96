//! One mirror at work: what it holds, what is being asked, and what is known not to be had.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use netboot::mirror::{Class, ObjectPath, Seen, class, is_coherent, is_fresh, named_digest, vouchers};
use proto::{Wall, plan::MirrorPlan, v1};

use super::{
    Limits,
    counts::Counters,
    flight::{Failure, FailureKind, Flight, Outcome},
    store::Store,
    turns::Turns,
};
use crate::outage::{Lasting, Outage};

/// How long it is remembered that a file is not there, or not given.
const NOTHING: Duration = Duration::from_secs(10);
/// How many such files are remembered.
const MOST_NOTHING: usize = 4_096;
/// How long an upstream that did not answer is not asked.
const AWAY: Duration = Duration::from_secs(10);
/// Files that may be asked after at one time.
const MOST_FLIGHTS: usize = 512;
/// Of these, by one machine: it may close its connections and ask for others, while what it asked for is waited for.
const MOST_FLIGHTS_OF_ONE: usize = 64;

/// One mirror.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) store: Store,
    pub(super) counters: Counters,
    pub(super) turns: Turns,
    flights: Mutex<HashMap<ObjectPath, Arc<Flight>>>,
    /// What came of asking for files of which there was nothing, and until when that holds.
    nothing: Mutex<HashMap<ObjectPath, (Instant, Outcome)>>,
    /// Upstreams that did not answer, and until when they are not asked.
    away: Mutex<HashMap<String, Instant>>,
    outage: Mutex<Outage>,
    /// Has no end: an upstream that gives one file may refuse the next one.
    refusals: Mutex<Outage>,
}

/// Who asks for a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    pub(super) machine: Ipv4Addr,
    /// It does not believe what caches say.
    pub(super) insists: bool,
}

/// What is to be done for who asks for a file.
#[derive(Debug)]
pub(super) enum Step {
    /// Give what is held.
    Give,
    /// It was asked for a moment ago, and this came of it.
    Known(Outcome),
    /// Wait for what comes of the question; `first`: it is to be asked now, by who gets this.
    Wait { flight: Arc<Flight>, first: bool },
    /// Not now.
    Busy,
}

impl Kept {
    pub(super) fn new(name: &str, store: Store, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            store,
            counters: Counters::default(),
            turns: Turns::new(limits.fetches, limits.fetches_of_one),
            flights: Mutex::default(),
            nothing: Mutex::default(),
            away: Mutex::default(),
            outage: Mutex::default(),
            refusals: Mutex::default(),
        })
    }

    /// Decides, in one go: so of all who ask at once, one is the first.
    pub(super) fn step(&self, mirror: &MirrorPlan, object: &ObjectPath, asker: Asker, now: Wall) -> Step {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(object) {
            return Step::Wait { flight: Arc::clone(flight), first: false };
        }
        // A file is published before its flight ends, so one that is not held now is being asked after by nobody.
        if self.is_fresh(mirror, object, asker, now) {
            return Step::Give;
        }
        if let Some(outcome) = self.known(object) {
            return Step::Known(outcome);
        }
        let own = flights.values().filter(|flight| flight.asker == asker.machine).count();
        if flights.len() >= MOST_FLIGHTS || own >= MOST_FLIGHTS_OF_ONE {
            return Step::Busy;
        }
        let flight = Flight::new(asker.machine);
        flights.insert(object.clone(), Arc::clone(&flight));
        Step::Wait { flight, first: true }
    }

    fn is_fresh(&self, mirror: &MirrorPlan, object: &ObjectPath, asker: Asker, now: Wall) -> bool {
        let path = object.as_str();
        let Some(seen) = self.store.seen(path) else { return false };
        match class(mirror, path) {
            // What never changes may have come wrong, and nobody but the machine can tell. As often as an index.
            Class::Immutable if asker.insists && named_digest(mirror, path).is_none() => {
                is_fresh(Class::Index, seen, [], mirror.fresh, now)
            }
            class @ (Class::Immutable | Class::Index) => {
                is_fresh(class, seen, self.vouchers(mirror, path), mirror.fresh, now)
            }
        }
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

    fn known(&self, object: &ObjectPath) -> Option<Outcome> {
        let mut nothing = lock(&self.nothing);
        let known = nothing.get(object).filter(|(until, _)| Instant::now() < *until);
        let known = known.map(|(_, outcome)| outcome.clone());
        if known.is_none() {
            nothing.remove(object);
        }
        known
    }

    /// The upstreams have no such file, or do not give it.
    pub(super) fn note_nothing(&self, object: &ObjectPath, outcome: Outcome) {
        let mut nothing = lock(&self.nothing);
        let now = Instant::now();
        if nothing.len() >= MOST_NOTHING {
            nothing.retain(|_, (until, _)| now < *until);
        }
        if nothing.len() < MOST_NOTHING {
            nothing.insert(object.clone(), (now + NOTHING, outcome));
        }
    }

    /// For people and for metrics.
    pub(super) fn status(&self) -> v1::MirrorStatus {
        v1::MirrorStatus {
            name: self.name.clone(),
            held_bytes: self.store.bytes(),
            held_files: self.store.files() as u64,
            away: self.away(),
            ..self.counters.now()
        }
    }

    /// Upstreams that do not answer at present.
    fn away(&self) -> Vec<String> {
        let now = Instant::now();
        let away = lock(&self.away);
        let mut names: Vec<_> =
            away.iter().filter(|(_, until)| now < **until).map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
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

    /// The upstream does not give a file; it may give others.
    pub(super) fn note_refusal(&self, upstream: &str, object: &ObjectPath, why: &str) {
        let worth_a_line = lock(&self.refusals).failed(Instant::now(), format!("{upstream}: {why}"));
        if let Some(Lasting { failures, .. }) = worth_a_line {
            tracing::warn!(
                mirror = self.name,
                upstream,
                path = object.as_str(),
                error = why,
                failures,
                "an upstream of a mirror refuses files; what is held is served"
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

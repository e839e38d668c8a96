//! Whom to ask for a blob: the sources in their order, each with its own back-off, and who is to blame for wrong bytes.
//!
//! A source that cannot be reached, breaks off or stalls is left alone for half a second, then twice as long each time.
//! One that was shown to give wrong bytes is put aside for minutes. What it gives counts only once the digest holds, so
//! all that is lost by a mistake here is time and WAN bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::time::Mono;

/// A source's name: what the log and the operator call it.
pub type Name = Arc<str>;

/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// For how long who gave wrong bytes is put aside, the first time and at most.
const ASIDE: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(6 * 3_600));

/// What a source did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It could not be reached, broke off, stalled, or said that it cannot.
    Failed,
    /// It gave what is not the blob: other bytes, too few, too many.
    Wrong,
}

/// The sources that there are.
#[derive(Debug)]
pub struct Sources {
    order: Vec<Name>,
    states: BTreeMap<Name, State>,
    random: SmallRng,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    failures: u32,
    wrongs: u32,
    /// Not asked before.
    until: Mono,
}

/// Whom to ask, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one, now.
    Now(Name),
    /// Nobody before this moment.
    At(Mono),
    /// There is nobody to ask.
    Nobody,
}

impl Sources {
    /// None yet. The seed is for the jitter, so that a thousand sites do not come back at once.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { order: Vec::new(), states: BTreeMap::new(), random: SmallRng::seed_from_u64(seed) }
    }

    /// These from now on, the first to be asked first. What is known of those that stay is kept.
    pub fn set(&mut self, order: Vec<Name>) {
        self.states.retain(|name, _| order.contains(name));
        self.order = order;
    }

    /// Whom to ask for a blob that those in `without` do not have.
    #[must_use]
    pub fn choose(&self, now: Mono, without: &BTreeSet<Name>) -> Choice {
        let mut soonest: Option<Mono> = None;
        for name in self.order.iter().filter(|name| !without.contains(*name)) {
            let until = self.until(name);
            if until <= now {
                return Choice::Now(name.clone());
            }
            soonest = Some(soonest.map_or(until, |soonest| soonest.min(until)));
        }
        soonest.map_or(Choice::Nobody, Choice::At)
    }

    /// When this source may be asked, if it is one.
    #[must_use]
    pub fn may_ask(&self, name: &Name) -> Option<Mono> {
        self.order.contains(name).then(|| self.until(name))
    }

    /// Is there anybody who has not failed of late, as far as is known?
    #[must_use]
    pub fn any_works(&self, without: &BTreeSet<Name>) -> bool {
        let works = |name: &&Name| self.states.get(*name).is_none_or(|state| state.failures == 0);
        self.order.iter().filter(works).any(|name| !without.contains(name))
    }

    /// Notes a fault. Returns until when the source is left alone.
    pub fn failed(&mut self, now: Mono, name: &Name, fault: Fault) -> Mono {
        let jitter = self.random.random_range(0.5..1.0);
        let state = self.states.entry(name.clone()).or_default();
        let (count, bounds) = match fault {
            Fault::Failed => (&mut state.failures, PAUSES),
            Fault::Wrong => (&mut state.wrongs, ASIDE),
        };
        let pause = doubled(bounds, *count).mul_f64(jitter);
        *count = count.saturating_add(1);
        state.until = state.until.max(now.plus(pause));
        state.until
    }

    /// Bytes have come from it.
    pub fn gave(&mut self, name: &Name) {
        if let Some(state) = self.states.get_mut(name) {
            state.failures = 0;
        }
    }

    /// A whole blob of this source alone was right: former mistakes are forgiven.
    pub fn proved(&mut self, name: &Name) {
        self.states.remove(name);
    }

    /// It is worth a try again at once, unless it was put aside for wrong bytes.
    pub fn retry(&mut self, name: &Name) {
        if let Some(state) = self.states.get_mut(name).filter(|state| state.wrongs == 0) {
            (state.failures, state.until) = (0, Mono::default());
        }
    }

    fn until(&self, name: &Name) -> Mono {
        self.states.get(name).map_or(Mono::default(), |state| state.until)
    }
}

fn doubled((first, most): (Duration, Duration), times: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(most)
}

/// Who gave the bytes of one blob.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Givers {
    unknown: bool,
    known: BTreeSet<Name>,
}

impl Givers {
    /// Of a blob of which so many bytes lie here already, from nobody knows whom.
    #[must_use]
    pub fn resuming(bytes: u64) -> Self {
        Self { unknown: bytes > 0, known: BTreeSet::new() }
    }

    /// This one gave some.
    pub fn add(&mut self, name: &Name) {
        if !self.known.contains(name) {
            self.known.insert(name.clone());
        }
    }

    /// The only one who gave any: whose work it is, right or wrong. None: it cannot be told.
    #[must_use]
    pub fn only(&self) -> Option<&Name> {
        let mut known = self.known.iter();
        known.next().filter(|_| !self.unknown && known.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Mono {
        Mono(Duration::from_secs_f64(seconds))
    }

    fn two() -> (Sources, Name, Name) {
        let (a, b): (Name, Name) = ("a".into(), "b".into());
        let mut sources = Sources::new(1);
        sources.set(vec![a.clone(), b.clone()]);
        (sources, a, b)
    }

    #[test]
    fn the_first_that_may_be_asked_is_asked() {
        let (mut sources, a, b) = two();
        let all = BTreeSet::new();
        assert_eq!(sources.choose(at(0.0), &all), Choice::Now(a.clone()));
        let until = sources.failed(at(0.0), &a, Fault::Failed);
        assert!(until >= at(0.25) && until < at(0.5), "{until:?}");
        assert_eq!(sources.choose(at(0.0), &all), Choice::Now(b.clone()));
        let later = sources.failed(at(0.1), &b, Fault::Failed);
        assert_eq!(sources.choose(at(0.1), &all), Choice::At(until.min(later)));
        assert_eq!(sources.choose(until, &BTreeSet::from([b])), Choice::Now(a.clone()));
        assert_eq!(sources.choose(until, &BTreeSet::from([a, "b".into()])), Choice::Nobody);
    }

    #[test]
    fn pauses_double_with_jitter_and_end_with_the_first_byte() {
        let (mut sources, a, _) = two();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let before = sources.until(&a);
            pauses.push(sources.failed(before, &a, Fault::Failed).since(before).as_secs_f64());
        }
        for (pause, full) in pauses.iter().zip([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]) {
            assert!((full / 2.0..full).contains(pause), "{pauses:?}");
        }
        assert!(pauses[6..].windows(2).any(|two| two[0] != two[1]), "there is jitter: {pauses:?}");
        sources.gave(&a);
        let before = sources.until(&a);
        assert!(sources.failed(before, &a, Fault::Failed).since(before) < Duration::from_millis(500));
    }

    #[test]
    fn who_gave_wrong_bytes_is_put_aside_and_no_retry_changes_that() {
        let (mut sources, a, b) = two();
        let until = sources.failed(at(0.0), &a, Fault::Wrong);
        assert!(until >= at(300.0) && until <= at(600.0), "{until:?}");
        sources.retry(&a);
        assert_eq!(sources.choose(at(1.0), &BTreeSet::new()), Choice::Now(b));
        assert_eq!(sources.choose(at(600.0), &BTreeSet::new()), Choice::Now(a.clone()));
        sources.proved(&a);
        let until = sources.failed(at(600.0), &a, Fault::Wrong);
        assert!(until <= at(1_200.0), "it was forgiven: {until:?}");
    }

    #[test]
    fn what_is_known_stays_when_the_list_changes() {
        let (mut sources, a, b) = two();
        sources.failed(at(0.0), &a, Fault::Wrong);
        sources.failed(at(0.0), &b, Fault::Wrong);
        sources.set(vec![a.clone()]);
        sources.set(vec![a, b.clone()]);
        assert_eq!(sources.choose(at(1.0), &BTreeSet::new()), Choice::Now(b), "b was gone and came anew");
        assert_eq!(sources.may_ask(&"c".into()), None);
    }

    #[test]
    fn one_giver_alone_is_to_blame() {
        let (a, b): (Name, Name) = ("a".into(), "b".into());
        let mut givers = Givers::resuming(0);
        assert_eq!(givers.only(), None);
        givers.add(&a);
        assert_eq!(givers.only(), Some(&a));
        givers.add(&b);
        assert_eq!(givers.only(), None);
        let mut resumed = Givers::resuming(7);
        resumed.add(&a);
        assert_eq!(resumed.only(), None);
    }
}

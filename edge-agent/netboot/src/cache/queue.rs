//! Which fetch begins next: what machines wait for first, the rest in order of need.
//!
//! Bounds what runs at one time and keeps places for machines. What has failed waits for its time, unless a machine
//! asks for it. What the plan does not name is never begun.

use std::collections::{BTreeMap, VecDeque};

use proto::{Digest, plan::BlobRef};

use super::need::{Need, Needs, Wanted};
use crate::time::Mono;

/// How much runs at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fetches under way at once.
    pub at_once: usize,
    /// Of these, those that nobody waits for; the other places are kept for machines.
    pub unasked: usize,
    /// Blobs that machines wait for and that were not begun yet.
    pub waiting: usize,
}

/// The fetches that run and those that are to.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    /// What machines wait for and was not begun yet, in the order of their asking, each once.
    waiting: VecDeque<BlobRef>,
    running: BTreeMap<Digest, Need>,
    /// When what has failed may be tried again.
    failed: BTreeMap<Digest, Mono>,
}

/// What became of a machine's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It will be begun.
    Queued,
    /// It is on its way already, and is now one that a machine waits for.
    Running,
}

impl Queue {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, waiting: VecDeque::new(), running: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// May another machine's wish be taken in?
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting.len() < self.limits.waiting
    }

    /// A machine waits for `blob`: also what has just failed is worth a try.
    pub fn ask(&mut self, blob: BlobRef) -> Asked {
        self.failed.remove(&blob.digest);
        if let Some(need) = self.running.get_mut(&blob.digest) {
            *need = Need::Waiting;
            return Asked::Running;
        }
        if !self.waiting.contains(&blob) {
            self.waiting.push_back(blob);
        }
        Asked::Queued
    }

    /// The fetch to begin now, if one may. `absent` is what the cache lacked of `needs` when somebody last looked, in
    /// order of need; `may` says whether it lacks a blob still, and has room for it under its need. To be called until
    /// it is None, after every other call.
    #[must_use = "it is noted as running"]
    pub fn next(
        &mut self,
        now: Mono,
        needs: &Needs,
        absent: &[Wanted],
        mut may: impl FnMut(&Wanted) -> bool,
    ) -> Option<Wanted> {
        self.waiting.retain(|blob| {
            let planned = needs.of_blob(&blob.digest).is_some_and(|wanted| wanted.blob == *blob);
            planned && may(&Wanted { blob: *blob, need: Need::Waiting })
        });
        self.failed.retain(|digest, until| *until > now && needs.of_blob(digest).is_some());
        if self.running.len() >= self.limits.at_once {
            return None;
        }
        let asked = self.waiting.pop_front().map(|blob| Wanted { blob, need: Need::Waiting });
        let wanted = asked.or_else(|| self.unasked(absent, may))?;
        self.running.insert(wanted.blob.digest, wanted.need);
        Some(wanted)
    }

    fn unasked(&self, absent: &[Wanted], mut may: impl FnMut(&Wanted) -> bool) -> Option<Wanted> {
        if self.running.len() >= self.limits.unasked {
            return None;
        }
        let mut idle = absent.iter().filter(|wanted| self.is_idle(&wanted.blob.digest));
        idle.find(|wanted| may(wanted)).copied()
    }

    fn is_idle(&self, digest: &Digest) -> bool {
        !self.running.contains_key(digest) && !self.failed.contains_key(digest)
    }

    /// A fetch has ended, and the blob is here.
    pub fn done(&mut self, digest: &Digest) {
        self.running.remove(digest);
    }

    /// A fetch has ended without it; it is not begun again before `until`, unless a machine asks.
    pub fn failed(&mut self, digest: Digest, until: Mono) {
        self.running.remove(&digest);
        self.failed.insert(digest, until);
    }

    /// Something has changed: all that has failed is worth a try.
    pub fn retry(&mut self) {
        self.failed.clear();
    }

    /// No fetch runs any more, however the last ones ended.
    pub fn none_runs(&mut self) {
        self.running.clear();
    }

    /// When the next of what has failed may be begun again. What may be already waits for [`Self::next`], not for time.
    #[must_use]
    pub fn poll_timeout(&self, now: Mono) -> Option<Mono> {
        self.failed.values().filter(|until| **until > now).min().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits { at_once: 3, unasked: 2, waiting: 100 };

    fn blob(name: u8) -> BlobRef {
        BlobRef { digest: Digest::of(&[name]), size: 1 }
    }

    fn needs(count: u8) -> Needs {
        (0..count).map(|name| Wanted { blob: blob(name), need: Need::Boot }).collect()
    }

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn next(queue: &mut Queue, needs: &Needs) -> Option<u8> {
        let wanted = queue.next(at(0), needs, needs.in_order(), |_| true)?;
        (0..=255).find(|name| blob(*name) == wanted.blob)
    }

    #[test]
    fn what_machines_wait_for_is_never_forgotten_and_goes_first() {
        let (mut queue, needs) = (Queue::new(LIMITS), needs(10));
        for name in [9, 8, 7, 6, 9] {
            assert_eq!(queue.ask(blob(name)), Asked::Queued);
        }
        let begun: Vec<_> = std::iter::from_fn(|| next(&mut queue, &needs)).collect();
        assert_eq!(begun, [9, 8, 7]);
        assert_eq!(queue.ask(blob(9)), Asked::Running);
        queue.done(&blob(9).digest);
        assert_eq!(next(&mut queue, &needs), Some(6), "it has waited, and was not asked for again");
        assert_eq!(next(&mut queue, &needs), None);
    }

    #[test]
    fn one_place_is_kept_for_machines() {
        let (mut queue, needs) = (Queue::new(LIMITS), needs(10));
        assert_eq!(std::iter::from_fn(|| next(&mut queue, &needs)).count(), LIMITS.unasked);
        queue.ask(blob(5));
        assert_eq!(next(&mut queue, &needs), Some(5));
    }

    #[test]
    fn asking_tries_again_what_failed_and_nothing_that_the_plan_does_not_name() {
        let (mut queue, needs) = (Queue::new(LIMITS), needs(2));
        assert_eq!(next(&mut queue, &needs), Some(0));
        queue.failed(blob(0).digest, at(5));
        assert_eq!((queue.poll_timeout(at(0)), next(&mut queue, &needs)), (Some(at(5)), Some(1)));
        assert_eq!(next(&mut queue, &needs), None, "there is a pause after a failure");
        queue.ask(blob(0));
        queue.ask(blob(2));
        assert_eq!(next(&mut queue, &needs), Some(0));
        assert_eq!((next(&mut queue, &needs), queue.waiting.len()), (None, 0));
    }

    #[test]
    fn a_pause_ends() {
        let (mut queue, needs) = (Queue::new(LIMITS), needs(1));
        assert_eq!(next(&mut queue, &needs), Some(0));
        queue.failed(blob(0).digest, at(5));
        assert_eq!(queue.next(at(4), &needs, needs.in_order(), |_| true), None);
        // The link may be down then, and nobody may ask for the next.
        assert_eq!(
            queue.poll_timeout(at(5)),
            None,
            "it has waited its time, and is not waited for without a pause"
        );
        assert!(queue.next(at(5), &needs, needs.in_order(), |_| true).is_some());
    }

    #[test]
    fn what_is_here_or_has_no_room_is_passed_over() {
        let (mut queue, needs) = (Queue::new(LIMITS), needs(3));
        queue.ask(blob(0));
        let wanted = queue.next(at(0), &needs, needs.in_order(), |wanted| wanted.blob == blob(2));
        assert_eq!(wanted.map(|wanted| wanted.blob), Some(blob(2)));
    }
}

//! What there is of a mirror and what passed through it, for people and for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use proto::v1;

/// What passed through a mirror since the agent started: the fields of [`v1::MirrorStatus`] of the same names.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) wan_bytes: Counter,
    pub(super) machine_bytes: Counter,
    pub(super) questions: Counter,
    pub(super) held: Counter,
    pub(super) checked: Counter,
    pub(super) fetched: Counter,
    pub(super) joined: Counter,
    pub(super) stale: Counter,
    pub(super) absent: Counter,
    pub(super) unavailable: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn one(&self) {
        self.add(1);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// Of those that only grow.
    pub(super) fn now(&self) -> v1::MirrorStatus {
        v1::MirrorStatus {
            wan_bytes: self.wan_bytes.now(),
            machine_bytes: self.machine_bytes.now(),
            questions: self.questions.now(),
            held: self.held.now(),
            checked: self.checked.now(),
            fetched: self.fetched.now(),
            joined: self.joined.now(),
            stale: self.stale.now(),
            absent: self.absent.now(),
            unavailable: self.unavailable.now(),
            ..v1::MirrorStatus::default()
        }
    }
}

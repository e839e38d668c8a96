//! What there is of a mirror and what passed through it, for people and for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use proto::v1;

/// What there is of a mirror, and what passed through it since the agent started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Its name.
    pub mirror: String,
    /// Bytes of the files that it holds.
    pub held_bytes: u64,
    /// How many files.
    pub held_files: u64,
    /// Upstreams that do not answer at present.
    pub away: Vec<String>,
    /// Bytes of files that came from upstreams.
    pub wan_bytes: u64,
    /// Bytes of files that were handed to machines.
    pub machine_bytes: u64,
    /// Requests to upstreams, redirections counted once.
    pub questions: u64,
    /// Answers to machines from what was held, without asking.
    pub held: u64,
    /// From what was held, after the upstream said that it has no other version.
    pub checked: u64,
    /// From what was fetched for the machine that asked first.
    pub fetched: u64,
    /// From what was on its way already.
    pub joined: u64,
    /// From what was held, though no upstream answered.
    pub stale: u64,
    /// That there is no such file.
    pub absent: u64,
    /// That it cannot be had now.
    pub unavailable: u64,
}

/// The same while it is counted.
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
    pub(super) fn now(&self) -> Counts {
        Counts {
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
            ..Counts::default()
        }
    }
}

impl From<Counts> for v1::MirrorStatus {
    fn from(counts: Counts) -> Self {
        let Counts {
            mirror: name, held_bytes, held_files, away, wan_bytes, machine_bytes, questions, ..
        } = counts;
        let Counts { held, checked, fetched, joined, stale, absent, unavailable, .. } = counts;
        Self {
            name,
            held_bytes,
            held_files,
            away,
            wan_bytes,
            machine_bytes,
            questions,
            held,
            checked,
            fetched,
            joined,
            stale,
            absent,
            unavailable,
        }
    }
}

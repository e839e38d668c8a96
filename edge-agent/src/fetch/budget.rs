//! What the site may take over the WAN: one budget for all that the agent fetches from afar, images and mirrors alike.
//!
//! The clock of [`netboot::cache::limit`], which decides.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use netboot::{
    cache::{
        limit::{Limit, Rate},
        need::Need,
    },
    time::{Mono, Now, Wall},
};
use proto::plan::Wan;

/// The budget.
#[derive(Debug)]
pub struct Budget {
    started: Instant,
    limit: Mutex<Limit>,
}

impl Default for Budget {
    /// Without a limit, until a plan names one.
    fn default() -> Self {
        let started = Instant::now();
        Self { started, limit: Mutex::new(Limit::new(now_since(started), Wan::default())) }
    }
}

impl Budget {
    /// These rates from now on.
    pub(crate) fn obey(&self, wan: Wan) {
        self.limit().set(self.now(), wan);
    }

    /// The rate at this moment.
    pub(crate) fn rate(&self) -> Rate {
        self.limit().rate(self.now())
    }

    /// So many bytes have come.
    pub(crate) fn spend(&self, bytes: u64) {
        self.limit().spend(self.now(), bytes);
    }

    /// How long who fetches for this need waits before it receives more, and then asks again.
    pub(crate) fn wait(&self, need: Need) -> Option<Duration> {
        self.limit().wait(self.now(), need)
    }

    fn now(&self) -> Now {
        now_since(self.started)
    }

    fn limit(&self) -> MutexGuard<'_, Limit> {
        // No call panics while it holds the lock.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now_since(started: Instant) -> Now {
    Now { mono: Mono(started.elapsed()), wall: Wall::from(SystemTime::now()) }
}

//! The budget of the site's link to the world: what may be fetched over it, for all who fetch.
//!
//! Keeps the clock for [`netboot::cache::limit`]. Who receives says what has come, and waits until it may go on.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
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

/// The budget of one link.
#[derive(Debug)]
pub struct Budget {
    started: Instant,
    limit: Mutex<Limit>,
    received: AtomicU64,
}

impl Default for Budget {
    /// Without a limit.
    fn default() -> Self {
        let started = Instant::now();
        let limit = Mutex::new(Limit::new(now_since(started), Wan::default()));
        Self { started, limit, received: AtomicU64::new(0) }
    }
}

impl Budget {
    /// These rates from now on.
    pub fn set(&self, wan: Wan) {
        self.limit().set(self.now(), wan);
    }

    /// The rate at this moment.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.limit().rate(self.now())
    }

    /// So many bytes have come.
    pub fn spend(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.limit().spend(self.now(), bytes);
    }

    /// How long who fetches for this need waits before it receives more, and then asks again.
    #[must_use]
    pub fn wait(&self, need: Need) -> Option<Duration> {
        self.limit().wait(self.now(), need)
    }

    /// Waits until who fetches for this need may receive more.
    pub async fn ready(&self, need: Need) {
        while let Some(wait) = self.wait(need) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Bytes that have come since the start.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
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
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let wall = Wall(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
    Now { mono: Mono(started.elapsed()), wall }
}

//! Keeping the cache within its budget: what goes for a blob that is to come, and when a plan asks for less.
//!
//! What goes in which order is said by [`netboot::cache::goal`].

use netboot::cache::{goal::Turn, room::Admission};
use proto::Digest;

use super::{Fetcher, transfer::blocking};

impl Fetcher {
    /// What the cache may take, in bytes.
    pub(super) fn budget(&self) -> u64 {
        let plan = self.plan.as_ref().and_then(|plan| plan.network.cache_bytes);
        plan.unwrap_or(self.options.budget)
    }

    /// Evicts what may go for a blob that was admitted.
    pub(super) async fn make_room(&self, admission: Admission) {
        let (left, with_prefetched) = match admission {
            Admission::Beyond(left) => (left, false),
            Admission::Prefetched(left) => (left, true),
            Admission::No => return,
        };
        let goal = self.goal.clone();
        let turn = move |digest: &Digest| {
            goal.turn(digest).filter(|turn| with_prefetched || !matches!(turn, Turn::Prefetched(_)))
        };
        self.evict_to(left, turn).await;
    }

    /// Evicts what is there beyond the budget, and looks at what is left.
    pub(super) async fn trim(&mut self) {
        let left = self.budget().saturating_sub(self.work.filling());
        let goal = self.goal.clone();
        self.evict_to(left, move |digest| goal.turn(digest)).await;
        self.look();
    }

    async fn evict_to(&self, left: u64, turn: impl Fn(&Digest) -> Option<Turn> + Send + 'static) {
        if self.options.cache.total_bytes() <= left {
            return;
        }
        let cache = self.options.cache.clone();
        match blocking(move || cache.evict_to(left, turn)).await {
            Ok(evicted) if evicted.blobs > 0 => {
                tracing::info!(blobs = evicted.blobs, bytes = evicted.bytes, "evicted images");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "failed to evict images"),
        }
    }

    /// Removes what is left of fills that nobody will go on with.
    pub(super) async fn remove_partials(&self) {
        let (cache, goal) = (self.options.cache.clone(), self.goal.clone());
        let removed = blocking(move || cache.remove_partials(&|digest| goal.has(digest))).await;
        if let Err(error) = removed {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "failed to remove what is left of images that are not needed any more");
        }
    }
}

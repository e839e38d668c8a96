//! What each agent said last of what it lacks: in memory, and now and then in the store, so that a controller that was
//! started anew still knows what an agent that is away had.
//!
//! In the store it stands at `/status/holding/AGENT`, which no plan and no watch looks at: written when an agent comes to
//! hold all or no longer does, and once a minute at most while it fills.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Message as _;
use proto::holding::Holding;
use proto::{Wall, v1};
use tokio::sync::broadcast;

use crate::catalog::keys;
use crate::store::{Store, Txn};

/// How often progress is written down.
const KEPT: Duration = Duration::from_secs(60);
/// Sites that may be told before a listener that is slow looks at them all.
const BEHIND: usize = 1_024;

/// What is known of one agent.
#[derive(Debug, Clone)]
pub struct Known {
    /// What it said.
    pub holding: Arc<Holding>,
    /// When, by the controller's clock.
    pub at: Wall,
    /// Did it say so to this controller? Otherwise it is what the store has.
    pub heard: bool,
}

/// What is known of all. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Holdings {
    table: Arc<Mutex<HashMap<String, Entry>>>,
    changed: broadcast::Sender<String>,
}

#[derive(Debug)]
struct Entry {
    holding: Arc<Holding>,
    at: Wall,
    kept_at: Wall,
}

impl Default for Holdings {
    fn default() -> Self {
        Self { table: Arc::default(), changed: broadcast::channel(BEHIND).0 }
    }
}

impl Holdings {
    /// The names of sites whose agents said something new.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<String> {
        self.changed.subscribe()
    }

    /// Forgets an agent.
    pub fn forget(&self, agent: &str) {
        self.lock().remove(agent);
    }

    /// An agent has said now what it lacks. What cannot be written down is logged: the next report replaces it.
    pub(crate) async fn note(
        &self,
        store: &dyn Store,
        (agent, site): (&str, &str),
        holding: Arc<Holding>,
        now: Wall,
    ) {
        if !self.put(agent, site, Arc::clone(&holding), now) {
            return;
        }
        let (Ok(key), Some(report)) = (keys::holding(agent), holding.report(None)) else { return };
        let kept = v1::KeptHolding { at_ms: now.0, report: Some(report) };
        if let Err(error) = store.txn(Txn::new().put(key, kept.encode_to_vec())).await {
            tracing::warn!(agent, %error, "cannot write down what an agent holds");
        }
    }

    /// What is known of an agent; None: it never said anything, or what the store has is not understood.
    pub(crate) async fn known(&self, store: &dyn Store, agent: &str) -> Option<Known> {
        if let Some(known) = self.get(agent) {
            return Some(known);
        }
        let key = keys::holding(agent).ok()?;
        let stored = store.get(&key).await.ok().flatten()?;
        let kept = v1::KeptHolding::decode(stored.value).ok()?;
        let holding = Holding::after(None, kept.report?).ok()?;
        Some(Known { holding: Arc::new(holding), at: Wall(kept.at_ms), heard: false })
    }

    /// Takes in what an agent said; true: it is to be written down.
    fn put(&self, agent: &str, site: &str, holding: Arc<Holding>, now: Wall) -> bool {
        let mut table = self.lock();
        let before = table.get(agent);
        let turned = before.is_none_or(|before| before.holding.is_complete() != holding.is_complete());
        let kept_at = before.map(|before| before.kept_at).unwrap_or_default();
        let keep = turned || now.since(kept_at) >= KEPT;
        let kept_at = if keep { now } else { kept_at };
        table.insert(agent.to_owned(), Entry { holding, at: now, kept_at });
        drop(table);
        // Without listeners nobody waits for it.
        let _ = self.changed.send(site.to_owned());
        keep
    }

    fn get(&self, agent: &str) -> Option<Known> {
        let table = self.lock();
        let entry = table.get(agent)?;
        Some(Known { holding: Arc::clone(&entry.holding), at: entry.at, heard: true })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        // Nothing panics between two steps of a change, so a poisoned table is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proto::holding::{Awaited, BlobState};
    use proto::{Digest, Generation, PlanId};

    use super::*;

    fn holding(missing: u8) -> Arc<Holding> {
        let generation = Generation { epoch: 1, revision: 1 };
        let mut holding = Holding::of(PlanId { generation, planner: 1, digest: Digest::of(b"plan") });
        for name in 0..missing {
            let awaited = Awaited { size: 9, arrived: 0, state: BlobState::Queued, reason: String::new() };
            holding.lacks(Digest([name; 32]), awaited);
        }
        Arc::new(holding)
    }

    #[test]
    fn progress_is_written_down_once_a_minute_and_what_turns_at_once() {
        let holdings = Holdings::default();
        let mut changes = holdings.changes();
        let mut put = |second: u64, missing| {
            let keep = holdings.put("lyon-1", "lyon", holding(missing), Wall(1_000_000 + second * 1_000));
            assert_eq!(changes.try_recv().as_deref(), Ok("lyon"));
            keep
        };
        assert_eq!(
            [put(0, 5), put(5, 4), put(59, 3), put(60, 2), put(65, 1)],
            [true, false, false, true, false]
        );
        assert_eq!([put(70, 0), put(75, 0), put(76, 1)], [true, false, true]);
    }
}

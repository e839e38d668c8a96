//! Answers that stand: given again by whoever holds them, without a question to the core.
//!
//! The engine says which answers may stand at all, and counts what may change any ([`netboot::site::Site::changes`]).
//! That count is watched here through one atomic number, the epoch. Two promises rest on the order of things:
//!
//! - Whatever the core has let out, a lease's ACK or the end of an order, nobody is given an answer of before it: the epoch
//!   is raised after the engine has changed and before anything leaves.
//! - Whoever has handed the core a plan may rely on it at once, as if all requests stood in one queue behind it: the epoch
//!   is raised once more when the plan has been queued. An answer that stands was asked for after its epoch was read, so
//!   it is either behind the plan in the queue, or no longer stands.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long an answer stands at most. The engine takes a machine that is silent for minutes for one that was reset, so
/// one that fetches without a pause must be heard now and then.
const LONGEST: Duration = Duration::from_secs(1);

/// Counts what may have changed what names stand for.
#[derive(Debug, Clone, Default)]
pub struct Epoch(Arc<AtomicU64>);

impl Epoch {
    /// Ends every answer that stands.
    pub fn raise(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// A beginning of an answer that is asked for after this, and may stand from `now` on.
    #[must_use]
    pub fn begin(&self, now: Instant) -> Standing {
        Standing { epoch: self.clone(), of: self.0.load(Ordering::SeqCst), until: now + LONGEST }
    }
}

/// For how long an answer need not be asked for again.
#[derive(Debug, Clone)]
pub struct Standing {
    epoch: Epoch,
    of: u64,
    until: Instant,
}

impl Standing {
    /// May the answer be given again at `now`?
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        now < self.until && self.epoch.0.load(Ordering::SeqCst) == self.of
    }

    /// From when on it may not be given again in any case.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_stands_until_something_changes_and_never_for_long() {
        let (epoch, now) = (Epoch::default(), Instant::now());
        let former = epoch.begin(now);
        assert!(former.holds(now) && !former.holds(now + LONGEST));
        epoch.raise();
        assert!(!former.holds(now));
        assert!(epoch.begin(now).holds(now));
    }
}

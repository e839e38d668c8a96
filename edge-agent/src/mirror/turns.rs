//! Whose turn it is to fetch: so many files at a time for a mirror, and of these so many for one machine.
//!
//! Each mirror has turns of its own, so that one whose upstream is slow keeps no other waiting. A fetch goes on when the
//! machine that began it is gone, and counts as its until it has ended.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of one mirror.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    of_one: usize,
    /// Those who fetch or wait to.
    machines: Mutex<HashMap<Ipv4Addr, Arc<Semaphore>>>,
}

/// A turn; the next one may fetch when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _of_machine: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Turns {
    /// `all` at a time, `of_one` for one machine.
    pub(super) fn new(all: usize, of_one: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_one, machines: Mutex::default() }
    }

    /// Waits for the turn of `machine`.
    pub(super) async fn take(&self, machine: Ipv4Addr) -> Option<Turn> {
        // Its own first: who has used up his share waits among his own.
        let of_machine = self.of(machine).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _of_machine: of_machine, _of_all: of_all })
    }

    fn of(&self, machine: Ipv4Addr) -> Arc<Semaphore> {
        // No call panics while it holds the lock.
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        // A turn that is held or waited for holds its machine's share too.
        machines.retain(|_, share| Arc::strong_count(share) > 1);
        Arc::clone(machines.entry(machine).or_insert_with(|| Arc::new(Semaphore::new(self.of_one))))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const GREEDY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
    const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);

    #[test]
    fn one_machine_has_its_share_and_leaves_the_rest_to_others() {
        let turns = Turns::new(3, 2);
        let now = |machine| turns.take(machine).now_or_never().flatten();
        let held = [now(GREEDY).expect("free"), now(GREEDY).expect("free")];
        assert!(now(GREEDY).is_none(), "it has its share");
        let other = now(OTHER).expect("one is left");
        assert!(now(OTHER).is_none(), "all are taken");
        drop(held);
        assert!(now(GREEDY).is_some() && now(OTHER).is_some());
        drop(other);
        drop(now(OTHER));
        assert_eq!(turns.machines.lock().expect("no panic").len(), 1, "who fetches nothing is forgotten");
    }
}

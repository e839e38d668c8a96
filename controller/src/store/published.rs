//! What readers and watchers see: the last durable state, and a bell that rings when it moves.

use std::sync::{PoisonError, RwLock};

use tokio::sync::watch;

use super::state::State;
use super::{Health, Revision};

/// The state that is shared between the writer and everyone who reads.
#[derive(Debug)]
pub(super) struct Published {
    now: RwLock<Now>,
    health: RwLock<Health>,
    bell: watch::Sender<Bell>,
}

/// The durable state, and how often it was replaced as a whole.
#[derive(Debug)]
struct Now {
    state: State,
    incarnation: u64,
}

/// What watchers wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bell {
    pub(super) revision: Revision,
    pub(super) incarnation: u64,
    pub(super) closed: bool,
}

impl Published {
    pub(super) fn new(state: State) -> Self {
        let bell = Bell { revision: state.revision(), incarnation: 0, closed: false };
        Self {
            now: RwLock::new(Now { state, incarnation: 0 }),
            health: RwLock::new(Health::Writable),
            bell: watch::Sender::new(bell),
        }
    }

    /// Looks at the durable state. The writer waits meanwhile, so `look` only copies.
    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.read_incarnation(|state, _| look(state))
    }

    /// As [`Self::read`], with the number of times that the state was replaced.
    pub(super) fn read_incarnation<T>(&self, look: impl FnOnce(&State, u64) -> T) -> T {
        // Nothing that holds the lock panics half-way through a change, so a poisoned one is whole.
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        look(&now.state, now.incarnation)
    }

    /// Moves the durable state on and wakes the watchers. For the writer alone.
    pub(super) fn update(&self, change: impl FnOnce(&mut State)) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut now.state);
        let revision = now.state.revision();
        drop(now);
        self.bell.send_if_modified(|bell| std::mem::replace(&mut bell.revision, revision) != revision);
    }

    /// Puts another state in place of the durable one; watches of the old one end.
    pub(super) fn replace(&self, state: State) {
        let revision = state.revision();
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        now.incarnation += 1;
        let incarnation = now.incarnation;
        let old = std::mem::replace(&mut now.state, state);
        drop(now);
        drop(old);
        self.bell.send_modify(|bell| *bell = Bell { revision, incarnation, ..*bell });
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Bell> {
        self.bell.subscribe()
    }

    pub(super) fn health(&self) -> Health {
        self.health.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_health(&self, health: Health) {
        *self.health.write().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// Says that nothing more will come.
    pub(super) fn close(&self) {
        self.set_health(Health::Closed);
        self.bell.send_modify(|bell| bell.closed = true);
    }
}

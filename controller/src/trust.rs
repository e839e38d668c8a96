//! The certificate authority as the controller's parts share it, and word of its changes.
//!
//! Whoever shows certificates or hands out roots subscribes ([`Trust::changes`]) and looks anew after each change: the
//! listeners show another certificate, and agents that follow get the new roots.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use certs::Authority;
use tokio::sync::watch;

/// The fleet's certificate authority. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Trust(Arc<Shared>);

struct Shared {
    authority: RwLock<Authority>,
    changed: watch::Sender<()>,
}

impl Trust {
    /// Shares this authority.
    #[must_use]
    pub fn new(authority: Authority) -> Self {
        Self(Arc::new(Shared { authority: RwLock::new(authority), changed: watch::Sender::new(()) }))
    }

    /// The authority, for reading: issue, seal, bundle.
    pub fn authority(&self) -> RwLockReadGuard<'_, Authority> {
        // An authority changes itself only as its last step, so a poisoned lock guards a whole one.
        self.0.authority.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the authority, and says so to all who follow. Blocks while the change reaches the disk.
    ///
    /// # Errors
    /// Those of `change`; nobody is told then.
    pub fn change<T, E>(&self, change: impl FnOnce(&mut Authority) -> Result<T, E>) -> Result<T, E> {
        let mut authority = self.0.authority.write().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut authority)?;
        drop(authority);
        self.0.changed.send_replace(());
        Ok(changed)
    }

    /// Renews intermediates past half of their life; tells all who follow if any was. Blocks.
    ///
    /// # Errors
    /// [`certs::OpenError`]; nothing has changed then.
    pub fn renew_intermediates(&self, now: std::time::SystemTime) -> Result<bool, certs::OpenError> {
        let mut authority = self.0.authority.write().unwrap_or_else(PoisonError::into_inner);
        let renewed = authority.renew_intermediates(now)?;
        drop(authority);
        if renewed {
            self.0.changed.send_replace(());
        }
        Ok(renewed)
    }

    /// Wakes after each change from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }
}

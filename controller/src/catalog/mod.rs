//! The catalog over the store: where resources are, how they are read, who may change them and how (DESIGN §4).
//!
//! [`keys`] spells the keys; [`Catalog`] reads and writes. Nothing else puts or deletes below `/global/`, `/site/`,
//! `/index/`, `/audit/` and `/release/`: every change is checked against all that it touches and leaves an audit record. Planning
//! and serving are left to others, who read and watch.

mod alarms;
pub mod audit;
pub mod keys;
pub mod orders;
pub mod roles;
pub mod write;

mod captures;
mod check;
mod document;
mod draft;
mod enrolment;
mod fields;
mod forms;
mod index;
mod page;
mod peers;
mod read;
mod releases;
mod secrets;
mod stations;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

pub use alarms::Alarm;
pub use document::Document;
pub use draft::CommitError;
pub use enrolment::{JoinError, Joining};
pub use forms::{Card, Forms, LearnError, Learned, Model, Proof};
pub use page::{DocumentPage, LARGEST_PAGE, Question};
pub use read::{HostOrders, Listed, ReadError};
pub use releases::{Refused, Release};
pub use write::ChangeError;

use crate::store::Store;

/// The catalog. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    store: Arc<dyn Store>,
    /// Lets the writers of this controller take turns, so that only other controllers can be in their way.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The sites where an operator wants an address freed, as it happens.
    releases: tokio::sync::broadcast::Sender<String>,
}

impl Catalog {
    /// The catalog that is in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, turn: Arc::default(), releases: releases::channel() }
    }

    /// The store beneath, for watches.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Catalog").finish_non_exhaustive()
    }
}

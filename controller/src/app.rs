//! What every service of a controller shares.

use std::sync::{Arc, RwLockReadGuard};
use std::time::SystemTime;

use certs::{Authority, FleetName};
use proto::Wall;

use crate::blobs::Blobs;
use crate::captures::Captures;
use crate::catalog::Catalog;
use crate::events::EventStore;
use crate::holdings::Holdings;
use crate::logins::Logins;
use crate::metrics::Metrics;
use crate::news::Silences;
use crate::planner::Planner;
use crate::sessions::Sessions;
use crate::store::Store;
use crate::trust::Trust;
use crate::vault::Vault;

/// The parts of one controller. Cheap to clone; every service has one.
#[derive(Clone)]
pub struct App {
    /// The fleet's name.
    pub fleet: FleetName,
    /// The catalog. One per controller: its writers take turns.
    pub catalog: Catalog,
    /// The catalog's store.
    pub store: Arc<dyn Store>,
    /// The certificate authority; see [`App::authority`].
    pub trust: Trust,
    /// What agents saw and did.
    pub events: EventStore,
    /// Image bytes.
    pub blobs: Blobs,
    /// The plans of all sites.
    pub planner: Planner,
    /// The open streams of agents: what a revocation closes.
    pub sessions: Sessions,
    /// What agents lack of their plans.
    pub holdings: Holdings,
    /// What is counted.
    pub metrics: Metrics,
    /// Who may look at the page for browsers; None: none is served.
    pub logins: Option<Logins>,
    /// Captures that agents are asked for.
    pub captures: Captures,
    /// Boots that have fallen silent.
    pub silences: Silences,
    /// Seals and opens the values of secrets.
    pub vault: Vault,
    /// What time it is.
    pub clock: Clock,
}

impl App {
    /// The certificate authority, for reading: issue, seal, bundle.
    pub fn authority(&self) -> RwLockReadGuard<'_, Authority> {
        self.trust.authority()
    }
}

/// Says what time it is: the system's clock, or a test's.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// The operating system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::from_fn(SystemTime::now)
    }

    /// A clock that says what `now` says.
    pub fn from_fn(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// The present as it is stored.
    #[must_use]
    pub fn wall(&self) -> Wall {
        self.now().into()
    }
}

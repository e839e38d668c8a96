//! Package mirrors: `/mirror/NAME/…` passes through to the upstreams that the plan declares for NAME, and nowhere else.
//!
//! ```text
//!  a machine ──► Mirrors ──► Kept: held and fresh? ──yes──► its bytes, from disk
//!                              │ no
//!                              ▼
//!                           Flight: one for all who ask the same ──► Fetches ──► upstreams, in order
//!                              │                                        │
//!                              └──── unchanged · arriving · absent ◄────┘ bytes to disk as they come
//! ```
//!
//! What is an index, what is fresh and where a redirection may lead is said by `netboot::mirror`. Only machines of the
//! site's subnets are served, and only paths below a declared upstream exist: this is no proxy. Assumes a tokio runtime.
//! Leaves to others: connections, and who the peer is.

mod answer;
mod arriving;
mod body;
mod counts;
mod fetch;
mod find;
mod flight;
mod given;
mod guard;
mod intake;
mod kept;
mod store;
mod tempo;
mod tend;
#[cfg(test)]
mod tests;
mod turns;
mod upstream;

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Method, Response, request::Parts};
use netboot::mirror::{Asked, ObjectPath};
use proto::{plan::SitePlan, v1};
use tokio::sync::{OnceCell, watch};

pub use body::{Body, Broken, Pieces};

use fetch::{Fetches, blocking};
use find::Wish;
use flight::{Failure, FailureKind};
use kept::{Asker, Kept};
use store::Store;
use upstream::Way;

use crate::{disk::DiskError, fetch::Budget};

/// What a mirror allows itself and others.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Files that one mirror fetches at one time.
    pub fetches: usize,
    /// Of these, those that one machine was the first to ask for.
    pub fetches_of_one: usize,
    /// How long a fetch waits for its turn, and a machine for a length that is not known.
    pub patience: Duration,
    /// How long a connection to an upstream may take.
    pub connect: Duration,
    /// How long an upstream may take until it answers.
    pub head: Duration,
    /// How long an upstream may be silent within an answer, or give hardly anything.
    pub silence: Duration,
    /// How long a file may take beside the time that its bytes take at the least rate.
    pub grace: Duration,
    /// The least rate of a file as a whole, in bytes per second.
    pub least_rate: u64,
    /// How long an arriving file may stand still before those who read it are cut off.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fetches: 8,
            fetches_of_one: 4,
            patience: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            head: Duration::from_secs(20),
            silence: Duration::from_secs(30),
            grace: Duration::from_secs(600),
            least_rate: 16 << 10,
            // An upstream's silence, three more tries and their pauses.
            stall: Duration::from_secs(120),
        }
    }
}

/// How upstreams are reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Proxy {
    /// As `http_proxy`, `https_proxy` and `no_proxy` say.
    #[default]
    AsEnvironment,
    /// By the proxy at this URL.
    At(String),
    /// Directly.
    None,
}

/// What mirrors are started with.
#[derive(Debug)]
pub struct Options {
    /// Where they keep their files, a folder each.
    pub folder: PathBuf,
    /// Which there are, and whose machines may read them.
    pub plan: watch::Receiver<Option<Arc<SitePlan>>>,
    /// This many bytes of the disk are left alone.
    pub low_disk_bytes: u64,
    /// How upstreams are reached.
    pub proxy: Proxy,
    /// What the WAN may carry, for images too.
    pub wan: Arc<Budget>,
    /// What is allowed.
    pub limits: Limits,
}

/// All mirrors of the site; cheap to clone.
#[derive(Debug, Clone)]
pub struct Mirrors(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    plan: watch::Receiver<Option<Arc<SitePlan>>>,
    limits: Limits,
    fetches: Arc<Fetches>,
    /// By name; each is opened when it is first needed.
    opened: Mutex<HashMap<String, Arc<OnceCell<Arc<Kept>>>>>,
}

/// A request for a file of a mirror that there is.
#[derive(Debug, Clone)]
pub struct Claimed {
    plan: Arc<SitePlan>,
    from: Ipv4Addr,
    mirror: String,
    object: ObjectPath,
}

impl Mirrors {
    /// The mirrors of the plan.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let Options { folder, plan, low_disk_bytes: low_disk, proxy, wan, limits } = options;
        let way = Way::new(proxy, limits.clone());
        let fetches = Arc::new(Fetches { way, limits: limits.clone(), wan, low_disk });
        Self(Arc::new(Shared { folder, plan, limits, fetches, opened: Mutex::default() }))
    }

    /// Is this path one of a mirror's, and may `from` read it? All else is none of ours: nothing says which of both it
    /// was.
    #[must_use]
    pub fn claim(&self, uri: &http::Uri, from: Ipv4Addr) -> Option<Claimed> {
        // Whoever writes a whole URL takes us for a proxy.
        if uri.query().is_some() || uri.authority().is_some() {
            return None;
        }
        let asked = Asked::read(uri.path()).ok()?;
        let plan = self.0.plan.borrow().clone()?;
        let known = plan.mirrors.contains_key(asked.mirror) && plan.network.subnet_of(from).is_some();
        known.then(|| Claimed { mirror: asked.mirror.to_owned(), object: asked.object, plan, from })
    }

    /// Answers a request. Never fails: what goes wrong has a status.
    pub async fn answer(&self, claimed: Claimed, request: &Parts) -> Response<Body> {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return answer::method_not_allowed();
        }
        let Some(mirror) = claimed.plan.mirrors.get(&claimed.mirror) else { return answer::not_found() };
        let kept = match self.kept(&mirror.name).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!(
                    mirror = mirror.name,
                    error = &error as &dyn std::error::Error,
                    "failed to open"
                );
                return answer::unavailable(&Failure::new(FailureKind::Here, "the disk fails"));
            }
        };
        let asker = Asker { machine: claimed.from, insists: given::insists(&request.headers) };
        let wish = Wish { mirror, kept: &kept, object: &claimed.object, asker };
        match self.find(wish, request).await {
            Ok(Some(found)) => found.answer(request, &kept),
            Ok(None) => {
                kept.counters.absent.one();
                answer::not_found()
            }
            Err(failure) => {
                kept.counters.unavailable.one();
                tracing::debug!(
                    mirror = mirror.name,
                    path = claimed.object.as_str(),
                    why = &*failure.why,
                    "not now"
                );
                answer::unavailable(&failure)
            }
        }
    }

    /// What there is of each mirror, and what passed through it since the agent started; by name.
    #[must_use]
    pub fn status(&self) -> Vec<v1::MirrorStatus> {
        let kept: Vec<_> = self.opened().values().filter_map(|cell| cell.get().cloned()).collect();
        let mut status: Vec<_> = kept.iter().map(|kept| kept.status()).collect();
        status.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        status
    }

    /// The mirror at work, opened if it is not yet.
    async fn kept(&self, name: &str) -> Result<Arc<Kept>, DiskError> {
        let cell = Arc::clone(self.opened().entry(name.to_owned()).or_default());
        let (folder, owned, limits) = (self.0.folder.join(name), name.to_owned(), self.0.limits.clone());
        let open = || async move {
            let store = blocking(move || Store::open(&folder)).await?;
            tracing::info!(mirror = owned, files = store.files(), bytes = store.bytes(), "mirror opened");
            Ok(Kept::new(&owned, store, &limits))
        };
        cell.get_or_try_init(open).await.cloned()
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<String, Arc<OnceCell<Arc<Kept>>>>> {
        // No call panics while it holds the lock.
        self.0.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

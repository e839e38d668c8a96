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
mod flight;
mod given;
mod kept;
mod store;
#[cfg(test)]
mod tests;
mod upstream;

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Method, Response, request::Parts};
use netboot::mirror::{Asked, ObjectPath};
use proto::plan::{MirrorPlan, SitePlan};
use tokio::sync::{OnceCell, Semaphore, watch};

pub use body::{Body, Broken};
pub use counts::Counts;

use answer::{Found, How};
use fetch::{Fetches, blocking};
use flight::{Failure, FailureKind, Flight, Outcome};
use kept::{Flying, Kept, Step, wall_now};
use store::Store;
use upstream::Way;

use crate::disk::DiskError;

/// How often the room on the disk is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// What a mirror allows itself and others.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Files that are fetched at one time, over all mirrors.
    pub fetches: usize,
    /// How long a fetch waits for its turn, and a machine for a length that is not known.
    pub patience: Duration,
    /// How long a connection to an upstream may take.
    pub connect: Duration,
    /// How long an upstream may take until it answers.
    pub head: Duration,
    /// How long an upstream may be silent within an answer.
    pub silence: Duration,
    /// How long an arriving file may stand still before those who read it are cut off.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fetches: 16,
            patience: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            head: Duration::from_secs(20),
            silence: Duration::from_secs(30),
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
    mirror: String,
    object: ObjectPath,
}

impl Mirrors {
    /// The mirrors of the plan.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let Options { folder, plan, low_disk_bytes, proxy, limits } = options;
        let fetches = Arc::new(Fetches {
            way: Way::new(proxy, limits.clone()),
            turns: Semaphore::new(limits.fetches),
            patience: limits.patience,
            low_disk: low_disk_bytes,
        });
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
        known.then(|| Claimed { mirror: asked.mirror.to_owned(), object: asked.object, plan })
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
        match self.find(mirror, &kept, &claimed.object, request).await {
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

    /// What passed through each mirror since the agent started.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        let opened = self.opened();
        let kept = opened.values().filter_map(|cell| cell.get());
        kept.map(|kept| (kept.name.clone(), kept.counters.now())).collect()
    }

    /// Opens the plan's mirrors before somebody waits for them, and removes what is left of those that it names no
    /// more. Runs until the plan has no sender any more.
    pub async fn tend(self) {
        let mut plan = self.0.plan.clone();
        loop {
            let now = plan.borrow_and_update().clone();
            if let Some(now) = now {
                self.open_all(&now).await;
                self.forget_others(&now).await;
            }
            loop {
                tokio::select! {
                    changed = plan.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    () = tokio::time::sleep(LOOK) => self.give_way().await,
                }
            }
        }
    }

    /// On a disk that is filling up mirrors give way to all else.
    async fn give_way(&self) {
        let kept: Vec<_> = self.opened().values().filter_map(|cell| cell.get().cloned()).collect();
        let low_disk = self.0.fetches.low_disk;
        for kept in kept {
            let name = kept.name.clone();
            if let Err(error) = blocking(move || kept.store.make_room(0, low_disk)).await {
                tracing::warn!(
                    mirror = name,
                    error = &error as &dyn std::error::Error,
                    "failed to make room"
                );
            }
        }
    }

    async fn open_all(&self, plan: &SitePlan) {
        for mirror in plan.mirrors.values() {
            let budget = mirror.budget_bytes;
            let tended = match self.kept(&mirror.name).await {
                Ok(kept) => blocking(move || kept.store.evict_to(budget)).await,
                Err(error) => Err(error),
            };
            if let Err(error) = tended {
                tracing::error!(
                    mirror = mirror.name,
                    error = &error as &dyn std::error::Error,
                    "failed to open"
                );
            }
        }
    }

    async fn forget_others(&self, plan: &SitePlan) {
        self.opened().retain(|name, _| plan.mirrors.contains_key(name));
        let (folder, names) = (self.0.folder.clone(), plan.mirrors.keys().cloned().collect::<Vec<_>>());
        let removed = blocking(move || remove_others(&folder, &names)).await;
        if let Err(error) = removed {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to remove what is left of a mirror"
            );
        }
    }

    /// What there is for who asks; None: there is no such file.
    async fn find(
        &self,
        mirror: &MirrorPlan,
        kept: &Arc<Kept>,
        object: &ObjectPath,
        request: &Parts,
    ) -> Result<Option<Found>, Failure> {
        // A second look for what was evicted between two steps, and a third for what was damaged.
        for _ in 0..3 {
            let (flight, first) = match kept.step(mirror, object, wall_now()) {
                Step::Give => match self.held(mirror, kept, object, How::Held).await? {
                    None => continue,
                    found => return Ok(found),
                },
                Step::Absent => return Ok(None),
                Step::Busy => return Err(Failure::new(FailureKind::Here, "too many files are asked for")),
                Step::Wait { flight, first } => (flight, first),
            };
            if first {
                self.ask(mirror, kept, object, &flight);
            }
            match flight.outcome().await {
                Outcome::Arriving(arriving) => {
                    let how = if first { How::Fetched } else { How::Joined };
                    let counter = if first { &kept.counters.fetched } else { &kept.counters.joined };
                    counter.one();
                    return Found::arriving(arriving, how, request, &self.0.limits).await.map(Some);
                }
                Outcome::Unchanged => match self.held(mirror, kept, object, How::Checked).await? {
                    None => continue,
                    found => return Ok(found),
                },
                Outcome::Absent => return Ok(None),
                Outcome::Failed(failure) => return self.stale(mirror, kept, object, failure).await.map(Some),
            }
        }
        Err(Failure::new(FailureKind::Here, "the file is not kept: the budget may be too small"))
    }

    fn ask(&self, mirror: &MirrorPlan, kept: &Arc<Kept>, object: &ObjectPath, flight: &Arc<Flight>) {
        let (kept, object, flight) = (Arc::clone(kept), object.clone(), Arc::clone(flight));
        let flying = Flying { kept, object, flight };
        // It goes on when the machine goes away: others have joined, or will ask.
        tokio::spawn(Arc::clone(&self.0.fetches).run(mirror.clone(), flying));
    }

    /// What is held, if it came from an upstream that is still declared.
    async fn held(
        &self,
        mirror: &MirrorPlan,
        kept: &Arc<Kept>,
        object: &ObjectPath,
        how: How,
    ) -> Result<Option<Found>, Failure> {
        let declared: Vec<String> = mirror.upstreams.iter().map(ToString::to_string).collect();
        let (store, path) = (Arc::clone(kept), object.as_str().to_owned());
        let held = blocking(move || {
            let held = store.store.get(&path)?;
            if held.as_ref().is_some_and(|held| !declared.contains(&held.known.upstream)) {
                return store.store.remove(&path).map(|()| None);
            }
            Ok(held)
        });
        let held = held.await.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to read a file of a mirror");
            Failure::new(FailureKind::Here, "the disk fails")
        })?;
        let Some(held) = held else { return Ok(None) };
        match how {
            How::Held => kept.counters.held.one(),
            How::Checked => kept.counters.checked.one(),
            How::Stale => kept.counters.stale.one(),
            How::Fetched | How::Joined => {}
        }
        Ok(Some(Found::held(&held, how, &self.0.limits)))
    }

    /// What is held is better than nothing, as long as it fits what else is given away.
    async fn stale(
        &self,
        mirror: &MirrorPlan,
        kept: &Arc<Kept>,
        object: &ObjectPath,
        failure: Failure,
    ) -> Result<Found, Failure> {
        if kept.store.seen(object.as_str()).is_none() {
            return Err(failure);
        }
        if !kept.is_coherent(mirror, object) {
            let why =
                format!("{}, and what is held is older than the release that it belongs to", failure.why);
            return Err(Failure::new(failure.kind, why));
        }
        tracing::debug!(mirror = mirror.name, path = object.as_str(), why = &*failure.why, "served stale");
        self.held(mirror, kept, object, How::Stale).await?.ok_or(failure)
    }

    /// The mirror at work, opened if it is not yet.
    async fn kept(&self, name: &str) -> Result<Arc<Kept>, DiskError> {
        let cell = Arc::clone(self.opened().entry(name.to_owned()).or_default());
        let (folder, owned) = (self.0.folder.join(name), name.to_owned());
        let open = || async move {
            let store = blocking(move || Store::open(&folder)).await?;
            tracing::info!(mirror = owned, files = store.files(), bytes = store.bytes(), "mirror opened");
            Ok(Kept::new(&owned, store))
        };
        cell.get_or_try_init(open).await.cloned()
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<String, Arc<OnceCell<Arc<Kept>>>>> {
        // No call panics while it holds the lock.
        self.0.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the folders of mirrors that are none of `names`.
fn remove_others(folder: &std::path::Path, names: &[String]) -> Result<(), DiskError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DiskError::at("list", folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(DiskError::at("list", folder))?;
        if !names.iter().any(|name| entry.file_name() == name.as_str()) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(DiskError::at("remove", &path))?;
            tracing::info!(mirror = %entry.file_name().display(), "what was kept of a mirror is removed");
        }
    }
    Ok(())
}

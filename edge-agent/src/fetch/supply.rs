//! What all fetches share: the cache, the sources with what is known of them, and the link's budget.
//!
//! Keeps the clock for the pure parts of [`netboot::cache`] and tells waiting fetches when something has changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use netboot::{
    cache::{
        limit::Rate,
        need::Need,
        sources::{Choice, Fault, Name, Sources},
    },
    time::{Mono, Now, Wall},
};
use proto::Digest;
use proto::plan::{BlobRef, ChunkListRef, ChunkLists, SitePlan};
use tokio::sync::{Notify, watch};

use super::{
    budget::Budget,
    error::SourceError,
    source::{Place, Source},
    trouble::Trouble,
};
use crate::{
    controllers::Link,
    disk::cache::Cache,
    holding::Arrivals,
    outage::{Lasting, chain},
};

/// The longest sleep over what may have changed.
const LOOK: Duration = Duration::from_secs(1);
/// The controllers' name among the sources.
pub(super) const CONTROLLER: &str = "the controller";

/// How long others may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A source that gives no byte for so long has stalled.
    pub(super) stalled: Duration,
    /// A fetch to which no byte comes from anywhere for so long is given up, to be begun again in its turn.
    pub(super) cut: Duration,
}

/// Each is less than HTTP's clients are made to wait for an arriving blob that stands still.
pub(super) const PATIENCE: Patience =
    Patience { stalled: Duration::from_secs(15), cut: Duration::from_secs(50) };

/// See the module.
#[derive(Debug)]
pub(super) struct Supply {
    pub(super) cache: Arc<Cache>,
    pub(super) patience: Patience,
    controllers: Vec<String>,
    /// Our own name, so that we do not ask ourselves.
    agent: String,
    link: watch::Receiver<Link>,
    started: Instant,
    places: Mutex<BTreeMap<Name, Arc<Source>>>,
    sources: Mutex<Sources>,
    /// What the log knows of each source.
    troubles: Mutex<BTreeMap<Name, Trouble>>,
    /// Told what comes.
    arrivals: Arrivals,
    budget: Arc<Budget>,
    chunk_lists: Mutex<ChunkLists>,
    /// Bytes that have come over the WAN.
    received: AtomicU64,
    /// Bytes that were copied instead.
    copied: AtomicU64,
    changed: Notify,
}

impl Supply {
    pub(super) fn new(
        cache: Arc<Cache>,
        controllers: Vec<String>,
        agent: String,
        link: watch::Receiver<Link>,
        patience: Patience,
        budget: Arc<Budget>,
    ) -> Self {
        let supply = Self {
            cache,
            patience,
            controllers,
            agent,
            link,
            started: Instant::now(),
            places: Mutex::default(),
            sources: Mutex::new(Sources::new(rand::random())),
            troubles: Mutex::default(),
            arrivals: Arrivals::default(),
            budget,
            chunk_lists: Mutex::default(),
            received: AtomicU64::new(0),
            copied: AtomicU64::new(0),
            changed: Notify::new(),
        };
        supply.set_places(Vec::new());
        supply
    }

    /// Tells these what comes.
    pub(super) fn telling(self, arrivals: Arrivals) -> Self {
        Self { arrivals, ..self }
    }

    /// The sources and rates that a plan names.
    pub(super) fn obey(&self, plan: &SitePlan) {
        let network = &plan.network;
        let mut places = Vec::new();
        for peer in network.peers.iter().filter(|peer| peer.name != self.agent) {
            // A site's name in a plan is the one in our certificate, or the plan was refused.
            let Ok(site) = plan.site.parse() else { continue };
            let place = Place::Agent { site, addresses: peer.addresses.clone() };
            places.push((format!("agent {}", peer.name).into(), place));
        }
        places.extend(network.blob_sources.iter().map(|url| (url.as_str().into(), Place::Url(url.clone()))));
        self.set_places(places);
        self.budget.obey(network.wan.clone());
        self.know_lists(plan.chunk_lists.clone());
        self.changed.notify_waiters();
    }

    /// The lists of chunks that there are.
    pub(super) fn know_lists(&self, lists: ChunkLists) {
        *held(&self.chunk_lists) = lists;
    }

    /// The list of a blob's chunks, if it has one.
    pub(super) fn list_of(&self, digest: &Digest) -> Option<ChunkListRef> {
        held(&self.chunk_lists).get(digest).copied()
    }

    /// The controllers come behind them all. A source that stays where it was keeps its connections.
    pub(super) fn set_places(&self, mut places: Vec<(Name, Place)>) {
        places.push((CONTROLLER.into(), Place::Controllers(self.controllers.clone())));
        let mut known = held(&self.places);
        let order = places.iter().map(|(name, _)| name.clone()).collect();
        let mut kept = BTreeMap::new();
        for (name, place) in places {
            let former = known.remove(&name).filter(|former| former.place == place);
            let source = former.unwrap_or_else(|| Arc::new(Source::new(place)));
            kept.insert(name, source);
        }
        *known = kept;
        held(&self.troubles).retain(|name, _| known.contains_key(name));
        held(&self.sources).set(order);
    }

    /// The controllers are worth a try again, or out of reach.
    pub(super) fn link_changed(&self) {
        held(&self.sources).retry(&CONTROLLER.into());
        self.changed.notify_waiters();
    }

    pub(super) fn link(&self) -> Link {
        self.link.borrow().clone()
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: Mono(self.started.elapsed()), wall: Wall::from(SystemTime::now()) }
    }

    /// Whom to ask for a blob that those in `without` do not have.
    pub(super) fn choose(&self, without: &BTreeSet<Name>) -> Choice {
        held(&self.sources).choose(self.now().mono, &self.with_unreachable(without))
    }

    /// When this one may be asked; None: it is out of reach, or no source any more.
    pub(super) fn may_ask(&self, name: &Name) -> Option<Mono> {
        let unreachable = self.with_unreachable(&BTreeSet::new());
        held(&self.sources).may_ask(name).filter(|_| !unreachable.contains(name))
    }

    /// Can a blob be had now that those in `without` do not have, as far as is known?
    pub(super) fn reaches(&self, without: &BTreeSet<Name>) -> bool {
        // While the controller answers, what it lacks now it will have: it is where plans come from.
        self.link.borrow().up || held(&self.sources).any_works(&self.with_unreachable(without))
    }

    fn with_unreachable(&self, without: &BTreeSet<Name>) -> BTreeSet<Name> {
        let mut without = without.clone();
        if !self.link.borrow().up {
            without.insert(CONTROLLER.into());
        }
        without
    }

    pub(super) fn source(&self, name: &Name) -> Option<Arc<Source>> {
        held(&self.places).get(name).cloned()
    }

    /// It could not be reached, or broke off.
    pub(super) fn failed(&self, name: &Name, why: &SourceError) {
        let now = self.now().mono;
        held(&self.sources).failed(now, name, Fault::Failed);
        self.is_in_trouble(name, why);
    }

    /// It does not have a blob. Of a neighbour that is nothing strange; of a source that has never given anything it is.
    pub(super) fn lacks(&self, name: &Name, why: &SourceError) {
        let is_neighbour = self.source(name).is_none_or(|source| !source.place.is_afar());
        let has_given = held(&self.troubles).get(name).is_some_and(Trouble::has_given);
        if !is_neighbour && !has_given {
            self.is_in_trouble(name, why);
        }
    }

    fn is_in_trouble(&self, name: &Name, why: &SourceError) {
        let said = held(&self.troubles).entry(name.clone()).or_default().failed(Instant::now(), chain(why));
        if let Some(Lasting { seconds, failures }) = said {
            let error = why as &dyn std::error::Error;
            tracing::warn!(source = %name, error, lasting_s = seconds, failures, "a source of images does not give what it is asked for");
        }
    }

    /// It gave what is not the blob.
    pub(super) fn put_aside(&self, name: &Name, blob: &BlobRef, what: &str, why: &SourceError) {
        let now = self.now().mono;
        let until = held(&self.sources).failed(now, name, Fault::Wrong);
        let (error, aside_s) = (why as &dyn std::error::Error, until.since(now).as_secs());
        tracing::error!(what, blob = %blob.digest, source = %name, error, aside_s, "a source gives what is not the blob, and is put aside");
    }

    /// So many bytes have come from it.
    pub(super) fn gave(&self, name: &Name, bytes: u64) {
        held(&self.sources).gave(name);
        self.arrivals.received(bytes);
        if let Some(source) = self.source(name) {
            source.place.count(self.arrivals.counts()).add(bytes);
        }
        let said = held(&self.troubles).entry(name.clone()).or_default().gave(Instant::now());
        if let Some(Lasting { seconds, failures }) = said {
            tracing::info!(source = %name, lasted_s = seconds, failures, "a source of images gives again");
        }
    }

    /// What had come of a blob was wrong: it is fetched again.
    pub(super) fn anew(&self, blob: &BlobRef, why: String) {
        self.arrivals.anew(blob.digest, why);
    }

    pub(super) fn proved(&self, name: &Name) {
        held(&self.sources).proved(name);
    }

    /// The WAN's rate at this moment.
    pub(super) fn rate(&self) -> Rate {
        self.budget.rate()
    }

    /// So many bytes have come over the WAN.
    pub(super) fn spend(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.budget.spend(bytes);
    }

    /// So many bytes were copied from other blobs.
    pub(super) fn spare(&self, bytes: u64) {
        self.copied.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that were copied from other blobs since the start.
    #[cfg(test)]
    pub(super) fn copied(&self) -> u64 {
        self.copied.load(Ordering::Relaxed)
    }

    /// How long a fetch for this need waits before it receives more over the WAN, and then asks again.
    pub(super) fn wait(&self, need: Need) -> Option<Duration> {
        self.budget.wait(need)
    }

    /// Bytes that have come over the WAN since the start.
    #[cfg(test)]
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Until `moment`, or until something has changed, or for a second.
    pub(super) async fn until(&self, moment: Mono) {
        let rest = moment.since(self.now().mono).min(LOOK);
        tokio::select! {
            () = self.changed.notified() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No call panics while it holds one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Fetches what the plan names into the image cache: what a machine waits for first, the rest in order of need.
//!
//! Bytes come from the controller over HTTPS, are resumed where a cut left them, and count only once their SHA-256
//! holds (S8, S15). Digests and sizes come from the plan; nothing that a machine says leads to a fetch of anything else.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use certs::tls::{Alpn, TlsError};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use netboot::site::Input;
use proto::{
    Digest,
    plan::{BlobRef, SitePlan},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    core::{Core, Stopped},
    disk::cache::{Cache, Fill, FillError},
    holding::Faults,
    outage::{Lasting, Outage, chain},
    uplink::{ConnectError, Health, Link, connect_http},
};

/// Fetches under way at once.
const AT_ONCE: usize = 3;
/// Of these, those that nobody waits for: one place is kept for machines.
const UNASKED: usize = AT_ONCE - 1;
/// Blobs that machines wait for and that were not begun yet; beyond it they wait in front of the door.
const WAITED_FOR: usize = 256;
/// Bytes that are put on disk in one go.
const CHUNK: usize = 1 << 20;
/// A source that gives no byte for so long has stalled.
const STALLED: Duration = Duration::from_secs(30);
/// The pause after a fetch that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// What the fetcher is started with.
#[derive(Debug)]
pub struct Fetcher {
    /// Where blobs go.
    pub cache: Arc<Cache>,
    /// `HOST:PORT` of fleet listeners.
    pub controllers: Vec<String>,
    /// Who is told what is out of reach.
    pub core: Core,
    /// What is needed.
    pub plan: watch::Receiver<Option<Arc<SitePlan>>>,
    /// Is there a way to fetch?
    pub link: watch::Receiver<Link>,
    /// What machines wait for.
    pub wanted: mpsc::Receiver<BlobRef>,
    /// What the cache may take where the plan says nothing, in bytes.
    pub budget: u64,
    /// Told upward.
    pub health: watch::Sender<Health>,
    /// Told why blobs do not come.
    pub faults: Faults,
}

/// Why a blob is not here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// HTTP.
    #[error("the transfer broke off")]
    Http(#[from] hyper::Error),
    /// The controller does not give it.
    #[error("the controller answered {0}")]
    Status(StatusCode),
    /// The cache.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// No byte for too long.
    #[error("no byte came for {} s", STALLED.as_secs())]
    Stalled,
    /// Not enrolled.
    #[error("there is no identity yet")]
    NoIdentity,
}

impl Fetcher {
    /// Runs until the core stops.
    pub async fn run(mut self) {
        let mut work = Work::default();
        loop {
            if self.tell(&mut work).await.is_err() {
                return;
            }
            self.begin(&mut work);
            tokio::select! {
                Ok(()) = self.plan.changed() => work.retry(),
                Ok(()) = self.link.changed() => work.retry(),
                Some(blob) = self.wanted.recv(), if work.wanted.len() < WAITED_FOR => work.want(blob),
                Some(done) = work.fetches.join_next() => {
                    if let Ok((blob, outcome)) = &done {
                        self.note(blob, outcome);
                    }
                    work.finished(done.ok());
                }
                () = tokio::time::sleep(PAUSE) => work.retry(),
                () = self.core.stopped() => return,
            }
        }
    }

    /// What is missing and whether it can be had; the site engine answers with the local disk for what cannot.
    async fn tell(&self, work: &mut Work) -> Result<(), Stopped> {
        let missing = self.missing();
        let health = |health: &mut Health| {
            let new = (self.cache.total_bytes(), u32::try_from(missing.len()).unwrap_or(u32::MAX));
            let changed = (health.cache_bytes, health.missing_blobs) != new;
            (health.cache_bytes, health.missing_blobs) = new;
            changed
        };
        self.health.send_if_modified(health);
        let up = self.link.borrow().up;
        let out_of_reach: BTreeSet<Digest> =
            if up { BTreeSet::new() } else { missing.iter().map(|blob| blob.digest).collect() };
        if work.told.as_ref() != Some(&out_of_reach) {
            work.told = Some(out_of_reach.clone());
            self.core.input(Input::OutOfReach(out_of_reach)).await?;
        }
        Ok(())
    }

    fn note(&self, blob: &BlobRef, outcome: &Result<(), FetchError>) {
        match outcome {
            Ok(()) => self.faults.over(&blob.digest),
            Err(error) => self.faults.failed(blob.digest, chain(error)),
        }
    }

    fn missing(&self) -> Vec<BlobRef> {
        let plan = self.plan.borrow().clone();
        let mut seen = HashSet::new();
        let blobs = plan.iter().flat_map(|plan| plan.blobs()).filter(|blob| seen.insert(blob.digest));
        blobs.filter(|blob| self.cache.size_of(&blob.digest).is_none()).collect()
    }

    /// Starts as many fetches as may run: what machines wait for first.
    fn begin(&mut self, work: &mut Work) {
        let link = self.link.borrow().clone();
        if !link.up || !self.core.view().borrow().fills_permitted {
            return;
        }
        while let Some(blob) = work.next(&self.missing()) {
            self.make_room(blob.size);
            let (cache, controllers, link) = (self.cache.clone(), self.controllers.clone(), link.clone());
            work.fetches.spawn(async move { (blob, fetch(&cache, &controllers, &link, blob).await) });
        }
    }

    /// Evicts what the plan does not name, if the budget asks for it.
    fn make_room(&self, size: u64) {
        let plan = self.plan.borrow().clone();
        let kept: HashSet<Digest> =
            plan.iter().flat_map(|plan| plan.blobs()).map(|blob| blob.digest).collect();
        let budget = plan.and_then(|plan| plan.network.cache_bytes).unwrap_or(self.budget);
        match self.cache.evict_to(budget.saturating_sub(size), &|digest| kept.contains(digest)) {
            Ok(_) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "failed to evict images"),
        }
    }
}

/// What the fetcher is at.
#[derive(Default)]
struct Work {
    /// What machines wait for and was not begun yet, in the order of their asking, each once.
    wanted: VecDeque<BlobRef>,
    running: HashSet<Digest>,
    /// Not tried again before something changes or a pause is over.
    failed: HashSet<Digest>,
    /// Of what has failed and is still planned.
    outages: HashMap<Digest, Outage>,
    fetches: JoinSet<(BlobRef, Result<(), FetchError>)>,
    told: Option<BTreeSet<Digest>>,
}

impl Work {
    /// A machine waits: also what has just failed is worth a try.
    fn want(&mut self, blob: BlobRef) {
        self.failed.remove(&blob.digest);
        if !self.running.contains(&blob.digest) && !self.wanted.contains(&blob) {
            self.wanted.push_back(blob);
        }
    }

    /// The fetch to begin now, if one may, of what is `missing` in order of need.
    fn next(&mut self, missing: &[BlobRef]) -> Option<BlobRef> {
        let planned: HashSet<Digest> = missing.iter().map(|blob| blob.digest).collect();
        self.outages.retain(|digest, _| planned.contains(digest));
        self.wanted.retain(|blob| planned.contains(&blob.digest) && !self.running.contains(&blob.digest));
        let blob = match self.running.len() {
            AT_ONCE.. => None,
            running => self.wanted.pop_front().or_else(|| self.unasked(running, missing)),
        }?;
        self.running.insert(blob.digest);
        Some(blob)
    }

    fn unasked(&self, running: usize, missing: &[BlobRef]) -> Option<BlobRef> {
        let idle =
            |blob: &&BlobRef| !self.running.contains(&blob.digest) && !self.failed.contains(&blob.digest);
        missing.iter().find(idle).filter(|_| running < UNASKED).copied()
    }

    fn retry(&mut self) {
        self.failed.clear();
    }

    /// `None`: a fetch panicked; nothing is known to be running any more than the set of tasks says.
    fn finished(&mut self, done: Option<(BlobRef, Result<(), FetchError>)>) {
        match done {
            Some((blob, outcome)) => {
                self.running.remove(&blob.digest);
                if outcome.is_err() {
                    self.failed.insert(blob.digest);
                }
                self.tell_outcome(blob, outcome);
            }
            None if self.fetches.is_empty() => self.running.clear(),
            None => {}
        }
    }

    fn tell_outcome(&mut self, blob: BlobRef, outcome: Result<(), FetchError>) {
        let digest = blob.digest;
        let Err(error) = outcome else {
            self.outages.remove(&digest);
            return tracing::info!(%digest, bytes = blob.size, "fetched a blob");
        };
        let error = &error as &dyn std::error::Error;
        let outage = self.outages.entry(digest).or_default();
        if let Some(Lasting { seconds, failures }) = outage.failed(Instant::now(), error.to_string()) {
            tracing::warn!(%digest, error, lasting_s = seconds, failures, "failed to fetch a blob");
        }
    }
}

async fn fetch(
    cache: &Arc<Cache>,
    controllers: &[String],
    link: &Link,
    blob: BlobRef,
) -> Result<(), FetchError> {
    let tls = link.tls.as_ref().ok_or(FetchError::NoIdentity)?.fleet_config(&[Alpn::Http1])?;
    let stream = connect_http(controllers, tls).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let opened = cache.clone();
    let fill = blocking(move || opened.fill(blob.digest, blob.size)).await;
    let outcome = match fill {
        Ok(fill) => receive(&mut sender, fill, blob).await,
        Err(FillError::Present(_)) => Ok(()),
        Err(error) => Err(error.into()),
    };
    connection.abort();
    outcome
}

async fn receive(
    sender: &mut http1::SendRequest<Empty<Bytes>>,
    mut fill: Fill,
    blob: BlobRef,
) -> Result<(), FetchError> {
    if fill.offset() < blob.size {
        let response = tokio::time::timeout(STALLED, sender.send_request(request(blob, fill.offset())))
            .await
            .map_err(|_| FetchError::Stalled)??;
        let expected = if fill.offset() == 0 { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
        if response.status() != expected {
            return Err(FetchError::Status(response.status()));
        }
        fill = pour(response.into_body(), fill).await?;
    }
    blocking(move || fill.finish()).await?;
    Ok(())
}

fn request(blob: BlobRef, offset: u64) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = format!("/blobs/sha256/{}", blob.digest).parse().expect("digits make a path");
    request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("controller"));
    if offset > 0 {
        let range = format!("bytes={offset}-").parse().expect("digits make a header");
        request.headers_mut().insert(header::RANGE, range);
    }
    request
}

async fn pour(mut body: Incoming, mut fill: Fill) -> Result<Fill, FetchError> {
    let mut held = BytesMut::with_capacity(CHUNK);
    loop {
        let frame = tokio::time::timeout(STALLED, body.frame()).await.map_err(|_| FetchError::Stalled)?;
        let end = frame.is_none();
        let data = frame.transpose()?.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        held.extend_from_slice(&data);
        if held.len() >= CHUNK || end {
            let chunk = held.split().freeze();
            fill = blocking(move || fill.write(&chunk).map(|()| fill)).await?;
        }
        if end {
            return Ok(fill);
        }
    }
}

/// Disk work off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FillError> + Send + 'static,
) -> Result<T, FillError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(name: u8) -> BlobRef {
        BlobRef { digest: Digest::of(&[name]), size: 1 }
    }

    #[test]
    fn what_machines_wait_for_is_never_forgotten_and_goes_first() {
        let mut work = Work::default();
        let missing: Vec<_> = (0..10).map(blob).collect();
        for name in [9, 8, 7, 6, 9] {
            work.want(blob(name));
        }
        let begun: Vec<_> = std::iter::from_fn(|| work.next(&missing)).collect();
        assert_eq!(begun, [blob(9), blob(8), blob(7)]);
        work.finished(Some((blob(9), Ok(()))));
        assert_eq!(work.next(&missing), Some(blob(6)), "it has waited, and was not asked for again");
        assert_eq!(work.next(&missing), None);
    }

    #[test]
    fn one_place_is_kept_for_machines() {
        let mut work = Work::default();
        let missing: Vec<_> = (0..10).map(blob).collect();
        assert_eq!(std::iter::from_fn(|| work.next(&missing)).count(), UNASKED);
        work.want(blob(5));
        assert_eq!(work.next(&missing), Some(blob(5)));
    }

    #[test]
    fn asking_tries_again_what_failed_and_nothing_that_the_plan_does_not_name() {
        let mut work = Work::default();
        let missing = [blob(1)];
        assert_eq!(work.next(&missing), Some(blob(1)));
        work.finished(Some((blob(1), Err(FetchError::Stalled))));
        assert_eq!(work.next(&missing), None, "there is a pause after a failure");
        work.want(blob(1));
        work.want(blob(2));
        assert_eq!(work.next(&missing), Some(blob(1)));
        assert_eq!((work.next(&missing), work.wanted.len()), (None, 0));
    }
}

//! Fetches what the plan names into the image cache: what a machine waits for first, the rest in order of need.
//!
//! Bytes come from the controller over HTTPS, are resumed where a cut left them, and count only once their SHA-256
//! holds (S8, S15). Digests and sizes come from the plan; nothing that a machine says leads to a fetch of anything else.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
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
    uplink::{ConnectError, Health, Link, connect_http},
};

/// Fetches under way at once.
const AT_ONCE: usize = 3;
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
                Some(blob) = self.wanted.recv() => work.wanted.push_back(blob),
                Some(done) = work.fetches.join_next() => work.finished(done.ok()),
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
        let missing = self.missing();
        let planned: HashSet<Digest> = missing.iter().map(|blob| blob.digest).collect();
        let wanted: Vec<_> = work.wanted.drain(..).filter(|blob| planned.contains(&blob.digest)).collect();
        for blob in wanted.into_iter().chain(missing) {
            if work.fetches.len() >= AT_ONCE {
                return;
            }
            if work.failed.contains(&blob.digest) || !work.running.insert(blob.digest) {
                continue;
            }
            self.make_room(blob.size);
            let (cache, controllers, link) = (self.cache.clone(), self.controllers.clone(), link.clone());
            work.fetches.spawn(async move {
                let outcome = fetch(&cache, &controllers, &link, blob).await;
                if let Err(error) = &outcome {
                    tracing::warn!(digest = %blob.digest, error = error as &dyn std::error::Error, "failed to fetch a blob");
                } else {
                    tracing::info!(digest = %blob.digest, bytes = blob.size, "fetched a blob");
                }
                (blob.digest, outcome.is_ok())
            });
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
    wanted: VecDeque<BlobRef>,
    running: HashSet<Digest>,
    /// Not tried again before something changes or a pause is over.
    failed: HashSet<Digest>,
    fetches: JoinSet<(Digest, bool)>,
    told: Option<BTreeSet<Digest>>,
}

impl Work {
    fn retry(&mut self) {
        self.failed.clear();
    }

    /// `None`: a fetch panicked; nothing is known to be running any more than the set of tasks says.
    fn finished(&mut self, done: Option<(Digest, bool)>) {
        match done {
            Some((digest, good)) => {
                self.running.remove(&digest);
                if !good {
                    self.failed.insert(digest);
                }
            }
            None if self.fetches.is_empty() => self.running.clear(),
            None => {}
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

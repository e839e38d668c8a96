//! The fetches that run, and what is known of those that failed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    time::{Duration, Instant},
};

use netboot::{
    cache::{
        need::{Needs, Wanted},
        queue::{Limits, Queue},
        sources::Name,
    },
    time::Mono,
};
use proto::{Digest, plan::BlobRef};
use tokio::task::{JoinError, JoinSet};

use super::{error::FetchError, supply::Supply, transfer::Purpose};
use crate::{
    holding::Faults,
    outage::{Lasting, Outage, chain},
};

/// Three at once, of which one place is kept for machines; machines' wishes beyond 256 wait in front of the door.
const LIMITS: Limits = Limits { at_once: 3, unasked: 2, waiting: 256 };
/// The pause after a fetch that failed, beside those of its sources.
const PAUSE: Duration = Duration::from_secs(5);

/// How a fetch ended.
pub(super) type Ended = Result<(BlobRef, Result<(), FetchError>), JoinError>;

/// See the module.
pub(super) struct Work {
    pub(super) queue: Queue,
    running: BTreeMap<Digest, Running>,
    /// What has failed and is still planned.
    failures: HashMap<Digest, Failure>,
    fetches: JoinSet<(BlobRef, Result<(), FetchError>)>,
    nobody: BTreeSet<Name>,
    /// Told why blobs do not come.
    faults: Faults,
}

#[derive(Debug)]
struct Running {
    size: u64,
    purpose: Purpose,
}

#[derive(Debug, Default)]
struct Failure {
    outage: Outage,
    /// Sources that do not have it.
    without: BTreeSet<Name>,
}

impl fmt::Debug for Work {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Work").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Work {
    pub(super) fn new(faults: Faults) -> Self {
        Self {
            queue: Queue::new(LIMITS),
            running: BTreeMap::new(),
            failures: HashMap::new(),
            fetches: JoinSet::new(),
            nobody: BTreeSet::new(),
            faults,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    pub(super) fn retry(&mut self) {
        self.queue.retry();
    }

    /// How long until the next that has failed may be begun again; None: there is none to wait for.
    pub(super) fn pause(&self, now: Mono) -> Option<Duration> {
        self.queue.poll_timeout(now).map(|at| at.since(now))
    }

    /// The whole sizes of what is being filled, in bytes.
    pub(super) fn filling(&self) -> u64 {
        self.running.values().map(|running| running.size).fold(0, u64::saturating_add)
    }

    /// A machine waits for what is on its way already.
    pub(super) fn raise(&self, digest: &Digest) {
        if let Some(running) = self.running.get(digest) {
            running.purpose.raise();
        }
    }

    pub(super) fn begin(
        &mut self,
        wanted: Wanted,
        purpose: Purpose,
        fetch: impl Future<Output = Result<(), FetchError>> + Send + 'static,
    ) {
        let blob = wanted.blob;
        self.running.insert(blob.digest, Running { size: blob.size, purpose });
        self.fetches.spawn(async move { (blob, fetch.await) });
    }

    /// The next fetch that ends; never, while none runs.
    pub(super) async fn ended(&mut self) -> Option<Ended> {
        self.fetches.join_next().await
    }

    pub(super) fn finished(&mut self, supply: &Supply, ended: Ended, needs: &Needs) {
        match ended {
            Ok((blob, outcome)) => {
                self.running.remove(&blob.digest);
                self.note(supply, blob, outcome);
            }
            // It panicked, and which it was is not known before all others have ended.
            Err(_) if self.fetches.is_empty() => {
                self.running.clear();
                self.queue.none_runs();
            }
            Err(_) => {}
        }
        self.failures.retain(|digest, _| needs.of_blob(digest).is_some());
    }

    fn note(&mut self, supply: &Supply, blob: BlobRef, outcome: Result<(), FetchError>) {
        let digest = blob.digest;
        let Err(error) = outcome else {
            self.queue.done(&digest);
            self.failures.remove(&digest);
            self.faults.over(&digest);
            return tracing::info!(%digest, bytes = blob.size, "fetched a blob");
        };
        self.queue.failed(digest, supply.now().mono.plus(PAUSE));
        let failure = self.failures.entry(digest).or_default();
        let why = chain(&error);
        self.faults.failed(digest, why.clone());
        if let Some(Lasting { seconds, failures }) = failure.outage.failed(Instant::now(), why) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%digest, error, lasting_s = seconds, failures, "failed to fetch a blob");
        }
        failure.without = error.lacking();
    }

    pub(super) fn runs(&self, digest: &Digest) -> bool {
        self.running.contains_key(digest)
    }

    /// Tells why a blob is not even begun.
    pub(super) fn held_back(&self, digest: Digest, why: &str) {
        self.faults.failed(digest, why.to_owned());
    }

    /// The sources that do not have it, as far as is known.
    pub(super) fn without(&self, digest: &Digest) -> &BTreeSet<Name> {
        self.failures.get(digest).map_or(&self.nobody, |failure| &failure.without)
    }
}

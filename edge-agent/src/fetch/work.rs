//! The fetches that run, and what is known of those that failed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    time::{Duration, Instant},
};

use netboot::{
    cache::{
        need::{Need, Needs, Wanted},
        queue::{Limits, Queue},
        sources::Name,
    },
    time::Mono,
};
use proto::{Digest, plan::BlobRef};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    error::FetchError,
    supply::Supply,
    transfer::{Fetched, Purpose},
};
use crate::{
    holding::Arrivals,
    outage::{Lasting, Outage, chain},
};

/// Three at once, of which one place is kept for machines; machines' wishes beyond 256 wait in front of the door.
const LIMITS: Limits = Limits { at_once: 3, unasked: 2, waiting: 256 };
/// The pause after a fetch that failed, beside those of its sources.
const PAUSE: Duration = Duration::from_secs(5);

/// How a fetch ended.
pub(super) type Ended = Result<(BlobRef, Outcome), JoinError>;
type Outcome = Result<Fetched, FetchError>;

/// See the module.
pub(super) struct Work {
    pub(super) queue: Queue,
    running: BTreeMap<Digest, Running>,
    /// What has failed and is still planned.
    failures: HashMap<Digest, Failure>,
    fetches: JoinSet<(BlobRef, Outcome)>,
    nobody: BTreeSet<Name>,
    /// Told why blobs do not come.
    arrivals: Arrivals,
}

#[derive(Debug)]
struct Running {
    size: u64,
    purpose: Purpose,
    /// Ends it.
    unwanted: CancellationToken,
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
    pub(super) fn new(arrivals: Arrivals) -> Self {
        Self {
            queue: Queue::new(LIMITS),
            running: BTreeMap::new(),
            failures: HashMap::new(),
            fetches: JoinSet::new(),
            nobody: BTreeSet::new(),
            arrivals,
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
        let goes_on = self.running.values().filter(|running| !running.unwanted.is_cancelled());
        goes_on.map(|running| running.size).fold(0, u64::saturating_add)
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
        fetch: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let (blob, unwanted) = (wanted.blob, CancellationToken::new());
        let ended = unwanted.clone().cancelled_owned();
        self.running.insert(blob.digest, Running { size: blob.size, purpose, unwanted });
        self.fetches.spawn(async move {
            tokio::select! {
                outcome = fetch => (blob, outcome),
                () = ended => (blob, Err(FetchError::Unwanted)),
            }
        });
    }

    /// Ends the fetches that nobody waits for, of what is not to be held.
    pub(super) fn end_unwanted(&self, is_wanted: impl Fn(&Digest) -> bool) {
        let unasked = self.running.iter().filter(|(_, running)| running.purpose.need() != Need::Waiting);
        unasked.filter(|(digest, _)| !is_wanted(digest)).for_each(|(_, running)| running.unwanted.cancel());
    }

    /// The next fetch that ends; never, while none runs.
    pub(super) async fn ended(&mut self) -> Option<Ended> {
        self.fetches.join_next().await
    }

    /// A fetch has ended. Says whether a machine has waited for it.
    pub(super) fn finished(&mut self, supply: &Supply, ended: Ended, needs: &Needs) -> bool {
        let mut was_waited_for = false;
        match ended {
            Ok((blob, outcome)) => {
                let running = self.running.remove(&blob.digest);
                was_waited_for = running.is_some_and(|running| running.purpose.need() == Need::Waiting);
                let asked_too_late = was_waited_for && matches!(outcome, Err(FetchError::Unwanted));
                self.note(supply, blob, needs.name(&blob.digest), outcome);
                if asked_too_late {
                    self.queue.ask(blob);
                }
            }
            // It panicked, and which it was is not known before all others have ended.
            Err(_) if self.fetches.is_empty() => {
                self.running.clear();
                self.queue.none_runs();
            }
            Err(_) => {}
        }
        self.failures.retain(|digest, _| needs.of_blob(digest).is_some());
        was_waited_for
    }

    fn note(&mut self, supply: &Supply, blob: BlobRef, what: &str, outcome: Outcome) {
        let digest = blob.digest;
        let error = match outcome {
            Ok(fetched) => {
                self.queue.done(&digest);
                self.failures.remove(&digest);
                self.arrivals.over(&digest);
                self.arrivals.counts().done.one();
                let Fetched { from, copied, found } = &fetched;
                let from = listed(from);
                return tracing::info!(what, %digest, bytes = blob.size, from, copied, found, "fetched a blob");
            }
            Err(FetchError::Unwanted) => {
                self.queue.done(&digest);
                self.arrivals.over(&digest);
                return tracing::info!(what, %digest, "gave up a blob that the plan wants no more, or has no room for");
            }
            Err(error) => error,
        };
        self.queue.failed(digest, supply.now().mono.plus(PAUSE));
        let failure = self.failures.entry(digest).or_default();
        let why = chain(&error);
        self.arrivals.counts().failed.one();
        self.arrivals.failed(digest, why.clone());
        if let Some(Lasting { seconds, failures }) = failure.outage.failed(Instant::now(), why) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(what, %digest, error, lasting_s = seconds, failures, "failed to fetch a blob");
        }
        failure.without = error.lacking();
    }

    pub(super) fn runs(&self, digest: &Digest) -> bool {
        self.running.contains_key(digest)
    }

    /// Tells why a blob is not even begun.
    pub(super) fn held_back(&self, digest: Digest, why: &str) {
        self.arrivals.failed(digest, why.to_owned());
    }

    /// The sources that do not have it, as far as is known.
    pub(super) fn without(&self, digest: &Digest) -> &BTreeSet<Name> {
        self.failures.get(digest).map_or(&self.nobody, |failure| &failure.without)
    }
}

/// From whom how many bytes came.
fn listed(from: &BTreeMap<Name, u64>) -> String {
    let each: Vec<_> = from.iter().map(|(name, bytes)| format!("{name} ({bytes} bytes)")).collect();
    if each.is_empty() { "nobody".into() } else { each.join(", ") }
}

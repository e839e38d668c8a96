//! Watches: the changes below a prefix, one batch per revision, from any revision that is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::watch;

use super::published::{Bell, Published};
use super::{Key, Revision, Versioned};

/// What one transaction did to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key that changed.
    pub key: Key,
    /// What it is now; `None` where it was deleted.
    pub now: Option<Versioned>,
    /// What it was before; `None` where it was absent. etcd: `prev_kv`.
    pub before: Option<Versioned>,
}

/// What one transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The transaction's revision.
    pub revision: Revision,
    /// Its changes below the watched prefix, in the order of its operations; never empty.
    pub changes: Vec<Change>,
}

/// What a watch reports. Revisions only ever rise, and none is reported twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// All changes of one revision below the prefix.
    Batch(Batch),
    /// All changes up to and including this revision were reported. Sent when the store moves on
    /// without a change below the prefix; how often is not promised.
    Progress(Revision),
    /// The next revision to report is gone, compacted through this one (or the store was replaced by
    /// a restore). The last event of its stream: scan, then watch anew.
    Compacted(Revision),
}

/// The events of one watch. Ends after `Compacted`, or when the store closes.
pub type WatchStream = BoxStream<'static, WatchEvent>;

/// How many revisions a watch takes from the log at a time.
const REVISIONS_PER_READ: usize = 64;

/// Follows a local store's log. It reads the log at its own pace: there is no queue between the
/// writer and a watcher that could fill.
pub(super) fn follow(published: Arc<Published>, prefix: &str, from: Revision) -> WatchStream {
    let bell = published.subscribe();
    let incarnation = published.read_incarnation(|_, incarnation| incarnation);
    let next = from.max(Revision(1));
    let follower = Follower {
        published,
        bell,
        incarnation,
        prefix: prefix.to_owned(),
        next,
        ready: VecDeque::new(),
        ended: false,
    };
    futures::stream::unfold(follower, |mut follower| async {
        let event = follower.next_event().await?;
        Some((event, follower))
    })
    .boxed()
}

struct Follower {
    published: Arc<Published>,
    bell: watch::Receiver<Bell>,
    incarnation: u64,
    prefix: String,
    /// The next revision to look at.
    next: Revision,
    ready: VecDeque<WatchEvent>,
    ended: bool,
}

impl Follower {
    async fn next_event(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let bell = *self.bell.borrow_and_update();
            let caught_up = self.read_log();
            if !caught_up || !self.ready.is_empty() {
                tokio::task::consume_budget().await;
            } else if bell.closed || self.bell.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Takes the next revisions from the log; returns whether none are left.
    fn read_log(&mut self) -> bool {
        let published = Arc::clone(&self.published);
        published.read_incarnation(|state, incarnation| {
            if incarnation != self.incarnation || self.next <= state.compacted() {
                let gone = if incarnation == self.incarnation { state.compacted() } else { state.revision() };
                self.ready.push_back(WatchEvent::Compacted(gone));
                self.ended = true;
                return true;
            }
            let mut seen = None;
            for batch in state.since(self.next).take(REVISIONS_PER_READ) {
                seen = Some(batch.revision);
                self.ready.extend(self.select(batch).map(WatchEvent::Batch));
            }
            if let Some(seen) = seen {
                self.pass(seen, state.revision());
            }
            self.next > state.revision()
        })
    }

    /// The changes of a batch below the prefix.
    fn select(&self, batch: &Batch) -> Option<Batch> {
        let below = batch.changes.iter().filter(|change| change.key.starts_with(&self.prefix));
        let changes: Vec<Change> = below.cloned().collect();
        (!changes.is_empty()).then_some(Batch { revision: batch.revision, changes })
    }

    /// Goes on behind `seen`, and says so where the newest revisions held nothing for this watch.
    fn pass(&mut self, seen: Revision, newest: Revision) {
        self.next = seen.next();
        let reported = matches!(self.ready.back(), Some(WatchEvent::Batch(batch)) if batch.revision == seen);
        if seen == newest && !reported {
            self.ready.push_back(WatchEvent::Progress(seen));
        }
    }
}

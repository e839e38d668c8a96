//! The changes below `/global/` and `/site/` as one stream, whole revisions in order.
//!
//! Two watches run at their own pace; a revision is handed out when both have passed it, so that a plan is never made
//! of one half of a transaction.

use std::collections::{BTreeMap, VecDeque};

use futures::StreamExt as _;

use crate::catalog::keys;
use crate::store::{Change, Entry, ReadError, Revision, Scan, Store, WatchEvent, WatchStream};

/// As many keys as are read at a time.
const PAGE: usize = 1_000;

/// Everything below the two prefixes, as of one revision.
pub(super) struct Everything {
    pub(super) entries: Vec<Entry>,
    pub(super) revision: Revision,
}

/// Reads everything below the two prefixes.
pub(super) async fn read(store: &dyn Store) -> Result<Everything, ReadError> {
    let revision = store.revision().await?;
    let mut entries = Vec::new();
    for prefix in [keys::GLOBAL, keys::SITES] {
        let mut scan = Scan::prefix(prefix).at(revision).limit(PAGE);
        loop {
            let page = store.scan(scan.clone()).await?;
            scan.after = page.entries.last().map(|entry| entry.key.clone());
            entries.extend(page.entries);
            if !page.more {
                break;
            }
        }
    }
    Ok(Everything { entries, revision })
}

/// The changes of one revision.
pub(super) struct Step {
    pub(super) revision: Revision,
    pub(super) changes: Vec<Change>,
}

/// The merged watch.
pub(super) struct Feed {
    watches: [Watch; 2],
    waiting: BTreeMap<Revision, Vec<Change>>,
    ready: VecDeque<Step>,
}

struct Watch {
    stream: WatchStream,
    passed: Revision,
}

impl Feed {
    /// Follows from behind `after`.
    pub(super) fn after(store: &dyn Store, after: Revision) -> Self {
        let watch = |prefix| Watch { stream: store.watch(prefix, after.next()), passed: after };
        Self {
            watches: [keys::GLOBAL, keys::SITES].map(watch),
            waiting: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// The next revision that changes something; None when the history is gone or the store closed.
    pub(super) async fn next(&mut self) -> Option<Step> {
        while self.ready.is_empty() {
            let [global, sites] = &mut self.watches;
            tokio::select! {
                event = global.stream.next() => self.take(0, event?)?,
                event = sites.stream.next() => self.take(1, event?)?,
            }
        }
        self.ready.pop_front()
    }

    /// What is ready without waiting.
    pub(super) fn next_ready(&mut self) -> Option<Step> {
        self.ready.pop_front()
    }

    fn take(&mut self, watch: usize, event: WatchEvent) -> Option<()> {
        let passed = match event {
            WatchEvent::Batch(batch) => {
                self.waiting.entry(batch.revision).or_default().extend(batch.changes);
                batch.revision
            }
            WatchEvent::Progress(revision) => revision,
            WatchEvent::Compacted(_) => return None,
        };
        self.watches[watch].passed = passed;
        let both = self.watches[0].passed.min(self.watches[1].passed);
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= both) {
            let (revision, changes) = first.remove_entry();
            self.ready.push_back(Step { revision, changes });
        }
        Some(())
    }
}

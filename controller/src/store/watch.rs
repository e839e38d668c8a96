//! Watches: the changes below a prefix, one batch per revision, from any revision that is kept.

use futures::stream::BoxStream;

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

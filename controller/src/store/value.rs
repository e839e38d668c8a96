//! What reads ask for and what they return.

use bytes::Bytes;

use super::{Key, Revision};

/// A value with the revisions that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The bytes that were put.
    pub value: Bytes,
    /// The revision that put this value: what [`super::Txn::expect`] compares.
    pub mod_revision: Revision,
    /// The revision that put the key when it was last absent.
    pub create_revision: Revision,
}

/// One key of a [`Page`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value as of the page's revision.
    pub version: Versioned,
}

/// A question for the keys below a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// Keys that begin with this text. End it with `/`, or `/site/a` also finds `/site/ab`.
    pub prefix: String,
    /// As of which revision; the newest when `None`. etcd: `WithRev`.
    pub at: Option<Revision>,
    /// Only keys after this one: the last of the page before.
    pub after: Option<Key>,
    /// At most so many keys; all when `None`.
    pub limit: Option<usize>,
}

impl Scan {
    /// Everything below a prefix, now.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..Self::default() }
    }

    /// The same question about the past.
    #[must_use]
    pub fn at(mut self, revision: Revision) -> Self {
        self.at = Some(revision);
        self
    }

    /// The same question, from after a key on.
    #[must_use]
    pub fn after(mut self, key: Key) -> Self {
        self.after = Some(key);
        self
    }

    /// The same question, with a bound on the answer.
    #[must_use]
    pub fn limit(mut self, keys: usize) -> Self {
        self.limit = Some(keys);
        self
    }
}

/// An answer to a [`Scan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Keys in order.
    pub entries: Vec<Entry>,
    /// The one revision that all entries are as of.
    pub revision: Revision,
    /// Whether keys follow that the limit cut off.
    pub more: bool,
}

/// Why a read was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The history before a compaction is gone: read the present instead.
    #[error("revision {requested} is gone: history is compacted through {compacted}")]
    Compacted {
        /// The revision asked for.
        requested: Revision,
        /// The oldest that can be read.
        compacted: Revision,
    },
    /// Nobody has written that revision yet.
    #[error("revision {requested} is in the future: the newest is {current}")]
    Future {
        /// The revision asked for.
        requested: Revision,
        /// The newest there is.
        current: Revision,
    },
    /// A store behind a network did not answer. The local one never says this.
    #[error("the store is not reachable: {cause}")]
    Unavailable {
        /// What the network or the peer said.
        cause: String,
    },
}

/// Why a compaction was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// Nobody has written that revision yet.
    #[error("revision {requested} is in the future: the newest is {current}")]
    Future {
        /// The revision asked for.
        requested: Revision,
        /// The newest there is.
        current: Revision,
    },
    /// The store takes no writes; see [`super::Health`].
    #[error("the store is read-only: {cause}")]
    ReadOnly {
        /// What made it so.
        cause: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

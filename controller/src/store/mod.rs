//! The catalog's store: ordered keys, revisions, durable transactions, watches (DESIGN §4, ADR 0003).
//!
//! [`Store`] has the shape of etcd, so that etcd fits behind it: one counter of revisions for the
//! whole store, one revision per transaction that changes something, compare-and-swap on the
//! revision that last changed a key, ordered scans by prefix, watches that resume at a revision, and
//! compaction of what nobody needs to replay. [`LocalStore`] is the engine inside the controller,
//! in memory or on sled. What keys mean, and what the values hold, is the catalog's business.
//!
//! Reads see what was acknowledged and nothing that is not yet durable. `WithRev` of etcd is the
//! `at` of a scan; its `mod_revision` compare is [`Txn::expect`]; its watch is [`Store::watch`] with
//! the previous value asked for.

mod disk;
mod engine;
mod group;
mod health;
mod key;
mod medium;
mod published;
mod record;
mod revision;
mod snapshot;
mod state;
mod txn;
mod value;
mod watch;
mod writer;

use futures::future::BoxFuture;

pub use self::disk::OpenError;
pub use self::engine::{LocalStore, Tuning};
pub use self::health::{Health, ReopenError};
pub use self::key::{Key, KeyError, MAX_KEY_BYTES};
pub use self::record::Damage;
pub use self::revision::{Epoch, Revision};
pub use self::snapshot::{ImportAs, ImportError, Snapshot, SnapshotError};
pub use self::txn::{Compare, MAX_TXN_BYTES, MAX_TXN_OPERATIONS, Operation, Txn, TxnError};
pub use self::value::{CompactError, Entry, Page, ReadError, Scan, Versioned};
pub use self::watch::{Batch, Change, WatchEvent, WatchStream};

/// An ordered, revisioned, durable map. Share it as `Arc<dyn Store>`.
///
/// Every method may be called from any task; none blocks the runtime for longer than a copy of what
/// it returns.
pub trait Store: Send + Sync + 'static {
    /// The value of one key now, or `None` where it is absent.
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, ReadError>>;

    /// The keys of one prefix in order, all as of the one revision that the page names.
    ///
    /// To read more than fits one page, ask again with the page's revision as `at` and its last key
    /// as `after`: the pages then belong together, whatever was written in between.
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>>;

    /// Applies all operations if all compares hold, else none.
    ///
    /// Returns when the change is durable and visible, with its revision; a transaction that changes
    /// nothing gets no revision of its own and returns the current one. A caller that stops waiting does
    /// not stop the transaction.
    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Revision, TxnError>>;

    /// Follows the changes below a prefix, beginning with revision `from` (inclusive).
    ///
    /// Scan first, then watch from the page's revision plus one: nothing is missed and nothing seen
    /// twice. A slow reader holds up nobody; one that falls behind compaction gets
    /// [`WatchEvent::Compacted`] as its last event. The stream ends when the store closes.
    fn watch(&self, prefix: &str, from: Revision) -> WatchStream;

    /// Forgets how the store came to be what it was at `through`: scans before it and watches from
    /// it or before are refused from now on. The present is not touched.
    fn compact(&self, through: Revision) -> BoxFuture<'_, Result<(), CompactError>>;

    /// The newest revision that is durable.
    fn revision(&self) -> BoxFuture<'_, Result<Revision, ReadError>>;

    /// The store's epoch: higher after every restore from a backup (DESIGN §4, generations).
    fn epoch(&self) -> BoxFuture<'_, Result<Epoch, ReadError>>;

    /// The whole store at one revision, with the history since its compaction.
    fn export(&self) -> BoxFuture<'_, Result<Snapshot, ReadError>>;

    /// Replaces everything by a snapshot. Open watches end with [`WatchEvent::Compacted`].
    ///
    /// Nothing is changed unless the whole snapshot is durable. Other writers wait meanwhile.
    fn import(&self, snapshot: Snapshot, import_as: ImportAs)
    -> BoxFuture<'_, Result<Revision, ImportError>>;

    /// Whether the store takes writes, and if not, why: the alarm that health checks show.
    fn health(&self) -> Health;

    /// Tries to take writes again after a failure, such as a full disk that has space again. The
    /// local store writes itself anew, which needs room for one more copy of what it holds.
    fn reopen(&self) -> BoxFuture<'_, Result<(), ReopenError>>;

    /// Waits for writes in flight, then lets go of the files. Writes after it are refused.
    fn close(&self) -> BoxFuture<'_, ()>;
}

//! The store inside the controller. (Being written.)

use std::path::Path;

use futures::future::BoxFuture;

use super::{
    CompactError, Epoch, Health, ImportAs, ImportError, Key, OpenError, Page, ReadError, ReopenError,
    Revision, Scan, Snapshot, Store, Txn, TxnError, Versioned, WatchStream,
};

/// How much a local store keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// Revisions that watches can still resume from; older ones are compacted by themselves.
    pub history_revisions: u64,
    /// Bytes of keys and values at most; writes that grow the store are refused beyond.
    pub quota_bytes: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { history_revisions: 10_000, quota_bytes: 2 << 30 }
    }
}

/// The store inside the controller, in memory or on sled.
#[derive(Debug)]
pub struct LocalStore {}

impl LocalStore {
    /// A store that forgets all when it is dropped: for tests and simulations.
    #[must_use]
    pub fn in_memory(_tuning: Tuning) -> Self {
        todo!("next commit")
    }

    /// Opens the store in a folder, which is made if it is absent.
    ///
    /// Blocks while it reads the whole store; call it before the runtime is busy.
    pub fn open(_folder: &Path, _tuning: Tuning) -> Result<Self, OpenError> {
        todo!("next commit")
    }
}

impl Store for LocalStore {
    fn get<'a>(&'a self, _key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, ReadError>> {
        todo!("next commit")
    }
    fn scan(&self, _scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        todo!("next commit")
    }
    fn txn(&self, _txn: Txn) -> BoxFuture<'_, Result<Revision, TxnError>> {
        todo!("next commit")
    }
    fn watch(&self, _prefix: &str, _from: Revision) -> WatchStream {
        todo!("next commit")
    }
    fn compact(&self, _through: Revision) -> BoxFuture<'_, Result<(), CompactError>> {
        todo!("next commit")
    }
    fn revision(&self) -> BoxFuture<'_, Result<Revision, ReadError>> {
        todo!("next commit")
    }
    fn epoch(&self) -> BoxFuture<'_, Result<Epoch, ReadError>> {
        todo!("next commit")
    }
    fn export(&self) -> BoxFuture<'_, Result<Snapshot, ReadError>> {
        todo!("next commit")
    }
    fn import(
        &self,
        _snapshot: Snapshot,
        _import_as: ImportAs,
    ) -> BoxFuture<'_, Result<Revision, ImportError>> {
        todo!("next commit")
    }
    fn health(&self) -> Health {
        todo!("next commit")
    }
    fn reopen(&self) -> BoxFuture<'_, Result<(), ReopenError>> {
        todo!("next commit")
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        todo!("next commit")
    }
}

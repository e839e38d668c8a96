//! The store inside the controller: readers share the last durable state, one thread writes.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::sync::{mpsc, oneshot};

use super::disk::Disk;
use super::medium::{Medium, Volatile};
use super::published::Published;
use super::state::State;
use super::watch::follow;
use super::writer::{Command, Writer};
use super::{
    CompactError, Epoch, Health, ImportAs, ImportError, Key, OpenError, Page, ReadError, ReopenError,
    Revision, Scan, Snapshot, Store, Txn, TxnError, Versioned, WatchStream,
};

/// Commands that wait for the writer; callers beyond wait for room.
const QUEUE: usize = 256;

/// How much a local store keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// Revisions that watches can resume from, at least; older ones are compacted by themselves.
    pub history_revisions: u64,
    /// Bytes of history; what is over goes even where that leaves fewer revisions.
    pub history_bytes: u64,
    /// Bytes of keys and values; writes that grow the store further are refused. All of them are in
    /// memory.
    pub quota_bytes: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { history_revisions: 10_000, history_bytes: 64 << 20, quota_bytes: 2 << 30 }
    }
}

/// The store inside the controller, in memory or on sled.
#[derive(Debug)]
pub struct LocalStore {
    published: Arc<Published>,
    /// Gone once the store is closed.
    commands: Mutex<Option<mpsc::Sender<Command>>>,
}

impl LocalStore {
    /// A store that forgets all when it is dropped: for tests and simulations.
    #[must_use]
    pub fn in_memory(tuning: Tuning) -> Self {
        Self::start(State::empty(Epoch::FIRST), Box::new(Volatile), tuning)
    }

    /// Opens the store in a folder, which is made if it is absent.
    ///
    /// Blocks while it reads the whole store: call it before the runtime is busy. Call
    /// [`Store::close`] before the folder is opened again.
    pub fn open(folder: &Path, tuning: Tuning) -> Result<Self, OpenError> {
        let (disk, state) = Disk::open(folder)?;
        Ok(Self::start(state, Box::new(disk), tuning))
    }

    pub(super) fn start(state: State, medium: Box<dyn Medium>, tuning: Tuning) -> Self {
        let published = Arc::new(Published::new(state));
        let (commands, queue) = mpsc::channel(QUEUE);
        Writer::spawn(Arc::clone(&published), medium, tuning, queue);
        Self { published, commands: Mutex::new(Some(commands)) }
    }

    /// Sends a command to the writer and waits for its answer.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Lost> {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (reply, answer) = oneshot::channel();
        commands.ok_or(Lost::Before)?.send(command(reply)).await.map_err(|_| Lost::Before)?;
        answer.await.map_err(|_| Lost::After)
    }
}

/// The writer is gone.
enum Lost {
    /// It never got the command.
    Before,
    /// It went away with the command: only a defect does that.
    After,
}

impl Lost {
    const DEFECT: &'static str = "the writer stopped while it held the command";
}

impl Store for LocalStore {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Versioned>, ReadError>> {
        ready(Ok(self.published.read(|state| state.get(key).cloned()))).boxed()
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        async move { self.published.read(|state| state.scan(&scan)) }.boxed()
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<Revision, TxnError>> {
        async move {
            txn.check_limits()?;
            match self.ask(|reply| Command::Txn { txn, reply }).await {
                Ok(outcome) => outcome,
                Err(Lost::Before) => Err(TxnError::Closed),
                Err(Lost::After) => Err(TxnError::Unknown { cause: Lost::DEFECT.to_owned() }),
            }
        }
        .boxed()
    }

    fn watch(&self, prefix: &str, from: Revision) -> WatchStream {
        follow(Arc::clone(&self.published), prefix, from)
    }

    fn compact(&self, through: Revision) -> BoxFuture<'_, Result<(), CompactError>> {
        let answer = self.ask(move |reply| Command::Compact { through, reply });
        answer.map(|answer| answer.unwrap_or(Err(CompactError::Closed))).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, ReadError>> {
        ready(Ok(self.published.read(State::revision))).boxed()
    }

    fn epoch(&self) -> BoxFuture<'_, Result<Epoch, ReadError>> {
        ready(Ok(self.published.read(State::epoch))).boxed()
    }

    fn export(&self) -> BoxFuture<'_, Result<Snapshot, ReadError>> {
        async move { Ok(Snapshot { state: self.published.read(State::clone) }) }.boxed()
    }

    fn import(
        &self,
        snapshot: Snapshot,
        import_as: ImportAs,
    ) -> BoxFuture<'_, Result<Revision, ImportError>> {
        let answer = self.ask(move |reply| Command::Import { snapshot, import_as, reply });
        answer.map(|answer| answer.unwrap_or(Err(ImportError::Closed))).boxed()
    }

    fn health(&self) -> Health {
        self.published.health()
    }

    fn reopen(&self) -> BoxFuture<'_, Result<(), ReopenError>> {
        let answer = self.ask(|reply| Command::Reopen { reply });
        answer.map(|answer| answer.unwrap_or(Err(ReopenError::Closed))).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            // An error says that it is closed already, which is what was asked for.
            let _ = self.ask(|reply| Command::Close { reply }).await;
            self.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        .boxed()
    }
}

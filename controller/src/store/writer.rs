//! The one thread that changes a local store: group commit, compaction, import, failure.
//!
//! It takes every transaction that waits, makes them durable with one sync, publishes them, and only
//! then answers. A medium that fails makes the store read-only until it is reopened; what was being
//! written then has an unknown outcome, and is never shown.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::group::Group;
use super::medium::{Medium, MediumError};
use super::published::Published;
use super::state::State;
use super::{
    Batch, CompactError, Health, ImportAs, ImportError, ReopenError, Revision, Snapshot, Tuning, Txn,
    TxnError,
};

/// The most transactions, and about the most bytes, that share one sync.
const GROUP_TXNS: usize = 256;
const GROUP_BYTES: usize = 8 << 20;
/// Revisions that one step of compaction takes, so that writers wait for milliseconds only.
const FOLD_STEP: usize = 256;

/// What the writer is asked to do, and where it answers.
pub(super) enum Command {
    /// Apply a transaction whose limits were checked.
    Txn { txn: Txn, reply: oneshot::Sender<Result<Revision, TxnError>> },
    /// Forget history.
    Compact { through: Revision, reply: oneshot::Sender<Result<(), CompactError>> },
    /// Become another state.
    Import { snapshot: Snapshot, import_as: ImportAs, reply: oneshot::Sender<Result<Revision, ImportError>> },
    /// Take writes again.
    Reopen { reply: oneshot::Sender<Result<(), ReopenError>> },
    /// Finish.
    Close { reply: oneshot::Sender<()> },
}

/// A transaction that waits for its group.
struct Waiting {
    txn: Txn,
    reply: oneshot::Sender<Result<Revision, TxnError>>,
}

/// What the writer's thread owns.
pub(super) struct Writer {
    published: Arc<Published>,
    medium: Box<dyn Medium>,
    tuning: Tuning,
    queue: mpsc::Receiver<Command>,
    /// Taken from the queue while a group was collected, and not part of it.
    held: Option<Command>,
}

/// Says that the store is closed when the thread ends, however it ends.
struct CloseAtEnd(Arc<Published>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Writer {
    /// Starts the thread. It ends at [`Command::Close`], or when all senders are gone.
    pub(super) fn spawn(
        published: Arc<Published>,
        medium: Box<dyn Medium>,
        tuning: Tuning,
        queue: mpsc::Receiver<Command>,
    ) {
        let writer = Self { published, medium, tuning, queue, held: None };
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        thread.spawn(move || writer.run()).expect("a controller that starts can start one more thread");
    }

    fn run(mut self) {
        let at_end = CloseAtEnd(Arc::clone(&self.published));
        let mut closing = Vec::new();
        while let Some(command) = self.next() {
            match command {
                Command::Txn { txn, reply } => self.txns(Waiting { txn, reply }),
                Command::Compact { through, reply } => answer(reply, self.compact(through)),
                Command::Import { snapshot, import_as, reply } => {
                    answer(reply, self.import(snapshot, import_as))
                }
                Command::Reopen { reply } => answer(reply, self.reopen()),
                Command::Close { reply } => {
                    // What is already in the queue was accepted, and is still done.
                    self.queue.close();
                    closing.push(reply);
                }
            }
        }
        // Lets go of the folder before anyone is told that it is free.
        drop(self);
        drop(at_end);
        closing.into_iter().for_each(|reply| answer(reply, ()));
    }

    fn next(&mut self) -> Option<Command> {
        self.held.take().or_else(|| self.queue.blocking_recv())
    }

    /// Commits a transaction together with those that wait behind it.
    fn txns(&mut self, first: Waiting) {
        let waiting = self.collect(first);
        if let Err(cause) = self.writable() {
            waiting.into_iter().for_each(|Waiting { reply, .. }| {
                answer(reply, Err(TxnError::ReadOnly { cause: cause.clone() }));
            });
            return;
        }
        let (outcomes, batches) = self.evaluate(waiting);
        if let Err(cause) = self.commit(batches) {
            outcomes.into_iter().for_each(|(reply, outcome)| answer(reply, Err(unfinished(outcome, &cause))));
            return;
        }
        outcomes.into_iter().for_each(|(reply, outcome)| answer(reply, outcome));
        self.trim();
    }

    fn collect(&mut self, first: Waiting) -> Vec<Waiting> {
        let mut bytes = first.txn.bytes();
        let mut waiting = vec![first];
        while waiting.len() < GROUP_TXNS && bytes < GROUP_BYTES {
            match self.queue.try_recv() {
                Ok(Command::Txn { txn, reply }) => {
                    bytes += txn.bytes();
                    waiting.push(Waiting { txn, reply });
                }
                Ok(
                    other @ (Command::Compact { .. }
                    | Command::Import { .. }
                    | Command::Reopen { .. }
                    | Command::Close { .. }),
                ) => {
                    self.held = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        waiting
    }

    fn evaluate(&self, waiting: Vec<Waiting>) -> (Vec<Evaluated>, Vec<Arc<Batch>>) {
        self.published.read(|state| {
            let mut group = Group::new(state, self.tuning.quota_bytes);
            let outcomes =
                waiting.into_iter().map(|Waiting { txn, reply }| (reply, group.admit(txn))).collect();
            (outcomes, group.into_batches())
        })
    }

    /// Makes batches durable, then visible.
    fn commit(&mut self, batches: Vec<Arc<Batch>>) -> Result<(), String> {
        if batches.is_empty() {
            return Ok(());
        }
        self.on_medium(|medium| medium.append(&batches))?;
        self.published.update(|state| batches.into_iter().for_each(|batch| state.apply(batch)));
        Ok(())
    }

    /// Forgets the oldest history where it is over its bounds by a step, or in bytes at all.
    fn trim(&mut self) {
        let (revisions, bytes) = (self.tuning.history_revisions, self.tuning.history_bytes);
        let kept = usize::try_from(revisions).unwrap_or(usize::MAX);
        let over = |state: &State| {
            state.log().len() >= kept.saturating_add(FOLD_STEP)
                || (state.log_bytes() > bytes && !state.log().is_empty())
        };
        while self.published.read(over) {
            if self.fold(FOLD_STEP).is_err() {
                return;
            }
        }
    }

    fn compact(&mut self, through: Revision) -> Result<(), CompactError> {
        self.writable().map_err(|cause| CompactError::ReadOnly { cause })?;
        let current = self.published.read(State::revision);
        if through > current {
            return Err(CompactError::Future { requested: through, current });
        }
        loop {
            let compacted = self.published.read(State::compacted);
            let left = through.0.saturating_sub(compacted.0);
            if left == 0 {
                return Ok(());
            }
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(FOLD_STEP);
            self.fold(step).map_err(|cause| CompactError::ReadOnly { cause })?;
        }
    }

    fn fold(&mut self, count: usize) -> Result<(), String> {
        let oldest: Vec<Arc<Batch>> =
            self.published.read(|state| state.log().iter().take(count).cloned().collect());
        self.on_medium(|medium| medium.fold(&oldest))?;
        self.published.update(|state| state.forget(oldest.len()));
        Ok(())
    }

    fn import(&mut self, snapshot: Snapshot, import_as: ImportAs) -> Result<Revision, ImportError> {
        let state = snapshot.into_state(import_as, self.published.read(State::epoch));
        let revision = state.revision();
        guarded(|| self.medium.replace(&state)).map_err(|cause| ImportError::Failed { cause })?;
        self.published.replace(state);
        self.published.set_health(Health::Writable);
        Ok(revision)
    }

    /// Writes the last durable state to the medium anew: after a failed sync, what the old files
    /// hold is not known, and reading them back would not tell.
    fn reopen(&mut self) -> Result<(), ReopenError> {
        let Err(_) = self.writable() else { return Ok(()) };
        let state = self.published.read(State::clone);
        guarded(|| self.medium.replace(&state)).map_err(|cause| ReopenError::StillFailing { cause })?;
        self.published.set_health(Health::Writable);
        tracing::info!(revision = %state.revision(), "the store takes writes again");
        Ok(())
    }

    fn writable(&self) -> Result<(), String> {
        match self.published.health() {
            Health::Writable => Ok(()),
            Health::ReadOnly { cause } => Err(cause),
            Health::Closed => Err("the store is closed".to_owned()),
        }
    }

    /// Writes to the medium; a failure turns the store read-only.
    fn on_medium(
        &mut self,
        write: impl FnOnce(&mut dyn Medium) -> Result<(), MediumError>,
    ) -> Result<(), String> {
        let medium = self.medium.as_mut();
        guarded(|| write(medium)).inspect_err(|cause| {
            tracing::error!(cause, "the store failed to write and is read-only now");
            self.published.set_health(Health::ReadOnly { cause: cause.clone() });
        })
    }
}

/// A transaction's place to answer, and the answer once its group is durable.
type Evaluated = (oneshot::Sender<Result<Revision, TxnError>>, Result<Revision, TxnError>);

/// Runs what may panic inside sled. The medium is not trusted after an error in any case.
fn guarded<T>(run: impl FnOnce() -> Result<T, MediumError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(outcome) => outcome.map_err(|MediumError(cause)| cause),
        Err(_) => Err("the storage engine panicked; its message is in the log".to_owned()),
    }
}

/// The answer to a transaction whose group failed to become durable.
fn unfinished(outcome: Result<Revision, TxnError>, cause: &str) -> TxnError {
    match outcome {
        Ok(_) => TxnError::Unknown { cause: cause.to_owned() },
        // It did nothing, but what it was compared with may not exist either.
        Err(_) => TxnError::ReadOnly { cause: cause.to_owned() },
    }
}

/// Answers a caller who may have gone away.
fn answer<T>(reply: oneshot::Sender<T>, outcome: T) {
    let _ = reply.send(outcome);
}

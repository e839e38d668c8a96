//! The event store on sled 0.34.7, in the one shape in which it survives a power cut (ADR 0003).
//!
//! One tree, one writer thread, a group of appends in one `Batch`, then `flush()` and `sync_data()` on a handle of our
//! own, then the answers. Values stay well below the size that sled moves into files of their own. After a
//! failure nothing is taken until the database was opened anew; agents keep what was not acknowledged, and send it again.

mod folder;
mod group;
mod leases;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use proto::event::NumberedEvent;
use proto::{AttemptId, Incarnation, Wall, v1};
use tokio::sync::{broadcast, mpsc, oneshot};

use self::group::Group;
use self::leases::Held;
use super::store::{
    AppendError, BootFilter, Continued, History, OpenError, ReadError, Source, StoredEvent, Tuning,
};
use super::{BootSummary, key};

/// Appends that share one sync, at most.
const GROUP: usize = 256;
/// Boots of one listing: what is answered unless asked otherwise, and at most.
const LISTED: (usize, usize) = (20, 1_000);

/// What the writer is told to do.
pub(super) enum Command {
    /// Store a batch.
    Append {
        source: Source,
        incarnation: Incarnation,
        events: Vec<NumberedEvent>,
        reply: oneshot::Sender<Result<u64, AppendError>>,
    },
    /// Open the database anew if it has failed; answers whether events are taken.
    Reopen { reply: oneshot::Sender<bool> },
    /// Behave as if the disk had failed.
    #[cfg(test)]
    Fail { cause: String, reply: oneshot::Sender<()> },
    /// Finish and end.
    Close { reply: oneshot::Sender<()> },
}

/// Who hears of what is stored.
pub(super) struct Tells {
    pub(super) news: broadcast::Sender<Arc<StoredEvent>>,
    /// How many there were.
    pub(super) stored: Arc<AtomicU64>,
}

/// The database, for readers; gone once the store is closed.
pub(super) struct Disk(RwLock<Option<sled::Db>>);

impl Disk {
    /// Opens the folder, or makes it.
    pub(super) fn open(path: &Path) -> Result<(Self, Medium), OpenError> {
        let medium = Medium::open(path)?;
        Ok((Self(RwLock::new(Some(medium.db.clone()))), medium))
    }

    pub(super) fn boot(&self, attempt: AttemptId) -> Result<Option<BootSummary>, ReadError> {
        self.look(|db| boot(db, attempt))
    }

    /// The latest first.
    pub(super) fn boots(&self, filter: &BootFilter) -> Result<Vec<BootSummary>, ReadError> {
        self.look(|db| boots(db, filter))
    }

    /// The latest first.
    pub(super) fn boots_since(&self, began: Wall, most: usize) -> Result<Vec<BootSummary>, ReadError> {
        self.look(|db| {
            let keys = db.range(key::began(began)..key::after_all()).keys().rev();
            let mut boots = Vec::new();
            for found in keys.take(most) {
                let Some(attempt) = key::attempt(&found.map_err(unreadable)?) else { continue };
                boots.extend(boot(db, attempt)?);
            }
            Ok(boots)
        })
    }

    /// In the order of storing.
    pub(super) fn boot_events(&self, attempt: AttemptId) -> Result<Vec<StoredEvent>, ReadError> {
        self.look(|db| {
            let values = db.scan_prefix(key::events(attempt)).values();
            values.map(|value| decode(&value.map_err(unreadable)?)).collect()
        })
    }

    /// The summary first: what it tells of is among the events.
    pub(super) fn boot_from(&self, attempt: AttemptId, from: u64) -> Result<Option<Continued>, ReadError> {
        let Some(boot) = self.boot(attempt)? else { return Ok(None) };
        let from = if boot.events < from { 0 } else { from };
        let events = self.look(|db| {
            let values = db.range(key::event(attempt, from)..=key::event(attempt, u64::MAX)).values();
            values.map(|value| decode(&value.map_err(unreadable)?)).collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Some(Continued { boot, next: from + events.len() as u64, events }))
    }

    pub(super) fn history(&self, attempt: AttemptId) -> Result<Option<History>, ReadError> {
        let Some(boot) = self.boot(attempt)? else { return Ok(None) };
        Ok(Some((boot, self.boot_events(attempt)?)))
    }

    fn look<T>(&self, look: impl FnOnce(&sled::Db) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let db = self.0.read().unwrap_or_else(PoisonError::into_inner);
        look(db.as_ref().ok_or_else(|| ReadError("it is closed".into()))?)
    }

    /// Waits for readers and lets go of the files, if the writer has done so.
    fn close(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Reads from this database from now on.
    fn replace(&self, db: sled::Db) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(db);
    }
}

fn boot(db: &sled::Db, attempt: AttemptId) -> Result<Option<BootSummary>, ReadError> {
    let found = db.get(key::summary(attempt)).map_err(unreadable)?;
    found.map(|json| serde_json::from_slice(&json).map_err(unreadable)).transpose()
}

fn boots(db: &sled::Db, filter: &BootFilter) -> Result<Vec<BootSummary>, ReadError> {
    let limit = if filter.limit == 0 { LISTED.0 } else { filter.limit.min(LISTED.1) };
    let prefix = match (filter.host, filter.stranger, &filter.site) {
        (Some(host), _, _) => key::host(host),
        (None, Some(mac), _) => key::stranger(mac),
        (None, None, Some(site)) => key::site(site),
        (None, None, None) => key::ALL.to_vec(),
    };
    let mut boots = Vec::new();
    for found in db.scan_prefix(prefix).keys().rev() {
        let Some(attempt) = key::attempt(&found.map_err(unreadable)?) else { continue };
        let at_site = |boot: &BootSummary| filter.site.as_ref().is_none_or(|site| *site == boot.site);
        boots.extend(boot(db, attempt)?.filter(at_site));
        if boots.len() == limit {
            break;
        }
    }
    Ok(boots)
}

/// The database, for the writer.
pub(super) struct Medium {
    db: sled::Db,
    /// A handle of our own to the file that sled writes.
    file: File,
}

impl Medium {
    fn open(path: &Path) -> Result<Self, OpenError> {
        let (db, file) = folder::open(path)?;
        Ok(Self { db, file })
    }

    /// How many attempts of machines that are no host it holds.
    fn strangers(&self) -> usize {
        self.db.scan_prefix(key::STRANGERS).count()
    }

    fn commit(&self, batch: sled::Batch) -> Result<(), String> {
        self.db.apply_batch(batch).map_err(|error| error.to_string())?;
        self.db.flush().map_err(|error| error.to_string())?;
        self.file.sync_data().map_err(|error| error.to_string())
    }
}

/// The stored form of an event.
fn encode(event: &StoredEvent) -> Vec<u8> {
    let message = v1::BootEvent {
        site: event.source.site.clone(),
        agent: event.source.agent.clone(),
        incarnation: event.incarnation.to_wire(),
        event: Some(event.numbered.clone().into()),
        host: String::new(),
        silence: None,
    };
    prost::Message::encode_to_vec(&message)
}

fn decode(bytes: &[u8]) -> Result<StoredEvent, ReadError> {
    let message: v1::BootEvent = prost::Message::decode(bytes).map_err(unreadable)?;
    let event = message.event.ok_or_else(|| ReadError("an event without content".into()))?;
    Ok(StoredEvent {
        source: Source { site: message.site, agent: message.agent },
        incarnation: Incarnation::from_wire("incarnation", &message.incarnation).map_err(unreadable)?,
        numbered: event.try_into().map_err(unreadable)?,
    })
}

fn unreadable(error: impl std::fmt::Display) -> ReadError {
    ReadError(error.to_string())
}

/// The one thread that writes.
pub(super) struct Writer {
    disk: Arc<Disk>,
    path: PathBuf,
    /// None since it failed: what it holds is then not known, and it is let go of.
    medium: Option<Medium>,
    tuning: Tuning,
    tells: Tells,
    strangers: usize,
    leases: Held,
    /// What the disk said when it failed last.
    cause: String,
}

type Reply = oneshot::Sender<Result<u64, AppendError>>;

impl Writer {
    /// Starts the thread; it ends when all senders are gone, or on [`Command::Close`].
    pub(super) fn spawn(
        disk: Arc<Disk>,
        path: &Path,
        medium: Medium,
        tuning: Tuning,
        queue: mpsc::Receiver<Command>,
        tells: Tells,
    ) {
        let strangers = medium.strangers();
        let (path, cause) = (path.to_owned(), String::new());
        let (medium, leases) = (Some(medium), Held::default());
        let writer = Self { disk, path, medium, tuning, tells, strangers, leases, cause };
        let thread = std::thread::Builder::new().name("event-store".into());
        thread
            .spawn(move || writer.run(queue))
            .expect("the system starts a thread at the start of the controller");
    }

    fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        while let Some(first) = queue.blocking_recv() {
            let mut commands = vec![first];
            while commands.len() < GROUP
                && let Ok(next) = queue.try_recv()
            {
                commands.push(next);
            }
            if let Some(closed) = self.perform(commands) {
                let disk = Arc::clone(&self.disk);
                drop(self);
                disk.close();
                // Whoever asked may have stopped waiting.
                let _ = closed.send(());
                return;
            }
        }
    }

    /// Stores a group; returns whom to tell when the store is to close.
    fn perform(&mut self, commands: Vec<Command>) -> Option<oneshot::Sender<()>> {
        let mut group = self.medium.as_ref().map(|medium| Group::new(medium.db.clone(), self.tuning));
        let mut answers: Vec<(Reply, Result<u64, AppendError>)> = Vec::new();
        let (mut close, mut reopen) = (None, Vec::new());
        for command in commands {
            match command {
                Command::Append { source, incarnation, events, reply } => {
                    let failed = || Err(AppendError::Failed { cause: self.cause.clone() });
                    let append = |group: &mut Group| group.append(&source, incarnation, events);
                    answers.push((reply, group.as_mut().map_or_else(failed, append)));
                }
                Command::Reopen { reply } => reopen.push(reply),
                #[cfg(test)]
                Command::Fail { cause, reply } => {
                    drop(group.take());
                    self.fail(cause);
                    let _ = reply.send(());
                }
                Command::Close { reply } => close = Some(reply),
            }
        }
        let stored = group.map_or(Ok(()), |group| self.store(group));
        for (reply, answer) in answers {
            let answer = stored.clone().and(answer);
            // An agent that has gone away sends its batch again.
            let _ = reply.send(answer);
        }
        for reply in reopen {
            let _ = reply.send(self.reopen());
        }
        close
    }

    fn store(&mut self, group: Group) -> Result<(), AppendError> {
        let Some(medium) = &self.medium else { return Ok(()) };
        let done = group.finish();
        if let Some(batch) = done.batch
            && let Err(cause) = medium.commit(batch)
        {
            return Err(self.fail(cause));
        }
        self.strangers = self.strangers.saturating_add_signed(done.strangers);
        self.tells.stored.fetch_add(done.news.len() as u64, Ordering::Relaxed);
        done.news.into_iter().for_each(|event| drop(self.tells.news.send(Arc::new(event))));
        let pruned = self.leases.prune(&medium.db, &done.leases, &self.tuning);
        pruned.and_then(|()| self.prune(&done.machines)).map_err(|cause| self.fail(cause))
    }

    fn fail(&mut self, cause: String) -> AppendError {
        tracing::error!(
            cause,
            "the event store has failed: make room on its disk, or replace it; agents keep their events meanwhile"
        );
        self.medium = None;
        self.disk.close();
        self.cause.clone_from(&cause);
        AppendError::Failed { cause }
    }

    /// Opens the database as at a start, if it has failed. What was not acknowledged comes again from the agents.
    fn reopen(&mut self) -> bool {
        if self.medium.is_some() {
            return true;
        }
        match Medium::open(&self.path) {
            Ok(medium) => {
                self.strangers = medium.strangers();
                self.leases = Held::default();
                self.disk.replace(medium.db.clone());
                self.medium = Some(medium);
                tracing::info!("the event store takes events again");
            }
            Err(error) => tracing::error!(%error, cause = self.cause, "the event store does not open"),
        }
        self.medium.is_some()
    }

    /// Forgets the oldest attempts of machines that have too many. Needs no sync: what comes back is forgotten again.
    fn prune(&mut self, machines: &[Vec<u8>]) -> Result<(), String> {
        for machine in machines {
            let held = self.medium.as_ref().map_or(0, |medium| medium.db.scan_prefix(machine).count());
            self.forget_oldest(machine, held.saturating_sub(self.tuning.attempts_per_machine))?;
        }
        let excess = self.strangers.saturating_sub(self.tuning.attempts_of_strangers);
        self.forget_oldest(key::STRANGERS, excess)
    }

    fn forget_oldest(&mut self, prefix: &[u8], count: usize) -> Result<(), String> {
        let Some(db) = self.medium.as_ref().map(|medium| medium.db.clone()) else { return Ok(()) };
        for found in db.scan_prefix(prefix).keys().take(count) {
            let found = found.map_err(|error| error.to_string())?;
            if let Some(attempt) = key::attempt(&found) {
                self.forget(&db, attempt)?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, db: &sled::Db, attempt: AttemptId) -> Result<(), String> {
        let Some(summary) = boot(db, attempt).map_err(|error| error.to_string())? else {
            return Ok(());
        };
        let mut batch = sled::Batch::default();
        key::indices(&summary).into_iter().for_each(|key| batch.remove(key));
        for event in db.scan_prefix(key::events(attempt)).keys() {
            batch.remove(event.map_err(|error| error.to_string())?);
        }
        batch.remove(key::summary(attempt));
        self.strangers -= usize::from(summary.host.is_none() && self.strangers > 0);
        db.apply_batch(batch).map_err(|error| error.to_string())
    }
}

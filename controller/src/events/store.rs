//! The public face of the event store.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proto::event::NumberedEvent;
use proto::{AttemptId, HostId, Incarnation, Mac, Wall};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::disk::{Command, Disk, Tells, Writer};
use super::{BootSummary, LeaseEntry, LeasePage};

/// Events that a slow subscriber may be behind before it loses the oldest.
const BROADCAST: usize = 4_096;
/// Appends that wait for the writer; callers beyond wait for room.
const QUEUE: usize = 256;

/// Which journal's owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The site's name.
    pub site: String,
    /// The agent's name.
    pub agent: String,
}

/// An event with where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The agent.
    pub source: Source,
    /// Its journal.
    pub incarnation: Incarnation,
    /// The event and its number.
    pub numbered: NumberedEvent,
}

/// A boot, and its events in the order in which they were stored.
pub type History = (BootSummary, Vec<StoredEvent>);

/// What was stored of a boot since somebody looked.
#[derive(Debug, Clone)]
pub struct Continued {
    /// As far as it had come just before its events were read.
    pub boot: BootSummary,
    /// Its further events, in the order in which they were stored.
    pub events: Vec<StoredEvent>,
    /// Where the next will stand.
    pub next: u64,
}

/// Which boots to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootFilter {
    /// Only those of this host.
    pub host: Option<HostId>,
    /// Only those of this machine while it was no host; of no weight beside `host`.
    pub stranger: Option<Mac>,
    /// Only those at this site.
    pub site: Option<String>,
    /// At most so many; 20 when it is 0, never more than 1,000.
    pub limit: usize,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Attempts of one host, or of one unknown machine.
    pub attempts_per_machine: usize,
    /// Attempts of all machines that are no host of the catalog.
    pub attempts_of_strangers: usize,
    /// Events of one attempt; further ones are counted, and not kept.
    pub events_per_attempt: u64,
    /// Leases of a site that stand; as many as an agent gives.
    pub leases_per_site: usize,
    /// Leases of a site that have ended.
    pub ended_leases_per_site: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            attempts_per_machine: 50,
            attempts_of_strangers: 10_000,
            events_per_attempt: 2_000,
            leases_per_site: 131_072,
            ended_leases_per_site: 4_000,
        }
    }
}

/// Why the event store does not open. What is in its folder was left there.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be read or written, or another controller has it open.
    #[error("event store {path} cannot be used: {cause}")]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// It is damaged. It is never deleted.
    #[error(
        "event store {path} does not open: {cause}; move it aside and keep it: boot history is all that is lost"
    )]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
}

/// Why events were not stored. None of them may be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Numbers of a batch must rise by one, but for what a gap event names.
    #[error("event {found} follows event {after} without a gap event between them")]
    Hole {
        /// The number before.
        after: u64,
        /// The number that came.
        found: u64,
    },
    /// The disk failed; nothing is stored until [`EventStore::takes_events`] has opened the store anew.
    #[error("the event store takes no events: {cause}")]
    Failed {
        /// What the system said.
        cause: String,
    },
    /// The store was closed.
    #[error("the event store is closed")]
    Closed,
}

/// What is stored could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the event store: {0}")]
pub struct ReadError(pub String);

/// The event store. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct EventStore {
    disk: Arc<Disk>,
    commands: mpsc::Sender<Command>,
    news: broadcast::Sender<Arc<StoredEvent>>,
    stored: Arc<AtomicU64>,
}

impl EventStore {
    /// Opens the store in a folder, which is made if it is absent. Blocks.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path, tuning: Tuning) -> Result<Self, OpenError> {
        let (disk, medium) = Disk::open(folder)?;
        let disk = Arc::new(disk);
        let (commands, queue) = mpsc::channel(QUEUE);
        let (news, _) = broadcast::channel(BROADCAST);
        let stored = Arc::default();
        let tells = Tells { news: news.clone(), stored: Arc::clone(&stored) };
        Writer::spawn(Arc::clone(&disk), folder, medium, tuning, queue, tells);
        Ok(Self { disk, commands, news, stored })
    }

    /// Stores a batch of one journal; returns, when it is durable, the number up to which all is stored.
    ///
    /// Events up to a number that was stored before are passed over. The first batch of a journal may begin at any
    /// number: what came before was acknowledged by a controller whose events are lost, and will never be sent.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the batch is stored then, or (only when the disk failed) it may be.
    pub async fn append(
        &self,
        source: &Source,
        incarnation: Incarnation,
        events: Vec<NumberedEvent>,
    ) -> Result<u64, AppendError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Append { source: source.clone(), incarnation, events, reply };
        self.commands.send(command).await.map_err(|_| AppendError::Closed)?;
        answer.await.map_err(|_| AppendError::Closed)?
    }

    /// The boots that match, the latest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn boots(&self, filter: BootFilter) -> Result<Vec<BootSummary>, ReadError> {
        self.read(move |disk| disk.boots(&filter)).await
    }

    /// One boot; None where it is not known (any more).
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn boot(&self, attempt: AttemptId) -> Result<Option<BootSummary>, ReadError> {
        self.read(move |disk| disk.boot(attempt)).await
    }

    /// The events of a boot in the order in which they were stored.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn boot_events(&self, attempt: AttemptId) -> Result<Vec<StoredEvent>, ReadError> {
        self.read(move |disk| disk.boot_events(attempt)).await
    }

    /// A boot, and its events from the `from`-th on, where one begins at 0 and goes on at [`Continued::next`]; all of them if it was
    /// forgotten meanwhile and has begun anew. None where it is not known (any more).
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn boot_from(&self, attempt: AttemptId, from: u64) -> Result<Option<Continued>, ReadError> {
        self.read(move |disk| disk.boot_from(attempt, from)).await
    }

    /// Each of these boots with its events; None: it is not kept (any more).
    pub async fn histories(&self, attempts: Vec<AttemptId>) -> Vec<Result<Option<History>, ReadError>> {
        let count = attempts.len();
        let read = self.read(move |disk| Ok(attempts.into_iter().map(|one| disk.history(one)).collect()));
        read.await.unwrap_or_else(|error| vec![Err(error); count])
    }

    /// The boots that began at this time or later, the latest first, at most so many.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn boots_since(&self, began: Wall, most: usize) -> Result<Vec<BootSummary>, ReadError> {
        self.read(move |disk| disk.boots_since(began, most)).await
    }

    /// How many events were stored since the store was opened.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// The leases that stand, of a site or of all, by site and address: a page that begins after what the former page's
    /// [`LeasePage::next`] says.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn leases(
        &self,
        site: Option<String>,
        after: Vec<u8>,
        limit: usize,
    ) -> Result<LeasePage, ReadError> {
        self.read(move |disk| disk.leases(site.as_deref(), &after, limit)).await
    }

    /// The lease of an address that stands.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn lease(&self, site: String, address: Ipv4Addr) -> Result<Option<LeaseEntry>, ReadError> {
        self.read(move |disk| disk.lease(&site, address)).await
    }

    /// The leases of an address at these sites, the latest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn leases_of_address(
        &self,
        sites: Vec<String>,
        address: Ipv4Addr,
        limit: usize,
    ) -> Result<Vec<LeaseEntry>, ReadError> {
        self.read(move |disk| {
            let of_site = |site: &String| disk.leases_of_address(site, address, limit);
            let found = sites.iter().map(of_site).collect::<Result<Vec<_>, _>>()?;
            Ok(latest(found.concat(), limit))
        })
        .await
    }

    /// The leases of these machines, at one site or at all, the latest first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn leases_of_machines(
        &self,
        macs: Vec<Mac>,
        site: Option<String>,
        limit: usize,
    ) -> Result<Vec<LeaseEntry>, ReadError> {
        self.read(move |disk| {
            let of_machine = |mac: &Mac| disk.leases_of_machine(*mac, site.as_deref(), limit);
            let found = macs.iter().map(of_machine).collect::<Result<Vec<_>, _>>()?;
            Ok(latest(found.concat(), limit))
        })
        .await
    }

    /// Every event from now on, once it is durable, in the order of storing. To follow a boot from its beginning:
    /// subscribe, read [`EventStore::boot_events`], then pass over what was read already.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<StoredEvent>> {
        self.news.subscribe()
    }

    /// Are events stored? A store that has failed is opened anew; this is asked by a timer.
    pub async fn takes_events(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Reopen { reply }).await.is_ok() && answer.await.unwrap_or(false)
    }

    /// As if the disk had failed.
    #[cfg(test)]
    pub(super) async fn fail(&self, cause: &str) {
        let (reply, done) = oneshot::channel();
        let command = Command::Fail { cause: cause.to_owned(), reply };
        self.commands.send(command).await.expect("open");
        done.await.expect("open");
    }

    /// Waits for appends in flight; those after it are refused.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Close { reply }).await.is_ok() {
            // The writer may have ended of itself, which is what was asked for.
            let _ = done.await;
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Disk) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let disk = Arc::clone(&self.disk);
        let looked = tokio::task::spawn_blocking(move || look(&disk)).await;
        looked.unwrap_or_else(|error| Err(ReadError(error.to_string())))
    }
}

fn latest(mut leases: Vec<LeaseEntry>, limit: usize) -> Vec<LeaseEntry> {
    leases.sort_by_key(|lease| std::cmp::Reverse(lease.began_ms));
    leases.truncate(limit);
    leases
}

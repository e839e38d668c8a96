//! Starting the shards, and the handle to them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use netboot::tftp::{Config, Counters, TftpEvent};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::library::Library;
use super::notice::Notices;
use super::shard::{Setup, Shard};
use super::sockets::Sockets;
use crate::tap::Transfers;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The sockets cannot be used.
    #[error("watch the TFTP sockets")]
    Sockets(#[source] io::Error),
    /// There is no ephemeral socket, or more than 255.
    #[error("use between 1 and 255 ephemeral TFTP sockets")]
    Slots,
    /// A thread.
    #[error("start a thread for TFTP")]
    Thread(#[source] io::Error),
}

/// A thread of the server panicked: what it served is not served any more.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a thread of the TFTP server panicked")]
pub struct Panicked;

/// A running server; it stops by its cancellation token, and when this is dropped.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    shards: Vec<Running>,
    _stopper: AbortOnDropHandle<()>,
}

/// One shard's thread.
#[derive(Debug)]
struct Running {
    notices: Notices,
    tally: Arc<Tally>,
    ended: oneshot::Receiver<()>,
}

/// What was dropped since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// By the engines, on purpose.
    pub packets: Counters,
    /// Events for which the receiver had no room.
    pub events: u64,
}

impl Dropped {
    fn and(self, other: Self) -> Self {
        Self { packets: self.packets.and(&other.packets), events: self.events + other.events }
    }
}

/// What one shard has dropped, as of its last turn.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Dropped>);

impl Tally {
    pub(super) fn publish(&self, dropped: Dropped) {
        *self.lock() = dropped;
    }

    fn lock(&self) -> MutexGuard<'_, Dropped> {
        // No call panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serving {
    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was dropped until now.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.shards.iter().fold(Dropped::default(), |sum, shard| sum.and(*shard.tally.lock()))
    }

    /// Waits until the server has stopped: when one of its threads ends, so do the others.
    ///
    /// # Errors
    /// [`Panicked`].
    pub async fn stopped(&mut self) -> Result<(), Panicked> {
        let mut outcome = Ok(());
        let first = futures::future::select_all(self.shards.iter_mut().map(|shard| &mut shard.ended));
        let (ended, which, _) = first.await;
        self.stop();
        outcome = ended.or(Err(Panicked)).and(outcome);
        for (number, shard) in self.shards.iter_mut().enumerate().filter(|(number, _)| *number != which) {
            tracing::trace!(number, "waits for a thread of the TFTP server");
            outcome = (&mut shard.ended).await.or(Err(Panicked)).and(outcome);
        }
        outcome
    }

    fn stop(&self) {
        self.shards.iter().for_each(|shard| shard.notices.stop());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves `library` on `sockets` until `shutdown`. Events go to `events`; those for which it has no room are
/// counted and lost, for the data path waits for nobody. `config.slots` follows from the sockets; the totals of
/// transfers and requests are shared out among the shards.
///
/// # Errors
/// [`ServeError`] if the sockets cannot be used or a thread cannot be started.
///
/// # Panics
/// Outside a tokio runtime.
pub fn serve<L: Library>(
    sockets: Sockets,
    config: Config,
    library: Arc<L>,
    events: mpsc::Sender<TftpEvent>,
    shutdown: CancellationToken,
) -> Result<Serving, ServeError> {
    let slots = sockets.slots().ok_or(ServeError::Slots)?;
    let address = sockets.address().map_err(ServeError::Sockets)?;
    let (means, tap) = (sockets.means(), sockets.tap().clone());
    let parts = sockets.share_out().map_err(ServeError::Sockets)?;
    let config = Config { slots, ..config }.share_of(parts.len());
    let mut shards = Vec::new();
    for (number, sockets) in parts.into_iter().enumerate() {
        let (notices, inbox) = Notices::open(sockets.waker());
        let (tally, (ended_out, ended)) = (Arc::new(Tally::default()), oneshot::channel());
        let taped = Transfers::new(&tap, sockets.ends());
        let setup = Setup {
            config: config.clone(),
            sockets,
            means,
            library: Arc::clone(&library),
            runtime: Handle::current(),
            notices: notices.clone(),
            inbox,
            events: events.clone(),
            tally: Arc::clone(&tally),
            taped,
        };
        let run = move || {
            Shard::new(setup).run();
            // A shard that panics drops this instead.
            ended_out.send(()).ok();
        };
        thread::Builder::new().name(format!("tftp-{number}")).spawn(run).map_err(ServeError::Thread)?;
        shards.push(Running { notices, tally, ended });
    }
    let all: Vec<Notices> = shards.iter().map(|shard| shard.notices.clone()).collect();
    let stopper = tokio::spawn(async move {
        shutdown.cancelled().await;
        all.iter().for_each(Notices::stop);
    });
    Ok(Serving { address, shards, _stopper: AbortOnDropHandle::new(stopper) })
}

//! The loop: receive, hand in, perform, sleep.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use netboot::tftp::{Action, Blocks, Config, Counters, Input, Name, Server, Terms, TftpEvent, TransferId};
use netboot::time::{Mono, Now, Wall};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::library::{Answer, Library, Source};
use super::path;
use super::segments::Segments;
use super::sockets::{Sockets, WatchedSockets};

/// Answers of the library that wait for the loop; more than that make their tasks wait.
const INBOX: usize = 1024;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The sockets cannot be used by the runtime.
    #[error("watch the TFTP sockets")]
    Sockets(#[source] io::Error),
    /// There is no ephemeral socket, or more than 255.
    #[error("use between 1 and 255 ephemeral TFTP sockets")]
    Slots,
}

/// A running server; it stops by its cancellation token, and when this is dropped.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    dropped: watch::Receiver<Dropped>,
    task: AbortOnDropHandle<()>,
}

/// What was dropped since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// By the engine, on purpose.
    pub packets: Counters,
    /// Events for which the receiver had no room.
    pub events: u64,
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
        *self.dropped.borrow()
    }

    /// Waits until the server has stopped.
    ///
    /// # Errors
    /// If its task panicked.
    pub async fn stopped(&mut self) -> Result<(), tokio::task::JoinError> {
        (&mut self.task).await
    }
}

/// Serves `library` on `sockets` until `shutdown`. Events go to `events`; those for which it has no room are
/// counted and lost, for the data path waits for nobody. `config.slots` follows from the sockets.
///
/// # Errors
/// [`ServeError`] if the sockets cannot be used.
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
    let sockets = sockets.watch().map_err(ServeError::Sockets)?;
    let address = sockets.address().map_err(ServeError::Sockets)?;
    let (notices, inbox) = mpsc::channel(INBOX);
    let (dropped_out, dropped) = watch::channel(Dropped::default());
    let driver = Driver {
        engine: Server::new(Config { slots, ..config }),
        started: Instant::now(),
        sockets,
        library,
        held: HashMap::new(),
        notices,
        segments: Segments::default(),
        events,
        dropped: dropped_out,
        lost_events: 0,
    };
    let task: JoinHandle<()> = tokio::spawn(driver.run(inbox, shutdown));
    Ok(Serving { address, dropped, task: AbortOnDropHandle::new(task) })
}

/// What the tasks beside the loop tell it.
#[derive(Debug)]
enum Notice {
    Answered { transfer: TransferId, answer: Answer, path_mtu: Option<u16> },
    Arrived { transfer: TransferId, available: u64 },
    Broken { transfer: TransferId },
}

/// A transfer's file, and the task that opens it and follows its arrival.
#[derive(Debug)]
struct Held {
    source: Option<Source>,
    _task: AbortOnDropHandle<()>,
}

struct Driver<L> {
    engine: Server,
    started: Instant,
    sockets: WatchedSockets,
    library: Arc<L>,
    held: HashMap<TransferId, Held>,
    notices: mpsc::Sender<Notice>,
    segments: Segments,
    events: mpsc::Sender<TftpEvent>,
    dropped: watch::Sender<Dropped>,
    lost_events: u64,
}

impl<L: Library> Driver<L> {
    async fn run(mut self, mut inbox: mpsc::Receiver<Notice>, shutdown: CancellationToken) {
        let sleep = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(sleep);
        loop {
            let wake = self.wake_at();
            if let Some(wake) = wake.filter(|wake| sleep.deadline() != *wake) {
                sleep.as_mut().reset(wake);
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.sockets.readable() => self.receive(),
                Some(notice) = inbox.recv() => self.take(notice),
                () = &mut sleep, if wake.is_some() => {}
            }
            let now = self.now();
            if self.engine.poll_timeout().is_some_and(|at| at <= now.mono) {
                self.engine.handle_timeout(now);
            }
            self.perform().await;
            self.publish_dropped();
        }
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.started.elapsed()), wall: Wall::from(SystemTime::now()) }
    }

    /// None while the engine waits for nothing but packets.
    fn wake_at(&self) -> Option<tokio::time::Instant> {
        let at = self.engine.poll_timeout()?;
        self.started.checked_add(at.0).map(tokio::time::Instant::from)
    }

    fn receive(&mut self) {
        let now = self.now();
        let engine = &mut self.engine;
        self.sockets.receive(|local, peer, bytes| engine.handle(now, Input::Datagram { local, peer, bytes }));
    }

    fn take(&mut self, notice: Notice) {
        let now = self.now();
        match notice {
            Notice::Answered { transfer, answer: Answer { outcome, single_port }, path_mtu } => {
                let terms = Terms { single_port, path_mtu };
                match outcome {
                    Ok(source) => self.opened(now, transfer, source, terms),
                    Err(refusal) => self.engine.handle(now, Input::Refused { transfer, refusal, terms }),
                }
            }
            Notice::Arrived { transfer, available } => {
                self.engine.handle(now, Input::Available { transfer, available });
            }
            Notice::Broken { transfer } => {
                let why = "the rest of it will not arrive".to_owned();
                self.engine.handle(now, Input::SourceFailed { transfer, why });
            }
        }
    }

    fn opened(&mut self, now: Now, transfer: TransferId, source: Source, terms: Terms) {
        // The transfer may have ended while its file was opened.
        let Some(held) = self.held.get_mut(&transfer) else { return };
        let (size, available) = (source.size(), source.available());
        held.source = Some(source);
        self.engine.handle(now, Input::Opened { transfer, size, available, terms });
    }

    async fn perform(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Open { transfer, peer, name } => self.open(transfer, peer, name),
                Action::Send { local, peer, bytes } => self.sockets.send(local, peer, &bytes).await,
                Action::SendBlocks(blocks) => self.send_blocks(&blocks).await,
                Action::Close { transfer } => {
                    self.held.remove(&transfer);
                }
                Action::Report(event) => self.lost_events += u64::from(self.events.try_send(event).is_err()),
            }
        }
    }

    fn open(&mut self, transfer: TransferId, peer: SocketAddr, name: Name) {
        let (library, notices) = (Arc::clone(&self.library), self.notices.clone());
        let task = tokio::spawn(async move {
            let answer = library.open(peer, &name).await;
            follow(transfer, answer, path::mtu(peer), &notices).await;
        });
        self.held.insert(transfer, Held { source: None, _task: AbortOnDropHandle::new(task) });
    }

    async fn send_blocks(&mut self, blocks: &Blocks) {
        let source = self.held.get(&blocks.transfer).and_then(|held| held.source.as_ref());
        let Some(source) = source else { return };
        if let Err(error) = self.segments.fill(source, blocks) {
            let failed = Input::SourceFailed { transfer: blocks.transfer, why: error.to_string() };
            return self.engine.handle(self.now(), failed);
        }
        for packet in self.segments.packets() {
            self.sockets.send(blocks.local, blocks.peer, packet).await;
        }
    }

    fn publish_dropped(&self) {
        let latest = Dropped { packets: *self.engine.counters(), events: self.lost_events };
        self.dropped.send_if_modified(|dropped| std::mem::replace(dropped, latest) != latest);
    }
}

/// Passes the library's answer on, then the news of the file's arrival. The loop ends this task with the transfer;
/// when the loop itself is gone there is nobody to tell.
async fn follow(transfer: TransferId, answer: Answer, path_mtu: Option<u16>, notices: &mpsc::Sender<Notice>) {
    let source = answer.outcome.as_ref().ok();
    let arrival = source.and_then(|source| Some((source.arrival()?, source.size())));
    let mut told = notices.send(Notice::Answered { transfer, answer, path_mtu }).await;
    let Some((mut arrival, size)) = arrival else { return };
    while told.is_ok() {
        let available = *arrival.borrow_and_update();
        told = notices.send(Notice::Arrived { transfer, available }).await;
        if available >= size {
            return;
        }
        if arrival.changed().await.is_err() {
            told = notices.send(Notice::Broken { transfer }).await;
            break;
        }
    }
    if told.is_err() {
        tracing::trace!("the TFTP server has stopped");
    }
}

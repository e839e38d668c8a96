//! The agent's core: the site engine and its ledger, in a thread of their own.
//!
//! It reads the DHCP ports itself; everybody else sends it inputs and awaits answers. It takes what has queued up, hands it to
//! the engine, has all records put on disk with one commit, and only then lets the datagrams and answers go that rest on them.
//! While the disk has no room at all it takes nothing in: known hosts are told what rests on the plan alone, which is their
//! fixed address and the local disk, other machines get no answer and ask again, and the agent stays up.

mod bundle;
mod overhear;
mod standing;
mod tail;
mod thread;
mod writer;

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use netboot::{
    arp::Claim,
    dhcp::ServerMessage,
    site::{
        self, Arrival, Census, FailedBoot, FileAnswer, FileRequest, FileTold, Input, KnownBoot, ReportAnswer,
        ReportRequest,
    },
    syslog::Line,
};
use proto::{AttemptId, Incarnation, OrderId, event::NumberedEvent};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    Tap,
    counts::Counts,
    dhcp,
    disk::{DiskError, log::OpenError},
};

pub use overhear::overhear;
pub use standing::{Epoch, Standing};
pub use tail::Tail;

/// Inputs that may wait; beyond it what is only told is dropped, and others wait.
const QUEUE: usize = 4_096;

/// What the core is started with.
#[derive(Debug)]
pub struct Options {
    /// The ledger's folder.
    pub ledger: PathBuf,
    /// The engine's.
    pub site: site::Config,
    /// Below this many free bytes the disk is low.
    pub low_disk_bytes: u64,
    /// The interfaces, by their numbers.
    pub interfaces: Vec<Interface>,
    /// Told of orders at their end, whose secrets are to be destroyed.
    pub ended_orders: mpsc::Sender<OrderId>,
    /// Takes what passes by the DHCP ports.
    pub tap: Tap,
    /// Told of boots that have failed, whose packets are to be kept.
    pub failed_boots: mpsc::Sender<FailedBoot>,
    /// How the ledger is kept short.
    pub snapshots: Snapshots,
}

/// When a snapshot of the engine's state takes the place of the ledger's records, and how it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshots {
    /// After so many bytes of records, or as many as the last snapshot has, if that is more.
    pub after_bytes: u64,
    /// As many leases are copied in one turn: some tenths of a millisecond, in which no machine is answered.
    pub piece: usize,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { after_bytes: 16 << 20, piece: 1_024 }
    }
}

/// An interface whose machines are answered.
#[derive(Debug)]
pub struct Interface {
    /// What its messages come in with.
    pub arrival: Arrival,
    /// Where requests come in and replies leave.
    pub ports: dhcp::Ports,
}

/// Why the core did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The ledger.
    #[error("failed to open the ledger")]
    Ledger(#[from] OpenError),
    /// Its disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The thread, its runtime, or the thread beside it.
    #[error("failed to start the core's thread")]
    Thread(#[source] std::io::Error),
    /// The DHCP ports.
    #[error(transparent)]
    Dhcp(#[from] dhcp::OpenError),
    /// No randomness: tokens could be guessed.
    #[error("the system gives no randomness")]
    Randomness,
}

/// What anybody may know of the core's state, as of its last commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// The number of the last event on disk.
    pub last_event: u64,
    /// Events on disk that wait for the controller.
    pub waiting: u64,
    /// Leases, as of the last second or so.
    pub leases: u32,
    /// No pool grants and no new orders.
    pub disk_low: bool,
    /// May images be fetched?
    pub fills_permitted: bool,
}

enum Command {
    Input(Input),
    File(FileRequest, oneshot::Sender<FileReply>),
    Report(ReportRequest, oneshot::Sender<ReportReply>),
    Events { after: u64, limit: usize, reply: oneshot::Sender<Vec<NumberedEvent>> },
    Census(oneshot::Sender<Census>),
    Boot(AttemptId, oneshot::Sender<Option<KnownBoot>>),
    Serve,
    Stop,
}

/// A handle to the core; cheap to clone.
#[derive(Debug, Clone)]
pub struct Core {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<View>,
    incarnation: Incarnation,
    asks: Arc<AtomicU64>,
    epoch: Epoch,
    counts: Arc<Counts>,
}

/// The core's thread has ended; so must the agent.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the agent's core has stopped; the log says why")]
pub struct Stopped;

/// What the engine says to a [`FileRequest`].
#[derive(Debug)]
pub struct FileReply {
    /// The file, or that there is none.
    pub answer: FileAnswer,
    /// The boot that it is for or refused to, for log lines; None: none, or nobody knows.
    pub boot: Option<AttemptId>,
    /// By TFTP it goes out from port 69, found or not (QUIRKS 43).
    pub tftp_single_port: bool,
    /// None: the next request for it is to be asked here again.
    pub standing: Option<Standing>,
}

/// What the engine says to a [`ReportRequest`].
#[derive(Debug)]
pub struct ReportReply {
    /// What became of it.
    pub answer: ReportAnswer,
    /// The boot that is reported of, for log lines; None: nobody knows.
    pub boot: Option<AttemptId>,
}

impl From<ReportAnswer> for ReportReply {
    /// Of a boot that nobody knows.
    fn from(answer: ReportAnswer) -> Self {
        Self { answer, boot: None }
    }
}

impl Core {
    /// Opens the ledger, replays it and starts the thread. The receiver yields once the thread has ended.
    ///
    /// # Errors
    /// Names what cannot be opened and what to do.
    pub fn start(options: Options) -> Result<(Self, oneshot::Receiver<()>), StartError> {
        let (commands, queue) = mpsc::channel(QUEUE);
        let (view_out, view) = watch::channel(View { fills_permitted: true, ..View::default() });
        let (ended_out, ended) = oneshot::channel();
        let epoch = Epoch::default();
        let counts = Arc::new(Counts::default());
        let shared = thread::Shared { view: view_out, epoch: epoch.clone(), counts: counts.clone() };
        let incarnation = thread::start(options, queue, shared, ended_out)?;
        Ok((Self { commands, view, incarnation, asks: Arc::new(AtomicU64::new(1)), epoch, counts }, ended))
    }

    /// DHCP requests are answered from now on; until then they wait in their sockets.
    ///
    /// # Errors
    /// When the core has stopped.
    pub async fn serve(&self) -> Result<(), Stopped> {
        self.commands.send(Command::Serve).await.map_err(|_| Stopped)
    }

    /// What was heard on the wire, as far as it says anything; dropped if the core is busy: who asks us comes first.
    pub fn overheard(&self, overheard: &dhcp::Overheard) {
        let input = match overheard {
            dhcp::Overheard::ArpReply(frame) => Claim::parse(frame).map(Input::Claim),
            dhcp::Overheard::ServerMessage(frame) => {
                ServerMessage::parse(frame).map(|message| Input::Overheard(Box::new(message)))
            }
        };
        if let Some(input) = input.filter(|_| self.commands.capacity() > QUEUE / 2) {
            drop(self.commands.try_send(Command::Input(input)));
        }
    }

    /// Anything that has no answer.
    ///
    /// # Errors
    /// When the core has stopped.
    pub async fn input(&self, input: Input) -> Result<(), Stopped> {
        let changes = input.may_change_files();
        self.commands.send(Command::Input(input)).await.map_err(|_| Stopped)?;
        if changes {
            self.epoch.raise();
        }
        Ok(())
    }

    /// What a machine asks for. `ask` is filled in here.
    ///
    /// # Errors
    /// When the core has stopped.
    pub async fn file(&self, request: FileRequest) -> Result<FileReply, Stopped> {
        let standing = self.epoch.begin(Instant::now());
        let (reply, answer) = oneshot::channel();
        let request = FileRequest { ask: self.next_ask(), ..request };
        self.commands.send(Command::File(request, reply)).await.map_err(|_| Stopped)?;
        let reply = answer.await.map_err(|_| Stopped)?;
        let stands = matches!(&reply.answer, FileAnswer::Send { served, .. } if served.stands());
        Ok(FileReply { standing: stands.then_some(standing), ..reply })
    }

    /// What an installer says. `ask` is filled in here.
    ///
    /// # Errors
    /// When the core has stopped.
    pub async fn report(&self, request: ReportRequest) -> Result<ReportReply, Stopped> {
        let (reply, answer) = oneshot::channel();
        let request = ReportRequest { ask: self.next_ask(), ..request };
        self.commands.send(Command::Report(request, reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// How the sending of a file went; dropped if the core is overwhelmed.
    pub fn told(&self, told: FileTold) {
        drop(self.commands.try_send(Command::Input(Input::Told(told))));
    }

    /// What a machine at this address says of itself; dropped if the core is busy.
    pub fn said(&self, from: Ipv4Addr, line: Line) {
        if self.commands.capacity() > QUEUE / 2 {
            drop(self.commands.try_send(Command::Input(Input::Syslog(from, line))));
        }
    }

    /// Waiting events after `after` that are on disk, at most `limit`. While the disk has no room at all it waits.
    ///
    /// # Errors
    /// When the core has stopped.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Vec<NumberedEvent>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Events { after, limit, reply }).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// How the site's addresses stand now.
    ///
    /// # Errors
    /// When the core has stopped.
    pub async fn census(&self) -> Result<Census, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Census(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// What has passed through it, and what its file servers told it of.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The boot of this number, as long as it is its machine's latest.
    ///
    /// # Errors
    /// When the core has stopped.
    pub async fn boot(&self, attempt: AttemptId) -> Result<Option<KnownBoot>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Boot(attempt, reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// The state as of the last commit.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Asks the core to put on disk what it was told so far, close the ledger and end.
    pub async fn stop(&self) {
        // One that has stopped needs no asking.
        self.commands.send(Command::Stop).await.ok();
    }

    /// Waits until the core has stopped.
    pub async fn stopped(&self) {
        self.commands.closed().await;
    }

    /// The journal's incarnation.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn next_ask(&self) -> u64 {
        self.asks.fetch_add(1, Ordering::Relaxed)
    }
}

//! What the tasks beside a shard tell it, and the bell that wakes it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netboot::tftp::{Name, TransferId};
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc;

use super::library::{Answer, Library};
use super::path;

/// Notices that wait for the shard; more than that make their tasks wait.
const INBOX: usize = 1024;

/// News for a shard.
#[derive(Debug)]
pub(super) enum Notice {
    /// What the library said of a file.
    Answered { transfer: TransferId, answer: Answer, path_mtu: Option<u16> },
    /// So many bytes of it are there.
    Arrived { transfer: TransferId, available: u64 },
    /// No more of it will come.
    Broken { transfer: TransferId },
}

/// Wakes a thread that waits for sockets.
#[derive(Debug, Clone)]
pub(super) struct Waker(Arc<OwnedFd>);

impl Waker {
    pub(super) fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(bell)))
    }

    fn wake(&self) {
        // It is refused only when it has been rung 2^64 times.
        rustix::io::write(&self.0, &1_u64.to_ne_bytes()).ok();
    }

    /// The next wait is for the next ring.
    pub(super) fn clear(&self) {
        rustix::io::read(&self.0, &mut [0; 8]).ok();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The way to one shard; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Notices {
    out: mpsc::Sender<Notice>,
    stop: Arc<AtomicBool>,
    waker: Waker,
}

/// The shard's end.
#[derive(Debug)]
pub(super) struct Inbox {
    notices: mpsc::Receiver<Notice>,
    stop: Arc<AtomicBool>,
}

impl Notices {
    pub(super) fn open(waker: Waker) -> (Self, Inbox) {
        let ((out, notices), stop) = (mpsc::channel(INBOX), Arc::new(AtomicBool::new(false)));
        (Self { out, stop: Arc::clone(&stop), waker }, Inbox { notices, stop })
    }

    /// The shard is to end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// False: the shard has ended.
    async fn send(&self, notice: Notice) -> bool {
        let taken = self.out.send(notice).await.is_ok();
        self.waker.wake();
        taken
    }
}

impl Inbox {
    pub(super) fn is_to_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(super) fn next(&mut self) -> Option<Notice> {
        self.notices.try_recv().ok()
    }
}

/// Asks the library for a file and passes its answer on, then the news of the file's arrival. The shard ends this task
/// with the transfer; when the shard itself is gone there is nobody to tell.
pub(super) async fn open<L: Library>(
    library: Arc<L>,
    transfer: TransferId,
    peer: SocketAddr,
    name: Name,
    notices: Notices,
) {
    let answer = library.open(peer, &name).await;
    let source = answer.outcome.as_ref().ok();
    let arrival = source.and_then(|source| Some((source.arrival()?, source.size())));
    let told = notices.send(Notice::Answered { transfer, answer, path_mtu: path::mtu(peer) }).await;
    let Some((mut arrival, size)) = arrival.filter(|_| told) else { return };
    loop {
        let available = *arrival.borrow_and_update();
        if !notices.send(Notice::Arrived { transfer, available }).await || available >= size {
            return;
        }
        if arrival.changed().await.is_err() {
            notices.send(Notice::Broken { transfer }).await;
            return;
        }
    }
}

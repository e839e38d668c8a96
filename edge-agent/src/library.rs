//! What the TFTP server of one interface may serve: the desk's answers, and what becomes of them.
//!
//! The TFTP server reports by peer and name; the desk wants to hear with its ticket. The shelf keeps the tickets
//! meanwhile, so many at most. Assumes that one receiver is fed with the events of the server that asks here.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ipnet::Ipv4Net;
use netboot::{
    site::{self, Arrival, Broken, FileEnd, FileRequest},
    tftp::{ErrorCode, EventKind, Name, Refusal, TftpEvent, Why},
};
use proto::{
    AttemptId,
    event::{Breakage, Transport},
    plan::BlobRef,
};
use tokio::sync::{mpsc, watch};

use crate::{
    desk::{Answered, Desk, Found, Sent},
    disk::cache::FillProgress,
    images::{Images, Opened},
    tftp::{Answer, Library, Source},
};

/// How long a request waits for a blob that is not in the cache: less than the engine gives us to open a file.
const BLOB_PATIENCE: Duration = Duration::from_secs(8);
/// Tickets kept at one time: more than there are transfers, since some end before their server hears of the file.
const TICKETS: usize = 8_192;
/// Refusals that the server has yet to tell of; of what is forgotten, log lines name no boot.
const REFUSED: usize = 1_024;

/// The files of one interface.
#[derive(Debug)]
pub struct Shelf<D: Desk> {
    desk: Arc<D>,
    images: Images,
    arrival: Arrival,
    subnet: Ipv4Net,
    lent: Mutex<HashMap<Loan, Lent<D::Ticket>>>,
    /// Whose boots were refused what the server has not told of yet.
    refused: Mutex<HashMap<Loan, AttemptId>>,
}

/// Who has what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Loan {
    peer: SocketAddr,
    name: String,
}

/// A file that was given to a peer.
#[derive(Debug)]
struct Lent<T> {
    ticket: T,
    /// The boot that it is for.
    boot: Option<AttemptId>,
    /// When it was asked for, the last time.
    since: Instant,
    /// Its size, and in blocks of how many bytes it is sent, once the server has said so.
    terms: Option<(u64, u16)>,
    /// Transfers of it that may still be told of: a peer may ask anew before the former one has ended.
    transfers: u32,
}

impl<D: Desk> Shelf<D> {
    /// The files that `desk` gives to machines which come in at `arrival`, an interface of `subnet`.
    #[must_use]
    pub fn new(desk: Arc<D>, images: Images, arrival: Arrival, subnet: Ipv4Net) -> Self {
        Self { desk, images, arrival, subnet, lent: Mutex::default(), refused: Mutex::default() }
    }

    /// Tells the desk how transfers went, until the server that sends `events` has stopped.
    pub async fn tell(&self, mut events: mpsc::Receiver<TftpEvent>) {
        while let Some(event) = events.recv().await {
            self.heard(event);
        }
    }

    fn heard(&self, event: TftpEvent) {
        let TftpEvent { peer, name, kind } = event;
        let loan = Loan { peer, name };
        let boot = self.boot(&loan).map(tracing::field::display);
        tracing::debug!(boot, %peer, name = site::shown(&loan.name), ?kind, "TFTP");
        if let EventKind::Began { size, block_size, .. } = kind {
            return self.note_terms(&loan, (size, block_size));
        }
        let Some(Lent { ticket, since, terms, .. }) = self.take_back(loan) else { return };
        let (size, block_size) = terms.unwrap_or_default();
        let Some(ended) = Ended::by(kind, size, block_size) else { return };
        let sent = Sent {
            transport: Transport::Tftp,
            bytes: ended.bytes,
            took: ended.took.unwrap_or_else(|| since.elapsed()),
            retransmissions: u32::try_from(ended.retransmissions).unwrap_or(u32::MAX),
            repeats: 0,
            end: ended.end,
        };
        self.desk.told(ticket, sent);
    }

    fn note_terms(&self, loan: &Loan, terms: (u64, u16)) {
        if let Some(lent) = self.lent().get_mut(loan) {
            lent.terms = Some(terms);
        }
    }

    async fn find(&self, peer: SocketAddr, from: Ipv4Addr, name: &Name) -> Answer {
        let since = Instant::now();
        let (transport, arrival) = (Transport::Tftp, self.arrival.clone());
        let request =
            FileRequest { ask: 0, transport, arrival, from, name: name.as_str().to_owned(), probe: false };
        let Ok(Answered { found, boot, tftp_single_port: single_port }) = self.desk.file(request).await
        else {
            return Err(refusal(ErrorCode::NOT_DEFINED, "not available now")).into();
        };
        let loan = Loan { peer, name: name.as_str().to_owned() };
        let opened = match found {
            None => Err(self.no_such_file(from)),
            Some(found) => self.open_found(found, since).await,
        };
        let outcome = match opened {
            Ok((source, ticket)) => {
                self.lend(loan, Lent { ticket, boot, since, terms: None, transfers: 1 });
                Ok(source)
            }
            Err(refusal) => {
                self.note_refused(loan, boot, &refusal);
                Err(refusal)
            }
        };
        Answer { outcome, single_port }
    }

    async fn open_found(
        &self,
        found: Found<D::Ticket>,
        since: Instant,
    ) -> Result<(Source, D::Ticket), Refusal> {
        let Found { source, ticket, standing: _ } = found;
        let source = match source {
            site::Source::Bytes(bytes) => Source::Bytes(bytes),
            site::Source::Blob(blob) => self.open_blob(&blob, &ticket, since).await?,
        };
        Ok((source, ticket))
    }

    async fn open_blob(&self, blob: &BlobRef, ticket: &D::Ticket, since: Instant) -> Result<Source, Refusal> {
        match self.images.open(blob, BLOB_PATIENCE).await {
            Ok(opened) => Ok(arriving(opened)),
            Err(unavailable) => {
                let (why, breakage) = (unavailable.to_string(), Breakage::NotHere);
                let (transport, took) = (Transport::Tftp, since.elapsed());
                let end = FileEnd::Broken(Broken { why, breakage, block_size: 0 });
                let sent = Sent { transport, bytes: 0, took, retransmissions: 0, repeats: 0, end };
                self.desk.told(ticket.clone(), sent);
                Err(refusal(ErrorCode::NOT_DEFINED, "not available now"))
            }
        }
    }

    /// Loaders probe for names that need not exist, and take only error 1 for absence (QUIRKS 44). Who is not on our
    /// link and has nothing here hears nothing (S4).
    fn no_such_file(&self, from: Ipv4Addr) -> Refusal {
        match self.subnet.contains(&from) {
            true => refusal(ErrorCode::FILE_NOT_FOUND, "file not found"),
            false => Refusal::Silence,
        }
    }

    /// Beside former transfers of it to the same peer.
    fn lend(&self, loan: Loan, new: Lent<D::Ticket>) {
        let mut lent = self.lent();
        if lent.len() >= TICKETS && !lent.contains_key(&loan) {
            forget_oldest(&mut lent);
        }
        let former = lent.get(&loan).map_or(0, |former| former.transfers);
        lent.insert(loan, Lent { transfers: former.saturating_add(new.transfers), ..new });
    }

    /// The server tells of the refusal soon, by the same name.
    fn note_refused(&self, loan: Loan, boot: Option<AttemptId>, refusal: &Refusal) {
        let (Some(boot), Refusal::Answer { .. }) = (boot, refusal) else { return };
        let mut refused = self.refused();
        if refused.len() >= REFUSED {
            refused.clear();
        }
        refused.insert(loan, boot);
    }

    /// The boot that has it, or was refused it.
    fn boot(&self, loan: &Loan) -> Option<AttemptId> {
        self.lent().get(loan).map_or_else(|| self.refused().remove(loan), |lent| lent.boot)
    }

    fn take_back(&self, loan: Loan) -> Option<Lent<D::Ticket>> {
        let mut lent = self.lent();
        let found = lent.remove(&loan)?;
        if let Some(transfers) = found.transfers.checked_sub(1).filter(|left| *left > 0) {
            let Lent { ticket, boot, since, terms, .. } = &found;
            let left = Lent { ticket: ticket.clone(), boot: *boot, since: *since, terms: *terms, transfers };
            lent.insert(loan, left);
        }
        Some(found)
    }

    fn refused(&self) -> MutexGuard<'_, HashMap<Loan, AttemptId>> {
        // As below.
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lent(&self) -> MutexGuard<'_, HashMap<Loan, Lent<D::Ticket>>> {
        // No call panics while it holds the lock.
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Desk> Library for Shelf<D> {
    async fn open(&self, peer: SocketAddr, name: &Name) -> Answer {
        match peer.ip().to_canonical() {
            IpAddr::V4(from) => self.find(peer, from, name).await,
            // Leases are IPv4's.
            IpAddr::V6(_) => Err(Refusal::Silence).into(),
        }
    }
}

fn forget_oldest<T>(lent: &mut HashMap<Loan, Lent<T>>) {
    let oldest = lent.iter().min_by_key(|(_, lent)| lent.since).map(|(loan, _)| loan.clone());
    if let Some(oldest) = oldest {
        lent.remove(&oldest);
    }
}

fn refusal(code: ErrorCode, message: &str) -> Refusal {
    Refusal::Answer { code, message: message.to_owned() }
}

/// The end of a transfer.
struct Ended {
    end: FileEnd,
    bytes: u64,
    /// None: the event does not say.
    took: Option<Duration>,
    retransmissions: u64,
}

impl Ended {
    /// Of a file of so many bytes, sent in blocks of that size; None if the transfer goes on.
    fn by(kind: EventKind, size: u64, block_size: u16) -> Option<Self> {
        let ended = |end, bytes| Self { end, bytes, took: None, retransmissions: 0 };
        let broken = |why: String, breakage, bytes| {
            ended(FileEnd::Broken(Broken { why, breakage, block_size }), bytes)
        };
        Some(match kind {
            EventKind::Began { .. } => return None,
            EventKind::Probed => ended(FileEnd::Probed, size),
            EventKind::Aborted { bytes } => broken("the machine stopped it".into(), Breakage::Stopped, bytes),
            EventKind::Completed { bytes, retransmissions, duration, .. } => {
                Self { took: Some(duration), retransmissions, ..ended(FileEnd::Whole, bytes) }
            }
            // Only after the file was opened: names that were not found have no ticket.
            EventKind::Refused { message, .. } => broken(message, Breakage::NotHere, 0),
            EventKind::Failed { why, bytes, retransmissions } => {
                Self { retransmissions, ..broken(why.to_string(), breakage(&why), bytes) }
            }
        })
    }
}

fn breakage(why: &Why) -> Breakage {
    match why {
        Why::Silent => Breakage::Silent,
        Why::NeverAcknowledged => Breakage::NeverAcknowledged,
        Why::PeerError { .. } => Breakage::MachineError,
        Why::OpenTimedOut | Why::SourceStalled | Why::SourceFailed(_) => Breakage::NotHere,
        Why::TooLong => Breakage::TooLong,
    }
}

fn arriving(opened: Opened) -> Source {
    let Opened { file, size, progress } = opened;
    Source::File { file, size, arrived: progress.map(follow) }
}

/// The news of a fill, as the TFTP server takes it: a sender that goes away early means that the rest will not come.
fn follow(progress: Arc<FillProgress>) -> watch::Receiver<u64> {
    let (readable, _) = progress.now();
    let (news, arrived) = watch::channel(readable);
    tokio::spawn(async move {
        let mut told = readable;
        while told < progress.size() {
            let (readable, _) = tokio::select! {
                () = news.closed() => return,
                seen = progress.beyond(told) => seen,
            };
            if readable <= told {
                return tracing::trace!("the fill has ended early");
            }
            told = readable;
            news.send_replace(told);
        }
    });
    arrived
}

#[cfg(test)]
mod tests;

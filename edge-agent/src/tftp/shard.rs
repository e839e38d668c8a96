//! The loop of one shard: receive, hand in, perform, send, sleep.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use netboot::tftp::{Action, Blocks, Config, Input, Local, Name, Server, Terms, TftpEvent, TransferId};
use netboot::time::{Mono, Now, Wall};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::ahead::Ahead;
use super::library::{Answer, Library, Source};
use super::notice::{self, Notice, Notices};
use super::outbox::{Means, Outbox};
use super::serving::{Dropped, Tally};
use super::sockets::WatchedSockets;
use crate::sys::datagrams;
use crate::tap::{Transfers, micros};

/// Longer than any packet that a client may send; what is longer is cut.
const LONGEST: usize = 2048;

/// After a receive that gave so many datagrams the socket is asked again before all others are: machines that answer a
/// batch come in batches.
const MANY: usize = 8;

/// Receives from one socket before the others' turn.
const TURNS: usize = 8;

/// What a shard is made of.
pub(super) struct Setup<L> {
    pub(super) config: Config,
    pub(super) sockets: WatchedSockets,
    pub(super) means: Means,
    pub(super) library: Arc<L>,
    pub(super) runtime: Handle,
    pub(super) notices: Notices,
    pub(super) inbox: notice::Inbox,
    pub(super) events: mpsc::Sender<TftpEvent>,
    pub(super) tally: Arc<Tally>,
    pub(super) taped: Option<Transfers>,
}

/// A thread's share of the server.
pub(super) struct Shard<L> {
    engine: Server,
    started: Instant,
    sockets: WatchedSockets,
    received: datagrams::Inbox,
    outbox: Outbox,
    library: Arc<L>,
    runtime: Handle,
    /// By the transfers' places.
    held: Vec<Option<Held>>,
    notices: Notices,
    inbox: notice::Inbox,
    events: mpsc::Sender<TftpEvent>,
    lost_events: u64,
    tally: Arc<Tally>,
    published: Dropped,
    taped: Option<Transfers>,
}

/// A transfer's file, and the task that opens it and follows its arrival.
#[derive(Debug)]
struct Held {
    transfer: TransferId,
    source: Option<Source>,
    ahead: Ahead,
    /// So many bytes of it were sent once.
    sent: u64,
    _task: AbortOnDropHandle<()>,
}

impl<L: Library> Shard<L> {
    pub(super) fn new(setup: Setup<L>) -> Self {
        let Setup { config, sockets, means, library, runtime, notices, inbox, events, tally, taped } = setup;
        Self {
            engine: Server::new(config),
            started: Instant::now(),
            outbox: Outbox::new(means, &sockets),
            sockets,
            received: datagrams::Inbox::new(datagrams::BATCH, LONGEST),
            library,
            runtime,
            held: Vec::new(),
            notices,
            inbox,
            events,
            lost_events: 0,
            tally,
            published: Dropped::default(),
            taped,
        }
    }

    /// Serves until it is told to stop.
    pub(super) fn run(mut self) {
        let mut ready = Vec::new();
        while !self.inbox.is_to_stop() {
            if let Err(error) = self.sockets.wait(self.patience(), &mut ready) {
                tracing::error!(%error, "failed to wait for TFTP packets");
                return;
            }
            for local in &ready {
                self.receive(*local);
            }
            let now = self.now();
            while let Some(notice) = self.inbox.next() {
                self.take(now, notice);
            }
            if self.engine.poll_timeout().is_some_and(|at| at <= now.mono) {
                self.engine.handle_timeout(now);
            }
            self.perform(now);
            self.publish_dropped();
        }
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.started.elapsed()), wall: Wall::from(SystemTime::now()) }
    }

    /// None while the engine waits for nothing but packets.
    fn patience(&self) -> Option<Duration> {
        let at = self.engine.poll_timeout()?;
        Some(at.0.saturating_sub(self.started.elapsed()))
    }

    /// Takes what waits at one socket, a batch at a time, and sends what is to be said to it.
    fn receive(&mut self, local: Local) {
        for _ in 0..TURNS {
            let Some(socket) = self.sockets.get(local) else { return };
            let count = match self.received.receive(socket) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => return tracing::trace!(%error, "failed to receive TFTP packets"),
            };
            let now = self.now();
            let at = self.taped.as_ref().map_or(0, |_| micros());
            for (peer, bytes) in self.received.datagrams() {
                if let Some(taped) = &mut self.taped {
                    taped.heard(at, local, peer, bytes);
                }
                self.engine.handle(now, Input::Datagram { local, peer, bytes });
            }
            self.perform(now);
            if count < MANY && !self.received.is_full() {
                return;
            }
        }
    }

    fn take(&mut self, now: Now, notice: Notice) {
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
        let Some(held) = self.held(transfer) else { return };
        let (size, available) = (source.size(), source.available());
        held.source = Some(source);
        self.engine.handle(now, Input::Opened { transfer, size, available, terms });
    }

    fn held(&mut self, transfer: TransferId) -> Option<&mut Held> {
        self.held.get_mut(transfer.place())?.as_mut().filter(|held| held.transfer == transfer)
    }

    fn perform(&mut self, now: Now) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Open { transfer, peer, name } => self.open(transfer, peer, name),
                Action::Send { local, peer, bytes } => self.send(local, peer, &bytes),
                Action::SendBlocks(blocks) => self.send_blocks(now, &blocks),
                Action::Close { transfer } => self.close(transfer),
                Action::Report(event) => self.report(event),
            }
            if self.outbox.is_full() {
                self.outbox.flush(&self.sockets);
            }
        }
        self.outbox.flush(&self.sockets);
    }

    fn send(&mut self, local: Local, peer: SocketAddr, bytes: &[u8]) {
        if let Some(taped) = &mut self.taped {
            taped.said(local, peer, bytes);
        }
        self.outbox.packet(local, peer, bytes);
    }

    fn report(&mut self, event: TftpEvent) {
        if let Some(taped) = self.taped.as_mut().filter(|_| event.kind.is_end()) {
            taped.ended(event.peer);
        }
        self.lost_events += u64::from(self.events.try_send(event).is_err());
    }

    fn open(&mut self, transfer: TransferId, peer: SocketAddr, name: Name) {
        let (library, notices) = (Arc::clone(&self.library), self.notices.clone());
        let task = self.runtime.spawn(notice::open(library, transfer, peer, name, notices));
        let (source, ahead, task) = (None, Ahead::default(), AbortOnDropHandle::new(task));
        let held = Held { transfer, source, ahead, sent: 0, _task: task };
        let place = transfer.place();
        if place >= self.held.len() {
            self.held.resize_with(place + 1, || None);
        }
        self.held[place] = Some(held);
    }

    fn close(&mut self, transfer: TransferId) {
        let held = self
            .held
            .get_mut(transfer.place())
            .and_then(|place| place.take_if(|held| held.transfer == transfer));
        if let Some(held) = held {
            self.outbox.let_go(&held.ahead);
        }
    }

    fn send_blocks(&mut self, now: Now, blocks: &Blocks) {
        let Self { held, outbox, sockets, taped, .. } = self;
        let held = held.get_mut(blocks.transfer.place()).and_then(Option::as_mut);
        let Some(Held { source: Some(source), ahead, sent, .. }) = held else { return };
        if let Some(taped) = taped {
            taped.blocks(blocks, source.size(), *sent);
            *sent = (*sent).max(blocks.range.offset + blocks.range.len);
        }
        let put = outbox.blocks(blocks, source, ahead, sockets);
        if let Err(error) = put {
            let failed = Input::SourceFailed { transfer: blocks.transfer, why: error.to_string() };
            self.engine.handle(now, failed);
        }
    }

    fn publish_dropped(&mut self) {
        let latest = Dropped { packets: *self.engine.counters(), events: self.lost_events };
        if latest != self.published {
            self.published = latest;
            self.tally.publish(latest);
        }
    }
}

//! The core's thread: batches of inputs, decided one after the other, and handed to the writer as one bundle.

use std::{
    collections::{BTreeSet, HashMap},
    future::poll_fn,
    mem,
    net::Ipv4Addr,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use netboot::{
    dhcp::{Destination, Place},
    site::{Action, Arrival, Disk, FailedBoot, Input, Site},
    time::{Mono, Now},
};
use proto::{
    Incarnation, OrderId, Wall,
    event::{EventKind, NumberedEvent},
    ledger::Record,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Command, Epoch, FileReply, Interface, Options, ReportReply, Snapshots, StartError, View,
    bundle::{Bundle, Held, Part, Records},
    writer::{State, Writer},
};
use crate::{
    counts::Counts,
    dhcp,
    disk::{
        log::{CommitError, Ledger, Options as LedgerOptions},
        space::{Pressure, Space},
    },
};

/// Commands that share one turn, at most.
const BATCH: usize = 512;
/// Inputs that are put on disk by this very thread, however slow that is: for so few its time is all that they wait for.
const FEW: usize = 4;
/// How often the disk's room is looked at.
const LOOK_AT_DISK: Duration = Duration::from_secs(1);
/// How soon a full disk is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The least time from one piece to the next, so that a snapshot takes a small part of the engine's time.
const PIECES: Duration = Duration::from_millis(2);
/// The tag of all records: their own encoding says what they are.
pub(super) const RECORD: u8 = 1;

/// What others see of the thread's work.
pub(super) struct Shared {
    pub(super) view: watch::Sender<View>,
    pub(super) epoch: Epoch,
    pub(super) counts: Arc<Counts>,
}

/// Opens everything in the caller's thread, so that errors reach it, and runs in one of its own.
pub(super) fn start(
    options: Options,
    queue: mpsc::Receiver<Command>,
    shared: Shared,
    ended: oneshot::Sender<()>,
) -> Result<Incarnation, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(StartError::Thread)?;
    let opened = {
        let _inside = runtime.enter();
        Worker::open(options, shared)
    };
    let opened = opened.and_then(|mut worker| {
        worker.writer.start_thread().map_err(StartError::Thread)?;
        Ok(worker)
    });
    let worker = match opened {
        Ok(worker) => worker,
        Err(error) => {
            // The caller may be a task of another runtime, where nothing waits for this one's end.
            runtime.shutdown_background();
            return Err(error);
        }
    };
    let incarnation = worker.site.incarnation();
    let run = move || {
        runtime.block_on(worker.run(queue));
        ended.send(()).ok();
    };
    std::thread::Builder::new().name("core".into()).spawn(run).map_err(StartError::Thread)?;
    Ok(incarnation)
}

struct Worker {
    site: Site,
    writer: Writer,
    interfaces: Vec<(Arrival, Arc<dhcp::Sockets>)>,
    /// Are requests taken from the sockets?
    serving: bool,
    requests: dhcp::Requests,
    ended_orders: mpsc::Sender<OrderId>,
    failed_boots: mpsc::Sender<FailedBoot>,
    started: Instant,
    view: watch::Sender<View>,
    epoch: Epoch,
    counts: Arc<Counts>,
    /// [`Site::changes`] at which the epoch was raised last.
    changes: u64,
    low_disk_bytes: u64,
    ledger_folder: std::path::PathBuf,
    files: HashMap<u64, oneshot::Sender<FileReply>>,
    reports: HashMap<u64, oneshot::Sender<ReportReply>>,
    disk: Disk,
    pressure: Pressure,
    next_disk: Instant,
    /// The disk has no room at all: when it is tried again. Until then nothing new is taken in.
    full: Option<Instant>,
    snapshots: Snapshots,
    /// The snapshot that is being taken has come so far, and when it goes on.
    pieces: Option<(Option<Place>, Instant)>,
    /// What came meanwhile and nobody will say again: the latest of each kind.
    parked: Vec<Input>,
    readers: Vec<Reader>,
    /// Orders at their end of which nobody has been told yet.
    ended: BTreeSet<OrderId>,
    stopping: bool,
}

/// Somebody who waits for events.
struct Reader {
    after: u64,
    limit: usize,
    reply: oneshot::Sender<Vec<NumberedEvent>>,
}

impl Worker {
    fn open(options: Options, Shared { view, epoch, counts }: Shared) -> Result<Self, StartError> {
        let mut random = [0; 48];
        SystemRandom::new().fill(&mut random).map_err(|_| StartError::Randomness)?;
        let (incarnation, seed) = random.split_at(16);
        let incarnation = Incarnation(incarnation.try_into().expect("split at 16"));
        let seed: [u8; 32] = seed.try_into().expect("48 less 16");

        let mut records = Vec::new();
        let mut visit = |record: crate::disk::log::Record<'_>| {
            records.push(Record::decode(record.body)?);
            Ok(())
        };
        let mut kept = LedgerOptions::new(incarnation);
        kept.snapshot_after_bytes = options.snapshots.after_bytes;
        let (ledger, opened) = Ledger::open(&options.ledger, kept, &mut visit)?;
        let mut site = Site::new(options.site, ledger.incarnation(), seed);
        records.iter().for_each(|record| site.restore(record));
        tracing::info!(records = opened.records, torn_bytes = opened.torn_bytes, "ledger replayed");

        let mut interfaces = Vec::new();
        for Interface { arrival, ports } in options.interfaces {
            let sockets = ports.watch(&options.tap, arrival.server)?;
            interfaces.push((arrival, Arc::new(sockets)));
        }
        let sockets = interfaces.iter().map(|(_, sockets)| sockets.clone()).collect();
        let started = Instant::now();
        let writer = Writer::new(ledger, sockets, site.journal().last());
        site.begin(Mono::default(), SystemTime::now().into());
        Ok(Self {
            site,
            writer,
            interfaces,
            serving: false,
            requests: dhcp::Requests::default(),
            ended_orders: options.ended_orders,
            failed_boots: options.failed_boots,
            started,
            view,
            epoch,
            counts,
            changes: 0,
            low_disk_bytes: options.low_disk_bytes,
            ledger_folder: options.ledger,
            files: HashMap::new(),
            reports: HashMap::new(),
            disk: Disk::Fine,
            pressure: Pressure::Normal,
            next_disk: started,
            full: None,
            snapshots: options.snapshots,
            pieces: None,
            parked: Vec::new(),
            readers: Vec::new(),
            ended: BTreeSet::new(),
            stopping: false,
        })
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.started.elapsed()), wall: Wall::from(SystemTime::now()) }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                taken = queue.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return self.stop();
                    }
                }
                () = poll_fn(|context| self.poll_readable(context)) => {}
                () = self.writer.news() => {}
                () = tokio::time::sleep_until(due.into()) => {}
            }
            let all = batch.len() < BATCH;
            if let Err(error) = self.turn(&mut batch) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "the ledger has stopped: the agent ends, and starts from what is on disk"
                );
                return;
            }
            if self.stopping {
                return self.stop();
            }
            if !all {
                // The runtime is to look at the sockets, too.
                tokio::task::yield_now().await;
            }
        }
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut ready = false;
        for (_, sockets) in self.interfaces.iter().filter(|_| self.serving) {
            ready |= sockets.poll_readable(context).is_ready();
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// When to wake up although nobody has said anything.
    fn due(&self) -> Instant {
        let engine = match self.full {
            Some(again) => again,
            None if self.parked.is_empty() => self.started + self.site.poll_timeout().0,
            None => self.started,
        };
        // A full disk takes none.
        let pieces = self.pieces.filter(|_| self.full.is_none());
        let piece = pieces.map_or(self.next_disk, |(_, due)| due);
        engine.min(self.next_disk).min(piece)
    }

    fn stop(self) {
        if let Err(error) = self.writer.close() {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to close the ledger");
        }
    }

    /// One batch: inputs, and what was decided handed to the writer.
    fn turn(&mut self, batch: &mut Vec<Command>) -> Result<(), CommitError> {
        let now = self.now();
        self.look_at_disk(now);
        self.look_at_writer()?;
        let mut inputs = batch.len();
        if self.full.is_none() {
            self.take_in(now, batch);
            inputs += self.hear(now);
            self.raise_epoch();
        } else {
            let replies = self.refuse(now, batch);
            self.writer.release(replies);
        }
        if self.full.is_none_or(|again| again <= Instant::now()) {
            self.full = self.full.map(|_| Instant::now() + TRY_AGAIN);
            self.hand_over(inputs <= FEW);
            self.look_at_writer()?;
        }
        if self.full.is_none() {
            self.tell_ended();
        }
        self.publish();
        self.answer_readers();
        Ok(())
    }

    /// How the disk is doing.
    fn look_at_writer(&mut self) -> Result<(), CommitError> {
        match self.writer.state() {
            State::Fine => self.full = None,
            // What waits for answers is given up: machines ask again.
            State::Full if self.full.is_none() => {
                self.full = Some(Instant::now() + TRY_AGAIN);
                self.files.clear();
                self.reports.clear();
            }
            State::Full => {}
            State::Lost(error) => return Err(error),
        }
        Ok(())
    }

    fn take_in(&mut self, now: Now, batch: &mut Vec<Command>) {
        for input in mem::take(&mut self.parked) {
            self.site.handle(now, input);
        }
        for command in batch.drain(..) {
            match command {
                Command::Input(input) => self.site.handle(now, input),
                Command::File(request, reply) => {
                    self.files.insert(request.ask, reply);
                    self.site.handle(now, Input::File(request));
                }
                Command::Report(request, reply) => {
                    self.reports.insert(request.ask, reply);
                    self.site.handle(now, Input::Report(request));
                }
                Command::Events { after, limit, reply } => self.readers.push(Reader { after, limit, reply }),
                Command::Census(reply) => drop(reply.send(self.site.census(now.mono))),
                Command::Boot(attempt, reply) => {
                    reply.send(self.site.known_boot(now.mono, attempt)).ok();
                }
                Command::Serve => self.serving = true,
                Command::Stop => self.stopping = true,
            }
        }
        self.site.handle_timeout(now);
    }

    /// Before anything leaves that rests on what has changed.
    fn raise_epoch(&mut self) {
        let changes = self.site.changes();
        if changes != self.changes {
            self.changes = changes;
            self.epoch.raise();
        }
    }

    /// Takes requests from the sockets, some from each; how many.
    fn hear(&mut self, now: Now) -> usize {
        let Self { interfaces, requests, site, serving, counts, .. } = self;
        let mut count = 0;
        for (arrival, sockets) in interfaces.iter().filter(|_| *serving) {
            sockets.receive(requests, |request, heard| {
                counts.heard(request.as_ref().map(|request| request.kind));
                match request {
                    Ok(request) => {
                        count += 1;
                        sockets.tapped().heard(&request, heard, || site.standing_of(&request));
                        site.hear(now, arrival, &request);
                    }
                    Err(malformed) => tracing::trace!(%malformed, "not a DHCP message"),
                }
            });
        }
        count
    }

    /// The disk is full: what rests on the plan alone is answered, other machines get no answer and ask again, and the
    /// rest waits. What the engine has decided is bounded by this: it decides nothing more.
    fn refuse(&mut self, now: Now, batch: &mut Vec<Command>) -> Vec<Held> {
        let mut replies = self.reply_from_plan();
        for command in batch.drain(..) {
            match command {
                Command::Input(Input::Dhcp(arrival, request)) => {
                    let reply = self.site.reply_from_plan(&arrival, &request);
                    let interface = arrival.interface;
                    replies.extend(reply.map(|(datagram, to)| Held::Datagram { interface, datagram, to }));
                }
                Command::Input(Input::File(_) | Input::Report(_) | Input::Told(_))
                | Command::File(..)
                | Command::Report(..) => {}
                Command::Input(input) => {
                    let kind = mem::discriminant(&input);
                    self.parked.retain(|held| mem::discriminant(held) != kind);
                    self.parked.push(input);
                }
                Command::Events { after, limit, reply } => self.readers.push(Reader { after, limit, reply }),
                Command::Census(reply) => drop(reply.send(self.site.census(now.mono))),
                Command::Boot(attempt, reply) => {
                    reply.send(self.site.known_boot(now.mono, attempt)).ok();
                }
                Command::Serve => self.serving = true,
                Command::Stop => self.stopping = true,
            }
        }
        replies
    }

    fn reply_from_plan(&mut self) -> Vec<Held> {
        let Self { interfaces, requests, site, serving, counts, .. } = self;
        let mut replies = Vec::new();
        for (arrival, sockets) in interfaces.iter().filter(|_| *serving) {
            let interface = arrival.interface;
            sockets.receive(requests, |request, _| {
                counts.heard(request.as_ref().map(|request| request.kind));
                let reply = request.ok().and_then(|request| site.reply_from_plan(arrival, &request));
                replies.extend(reply.map(|(datagram, to)| {
                    counts.said(&datagram);
                    Held::Datagram { interface, datagram, to }
                }));
            });
        }
        replies
    }

    /// All that the engine has decided, in order.
    fn hand_over(&mut self, few: bool) {
        let mut leaving = Vec::new();
        let mut bundle = Bundle { last_event: self.site.journal().last(), ..Bundle::default() };
        while let Some(action) = self.site.poll_action() {
            match action {
                Action::Persist(record) => {
                    self.note(&record);
                    bundle.records.push(&record);
                }
                Action::Send { interface, datagram, to, at_once } => {
                    if to != Destination::Servers {
                        self.counts.said(&datagram);
                    }
                    let held = Held::Datagram { interface, datagram, to };
                    if at_once { leaving.push(held) } else { bundle.held.push(held) }
                }
                Action::Probe { interface, address } => self.probe(interface, address),
                Action::Answer { ask, answer, boot, tftp_single_port } => {
                    let answer = FileReply { answer, boot, tftp_single_port, standing: None };
                    bundle.held.extend(self.files.remove(&ask).map(|reply| Held::File(reply, answer)));
                }
                Action::Replied { ask, answer, boot } => {
                    let answer = ReportReply { answer, boot };
                    bundle.held.extend(self.reports.remove(&ask).map(|reply| Held::Report(reply, answer)));
                }
                Action::DestroySecrets(order) => bundle.ended.push(order),
                Action::KeepCapture(failed) => self.keep_capture(failed),
            }
        }
        self.writer.release(leaving);
        bundle.snapshot = self.part_of_snapshot();
        if !bundle.is_empty() || self.full.is_some() {
            self.writer.put(bundle, few);
        }
    }

    /// What this turn adds to a snapshot, if one is due. Few leases come along at once; many come in pieces, turn by turn.
    fn part_of_snapshot(&mut self) -> Option<Part> {
        let due = self.writer.needs_snapshot();
        let few = self.site.dhcp().lease_count() <= self.snapshots.piece;
        if due && (few || self.writer.wants_whole_snapshot()) {
            self.pieces = None;
            return Some(Part::Whole(self.site.snapshot().collect()));
        }
        let now = Instant::now();
        match self.pieces {
            None if due => {
                self.pieces = Some((None, now + PIECES));
                Some(Part::First(self.site.snapshot_but_leases().collect()))
            }
            Some((behind, when)) if when <= now => {
                self.pieces = Some((behind, now + PIECES));
                self.writer.takes_pieces().then(|| self.next_piece(behind, now))
            }
            None | Some(_) => None,
        }
    }

    fn next_piece(&mut self, behind: Option<Place>, now: Instant) -> Part {
        let mut records = Records::default();
        let piece = self.snapshots.piece;
        let place = self.site.dhcp().leases_behind(behind, piece, |record| records.push(&record));
        self.pieces = place.map(|place| (Some(place), now + PIECES));
        if place.is_some() { Part::Next(records) } else { Part::Last(records) }
    }

    /// From disk alone: an event that a crash takes back must not have been told, for its number is used again.
    fn answer_readers(&mut self) {
        self.readers.retain(|reader| !reader.reply.is_closed());
        if self.full.is_some() {
            return;
        }
        let durable = self.writer.durable();
        for Reader { after, limit, reply } in mem::take(&mut self.readers) {
            let events = self.site.events_after(after).take_while(|event| event.number <= durable);
            drop(reply.send(events.take(limit).collect()));
        }
    }

    /// Those for whom there is no room now are told at a later turn: secrets must not outlive their order.
    fn tell_ended(&mut self) {
        self.ended.extend(self.writer.take_ended());
        while let Some(order) = self.ended.first() {
            if self.ended_orders.try_send(*order).is_err() {
                return;
            }
            self.ended.pop_first();
        }
    }

    /// A capture is worth nobody's waiting: where too many are wanted at once some are not kept.
    fn keep_capture(&self, failed: FailedBoot) {
        let boot = failed.attempt;
        if let Err(error) = self.failed_boots.try_send(failed) {
            tracing::debug!(%boot, %error, "the packets of a failed boot are not kept");
        }
    }

    /// Rests on no record, so it does not wait for the disk.
    fn probe(&self, interface: u32, address: Ipv4Addr) {
        let Some((_, sockets)) = self.interfaces.get(interface as usize) else { return };
        if let Err(error) = sockets.probe(address) {
            tracing::debug!(error = &error as &dyn std::error::Error, %address, "failed to probe an address");
        }
    }

    fn look_at_disk(&mut self, now: Now) {
        if Instant::now() < self.next_disk {
            return;
        }
        self.next_disk = Instant::now() + LOOK_AT_DISK;
        // Who is at the disk now will not be at the next look.
        let refilled = self.writer.with_ledger(|ledger| (ledger.refill_reserve(), ledger.reserve_state()));
        let Some((refilled, reserve)) = refilled else { return };
        if let Err(error) = refilled {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to set room aside");
        }
        let Ok(space) = Space::of(&self.ledger_folder) else { return };
        let pressure = Pressure::judge(self.pressure, space, self.low_disk_bytes, reserve);
        self.pressure = pressure;
        let disk = if pressure.permits_new_grants() { Disk::Fine } else { Disk::Full };
        if disk != self.disk {
            self.disk = disk;
            self.site.handle(now, Input::Disk(disk));
        }
        self.view.send_if_modified(|view| {
            let changed = view.fills_permitted != pressure.permits_fills();
            view.fills_permitted = pressure.permits_fills();
            changed
        });
    }

    /// What operators should look at stands in the agent's own log too, where no controller is needed to read it, and
    /// so does, for who wants to know it all, what becomes of a boot.
    fn note(&self, record: &Record) {
        let Record::Event(NumberedEvent { number, event }) = record else { return };
        let (boot, mac) =
            (event.attempt.map(tracing::field::display), event.mac.map(tracing::field::display));
        if let EventKind::Alarm { kind, detail } = &event.kind {
            tracing::warn!(boot, ?kind, mac, detail, "alarm");
            self.counts.alarm(*kind);
        } else if event.attempt.is_some() {
            tracing::debug!(boot, mac, number, kind = event.kind.word(), "event of a boot");
        }
    }

    fn publish(&self) {
        let (journal, durable) = (self.site.journal(), self.writer.durable());
        let view = View {
            last_event: durable,
            waiting: journal.len_until(durable) as u64,
            leases: u32::try_from(self.site.dhcp().lease_count()).unwrap_or(u32::MAX),
            disk_low: self.disk == Disk::Full,
            fills_permitted: self.view.borrow().fills_permitted,
        };
        self.view.send_if_modified(|current| {
            let changed = *current != view;
            *current = view;
            changed
        });
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

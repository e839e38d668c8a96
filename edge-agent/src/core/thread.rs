//! The core's thread: batches of inputs, one commit each.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use netboot::{
    dhcp::Destination,
    site::{Action, Disk, Input, ReportAnswer, Site},
    time::{Mono, Now},
};
use proto::{Incarnation, OrderId, Wall, event::NumberedEvent, ledger::Record};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Command, Epoch, FileReply, Options, StartError, View};
use crate::{
    dhcp,
    disk::{
        log::{CommitError, Ledger, Options as LedgerOptions, Tag},
        space::{Pressure, Space},
    },
};

/// Inputs that share one commit, at most.
const BATCH: usize = 512;
/// How often the disk's room is looked at.
const LOOK_AT_DISK: Duration = Duration::from_secs(1);
/// How often leases are counted, which takes a look at each.
const COUNT: Duration = Duration::from_secs(1);
/// How soon a full disk is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The tag of all records: their own encoding says what they are.
const RECORD: u8 = 1;

/// Opens everything in the caller's thread, so that errors reach it, and runs in one of its own.
pub(super) fn start(
    options: Options,
    queue: mpsc::Receiver<Command>,
    view: watch::Sender<View>,
    epoch: Epoch,
    ended: oneshot::Sender<()>,
) -> Result<Incarnation, StartError> {
    let worker = Worker::open(options, view, epoch)?;
    let incarnation = worker.site.incarnation();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(worker.run(queue)),
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "failed to run the core"),
        }
        ended.send(()).ok();
    };
    std::thread::Builder::new().name("core".into()).spawn(run).map_err(StartError::Thread)?;
    Ok(incarnation)
}

struct Worker {
    site: Site,
    ledger: Ledger,
    sockets: Vec<Arc<dhcp::Sockets>>,
    ended_orders: mpsc::Sender<OrderId>,
    started: Instant,
    view: watch::Sender<View>,
    epoch: Epoch,
    /// [`Site::changes`] at which the epoch was raised last.
    changes: u64,
    low_disk_bytes: u64,
    ledger_folder: std::path::PathBuf,
    files: HashMap<u64, oneshot::Sender<FileReply>>,
    reports: HashMap<u64, oneshot::Sender<ReportAnswer>>,
    disk: Disk,
    pressure: Pressure,
    next_disk: Instant,
    /// The last event on disk: nobody outside hears of a later one.
    durable: u64,
    /// The disk has no room at all: when it is tried again. Until then nothing new is taken in.
    full: Option<Instant>,
    /// The record that found no room; it goes first, before what the engine has decided since.
    unwritten: Option<Record>,
    /// What came meanwhile and nobody will say again: the latest of each kind.
    parked: Vec<Input>,
    readers: Vec<Reader>,
    /// Orders at their end of which nobody has been told yet.
    ended: BTreeSet<OrderId>,
    leases: u32,
    next_count: Instant,
    stopping: bool,
}

/// Somebody who waits for events.
struct Reader {
    after: u64,
    limit: usize,
    reply: oneshot::Sender<Vec<NumberedEvent>>,
}

/// What leaves once the records before it are on disk.
enum Held {
    Datagram { interface: u32, datagram: Vec<u8>, to: Destination },
    File(u64, FileReply),
    Report(u64, ReportAnswer),
}

impl Worker {
    fn open(options: Options, view: watch::Sender<View>, epoch: Epoch) -> Result<Self, StartError> {
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
        let (ledger, opened) = Ledger::open(&options.ledger, LedgerOptions::new(incarnation), &mut visit)?;
        let mut site = Site::new(options.site, ledger.incarnation(), seed);
        records.iter().for_each(|record| site.restore(record));
        tracing::info!(records = opened.records, torn_bytes = opened.torn_bytes, "ledger replayed");

        let started = Instant::now();
        let durable = site.journal().last();
        site.begin(Mono::default(), SystemTime::now().into());
        Ok(Self {
            site,
            ledger,
            sockets: options.sockets,
            ended_orders: options.ended_orders,
            started,
            view,
            epoch,
            changes: 0,
            low_disk_bytes: options.low_disk_bytes,
            ledger_folder: options.ledger,
            files: HashMap::new(),
            reports: HashMap::new(),
            disk: Disk::Fine,
            pressure: Pressure::Normal,
            next_disk: started,
            durable,
            full: None,
            unwritten: None,
            parked: Vec::new(),
            readers: Vec::new(),
            ended: BTreeSet::new(),
            leases: 0,
            next_count: started,
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
                () = tokio::time::sleep_until(due.into()) => {}
            }
            if let Err(error) = self.turn(&mut batch).await {
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
        }
    }

    /// When to wake up although nobody has said anything.
    fn due(&self) -> Instant {
        let engine = match self.full {
            Some(again) => again,
            None if self.parked.is_empty() => self.started + self.site.poll_timeout().0,
            None => self.started,
        };
        engine.min(self.next_disk)
    }

    fn stop(self) {
        if let Err(error) = self.ledger.close() {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to close the ledger");
        }
    }

    /// One batch: inputs, one commit, and then what rests on it.
    async fn turn(&mut self, batch: &mut Vec<Command>) -> Result<(), CommitError> {
        let now = self.now();
        self.look_at_disk(now);
        if self.full.is_none() {
            self.take_in(now, batch);
        } else {
            let replies = self.refuse(batch);
            self.release(replies).await;
        }
        if self.full.is_none_or(|again| again <= Instant::now()) {
            let held = self.record()?;
            self.release(held).await;
        }
        if self.full.is_none() {
            self.tell_ended();
        }
        self.publish();
        self.answer_readers();
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
                Command::Stop => self.stopping = true,
            }
        }
        self.site.handle_timeout(now);
        self.raise_epoch();
    }

    /// Before anything leaves that rests on what has changed.
    fn raise_epoch(&mut self) {
        let changes = self.site.changes();
        if changes != self.changes {
            self.changes = changes;
            self.epoch.raise();
        }
    }

    /// The disk is full: what rests on the plan alone is answered, other machines get no answer and ask again, and the
    /// rest waits. What the engine has decided is bounded by this: it decides nothing more.
    fn refuse(&mut self, batch: &mut Vec<Command>) -> Vec<Held> {
        let mut replies = Vec::new();
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
                Command::Stop => self.stopping = true,
            }
        }
        replies
    }

    /// Puts every record on disk and hands back what waited for that. When there is no room at all, what waits
    /// is given up: machines ask again.
    fn record(&mut self) -> Result<Vec<Held>, CommitError> {
        let mut held = Vec::new();
        match self.write(&mut held) {
            Ok(()) => {
                if self.full.take().is_some() {
                    tracing::info!("the state disk has room again");
                }
                self.durable = self.site.journal().last();
                self.compact();
                Ok(held)
            }
            Err(CommitError::Full { records, source }) => {
                if self.full.replace(Instant::now() + TRY_AGAIN).is_none() {
                    let error = &source as &dyn std::error::Error;
                    tracing::error!(
                        records,
                        error,
                        "the state disk is full: fixed addresses and local boots go on, all else waits"
                    );
                }
                self.give_up(held);
                Ok(Vec::new())
            }
            Err(error @ (CommitError::Lost { .. } | CommitError::Poisoned)) => Err(error),
        }
    }

    /// All that the engine has decided, in order; what comes behind a record without room stays with the engine.
    fn write(&mut self, held: &mut Vec<Held>) -> Result<(), CommitError> {
        if let Some(record) = self.unwritten.take() {
            self.append(record)?;
        }
        while let Some(action) = self.site.poll_action() {
            match action {
                Action::Persist(record) => self.append(record)?,
                Action::Send { interface, datagram, to } => {
                    held.push(Held::Datagram { interface, datagram, to })
                }
                Action::Probe { interface, address } => self.probe(interface, address),
                Action::Answer { ask, answer, tftp_single_port } => {
                    held.push(Held::File(ask, FileReply { answer, tftp_single_port, standing: None }));
                }
                Action::Replied { ask, answer } => held.push(Held::Report(ask, answer)),
                Action::DestroySecrets(order) => drop(self.ended.insert(order)),
            }
        }
        self.ledger.commit()
    }

    fn append(&mut self, record: Record) -> Result<(), CommitError> {
        use crate::disk::log::AppendError;
        let tag = Tag::new(RECORD).expect("1 is a legal tag");
        let bytes = record.encode();
        match self.ledger.append(tag, &bytes) {
            Ok(()) => Ok(()),
            Err(AppendError::BatchFull { .. }) => {
                if let Err(error) = self.ledger.commit() {
                    self.unwritten = Some(record);
                    return Err(error);
                }
                self.ledger.append(tag, &bytes).map_err(|_| CommitError::Poisoned)
            }
            Err(AppendError::Poisoned) => Err(CommitError::Poisoned),
            Err(error @ AppendError::TooLong { .. }) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a record was not kept");
                Ok(())
            }
        }
    }

    fn compact(&mut self) {
        if !self.ledger.needs_snapshot() {
            return;
        }
        let tag = Tag::new(RECORD).expect("1 is a legal tag");
        let snapshot = self.site.snapshot().map(|record| (tag, record.encode()));
        if let Err(error) = self.ledger.compact(snapshot) {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to compact the ledger");
        }
    }

    /// From disk alone: an event that a crash takes back must not have been told, for its number is used again.
    fn answer_readers(&mut self) {
        self.readers.retain(|reader| !reader.reply.is_closed());
        if self.full.is_some() {
            return;
        }
        for Reader { after, limit, reply } in mem::take(&mut self.readers) {
            let durable = self.durable;
            let events = self.site.events_after(after).take_while(|event| event.number <= durable);
            drop(reply.send(events.take(limit).collect()));
        }
    }

    async fn release(&mut self, held: Vec<Held>) {
        for each in held {
            match each {
                Held::Datagram { interface, datagram, to } => self.send(interface, &datagram, &to).await,
                Held::File(ask, answer) => {
                    if let Some(reply) = self.files.remove(&ask) {
                        drop(reply.send(answer));
                    }
                }
                Held::Report(ask, answer) => drop(self.reports.remove(&ask).map(|reply| reply.send(answer))),
            }
        }
    }

    /// Those for whom there is no room now are told at a later turn: secrets must not outlive their order.
    fn tell_ended(&mut self) {
        while let Some(order) = self.ended.first() {
            if self.ended_orders.try_send(*order).is_err() {
                return;
            }
            self.ended.pop_first();
        }
    }

    /// Also of those whose answers the engine still holds: a late one finds nobody.
    fn give_up(&mut self, held: Vec<Held>) {
        drop(held);
        self.files.clear();
        self.reports.clear();
    }

    async fn send(&self, interface: u32, datagram: &[u8], to: &Destination) {
        let Some(sockets) = self.sockets.get(interface as usize) else { return };
        if let Err(error) = sockets.send(datagram, to).await {
            tracing::warn!(error = &error as &dyn std::error::Error, ?to, "failed to send a DHCP reply");
        }
    }

    /// Rests on no record, so it does not wait for the disk.
    fn probe(&self, interface: u32, address: Ipv4Addr) {
        let Some(sockets) = self.sockets.get(interface as usize) else { return };
        if let Err(error) = sockets.probe(address) {
            tracing::debug!(error = &error as &dyn std::error::Error, %address, "failed to probe an address");
        }
    }

    fn look_at_disk(&mut self, now: Now) {
        if Instant::now() < self.next_disk {
            return;
        }
        self.next_disk = Instant::now() + LOOK_AT_DISK;
        if let Err(error) = self.ledger.refill_reserve() {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to set room aside");
        }
        let Ok(space) = Space::of(&self.ledger_folder) else { return };
        let reserve = self.ledger.reserve_state();
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

    fn publish(&mut self) {
        if self.next_count <= Instant::now() {
            self.next_count = Instant::now() + COUNT;
            self.leases = u32::try_from(self.site.dhcp().leases().count()).unwrap_or(u32::MAX);
        }
        let journal = self.site.journal();
        let view = View {
            last_event: self.durable,
            waiting: (journal.len() - journal.after(self.durable).count()) as u64,
            leases: self.leases,
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

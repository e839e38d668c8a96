//! Puts what the engine has decided on disk, in order, and then lets go what rests on it.
//!
//! The core's own thread puts it there, which saves two wake-ups, while the disk is quick or if it is little. Else a thread
//! beside it does, so that the engine goes on with what comes in while the disk is at work, and all that waits meanwhile shares
//! the next sync (docs/adr/0012). Whoever does it does it alone, and nothing overtakes anything that it rests on.
//!
//! A snapshot that fails is tried once more in place, where the ledger's reserve may be used, and then is put off for a while.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use proto::OrderId;
use tokio::sync::Notify;

use super::{
    bundle::{Bundle, Held, Part, Records},
    thread::RECORD,
};
use crate::{
    dhcp,
    disk::log::{AppendError, CommitError, CompactError, Ledger, Snapshot, Tag},
    sys::datagrams::Sender,
};

/// Bundles that may wait; with more the engine waits too, and what comes in stays in the sockets.
const AHEAD: usize = 16;

/// A disk whose last sync took no longer is quick: to wait for it costs less than to wake another thread, and what comes in
/// meanwhile is a turn's worth.
const QUICK: Duration = Duration::from_millis(1);

/// How long a snapshot may take that is under way at the end, and how often is looked whether it is done.
const GRACE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(10);

/// How long after one that failed the next snapshot is asked for: each costs the engine a copy of all that it knows.
const NEXT_SNAPSHOT: Duration = Duration::from_secs(10);

/// The one way to the ledger.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Of what waits for no disk.
    sender: Sender,
}

/// How the last attempt went.
#[derive(Debug, Default)]
pub(super) enum State {
    /// What was handed over is on disk, or will be.
    #[default]
    Fine,
    /// There is no room. Records wait; what rested on them was given up.
    Full,
    /// The ledger has stopped.
    Lost(CommitError),
}

#[derive(Debug)]
struct Shared {
    sockets: Vec<Arc<dhcp::Sockets>>,
    queue: Mutex<Queue>,
    changed: Condvar,
    disk: Mutex<Disk>,
    /// The number of the last event on disk.
    durable: AtomicU64,
    /// Was the last sync?
    quick: AtomicBool,
    /// Are there threads beside the core's?
    beside: AtomicBool,
    /// Something that the core is to look at.
    news: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Bundle>,
    /// Somebody is at the disk.
    busy: bool,
    stopping: bool,
    state: State,
    ended: Vec<OrderId>,
    needs_snapshot: bool,
    /// It is to come in one piece.
    whole: bool,
    /// What has been written beside the ledger, and is to take its place.
    written: Option<Written>,
}

/// A snapshot, and whether all of it is on disk.
#[derive(Debug)]
struct Written(Snapshot, Result<(), CompactError>);

#[derive(Debug)]
struct Disk {
    ledger: Ledger,
    /// What was handed over and is not on disk.
    backlog: Records,
    /// So many of them are with the ledger already.
    appended: usize,
    ended: Vec<OrderId>,
    /// The last snapshot beside the ledger came to nothing: the next one is written in place.
    in_place: bool,
    /// A snapshot of which not all pieces are here.
    begun: Option<(Snapshot, Records)>,
    /// No snapshot is asked for before.
    not_before: Option<Instant>,
    sender: Sender,
}

impl Writer {
    /// Without a thread of its own everything is put on disk by whoever hands it over.
    pub(super) fn new(ledger: Ledger, sockets: Vec<Arc<dhcp::Sockets>>, durable: u64) -> Self {
        let (backlog, ended, sender) = (Records::default(), Vec::new(), Sender::default());
        let (in_place, begun, not_before) = (false, None, None);
        let disk = Disk { ledger, backlog, appended: 0, ended, in_place, begun, not_before, sender };
        let shared = Shared {
            sockets,
            queue: Mutex::default(),
            changed: Condvar::new(),
            disk: Mutex::new(disk),
            durable: AtomicU64::new(durable),
            quick: AtomicBool::new(false),
            beside: AtomicBool::new(false),
            news: Notify::new(),
        };
        Self { shared: Arc::new(shared), thread: None, sender: Sender::default() }
    }

    /// Starts the thread beside the core's.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn start_thread(&mut self) -> std::io::Result<()> {
        let shared = self.shared.clone();
        shared.beside.store(true, Ordering::Relaxed);
        let run = move || Guard(shared).run();
        self.thread = Some(std::thread::Builder::new().name("ledger".into()).spawn(run)?);
        Ok(())
    }

    /// Hands a bundle over; it goes behind all former ones. `few`: it is not worth to wake another thread for.
    pub(super) fn put(&self, bundle: Bundle, few: bool) {
        let mut queue = self.shared.queue();
        let idle = queue.waiting.is_empty() && !queue.busy;
        let quick = few || self.shared.quick.load(Ordering::Relaxed);
        if idle && (quick || bundle.is_light() || self.thread.is_none()) {
            queue.busy = true;
            drop(queue);
            self.shared.perform(VecDeque::from([bundle]));
            return;
        }
        while queue.waiting.len() >= AHEAD && !matches!(queue.state, State::Lost(_)) {
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.waiting.push_back(bundle);
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Lets go what rests on nothing.
    pub(super) fn release(&mut self, held: Vec<Held>) {
        self.shared.release(&mut self.sender, held);
    }

    /// How the last attempt went; [`State::Lost`] is said once.
    pub(super) fn state(&self) -> State {
        let mut queue = self.shared.queue();
        match queue.state {
            State::Fine => State::Fine,
            State::Full => State::Full,
            State::Lost(_) => mem::replace(&mut queue.state, State::Lost(CommitError::Poisoned)),
        }
    }

    /// The number of the last event on disk.
    pub(super) fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Orders whose end is on disk and was not asked for yet.
    pub(super) fn take_ended(&self) -> Vec<OrderId> {
        mem::take(&mut self.shared.queue().ended)
    }

    /// Is a snapshot due? Says so once.
    pub(super) fn needs_snapshot(&self) -> bool {
        mem::take(&mut self.shared.queue().needs_snapshot)
    }

    /// Is the next snapshot to come in one piece? Else it may come in several, for which no disk has to do anything.
    pub(super) fn wants_whole_snapshot(&self) -> bool {
        self.shared.queue().whole || !self.shared.beside.load(Ordering::Relaxed)
    }

    /// May a piece of a snapshot be handed over without waiting for the disk?
    pub(super) fn takes_pieces(&self) -> bool {
        self.shared.queue().waiting.len() < AHEAD / 2
    }

    /// Waits until there is something new to ask for.
    pub(super) async fn news(&self) {
        self.shared.news.notified().await;
    }

    /// The ledger, unless somebody is at the disk.
    pub(super) fn with_ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> Option<T> {
        Some(look(&mut self.shared.disk.try_lock().ok()?.ledger))
    }

    /// Is something handed over that is not on disk?
    #[cfg(test)]
    pub(super) fn has_backlog(&self) -> bool {
        !self.shared.disk.lock().expect("no panic").backlog.is_empty()
    }

    /// Is all that was handed over with the ledger, and nobody at the disk?
    #[cfg(test)]
    pub(super) fn is_settled(&self) -> bool {
        let queue = self.shared.queue();
        queue.waiting.is_empty() && !queue.busy && queue.written.is_none()
    }

    /// Ends the thread once all is on disk, and closes the ledger.
    ///
    /// # Errors
    /// What the ledger says.
    pub(super) fn close(mut self) -> Result<(), CommitError> {
        self.end_thread();
        let shared = self.shared.clone();
        drop(self);
        // A snapshot that is being written has the last hold; without it the ledger is whole, too.
        let until = Instant::now() + GRACE;
        while Arc::strong_count(&shared) > 1 && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
        match Arc::try_unwrap(shared) {
            Ok(shared) => {
                let mut disk = shared.disk.into_inner().unwrap_or_else(PoisonError::into_inner);
                disk.give_up_begun();
                disk.ledger.close()
            }
            Err(_) => Err(CommitError::Poisoned),
        }
    }

    fn end_thread(&mut self) {
        self.shared.queue().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // Its panic was said when it happened.
            drop(thread.join());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end_thread();
    }
}

/// The thread's hold: if it panics, the core hears of it instead of waiting for ever.
struct Guard(Arc<Shared>);

impl Guard {
    fn run(self) {
        while let Some(bundles) = self.0.take() {
            self.0.perform(bundles);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lose(CommitError::Poisoned);
        }
    }
}

/// A snapshot on its way to disk beside the ledger. However its thread ends, or if it never starts, the ledger gets it back: it
/// keeps in memory what is appended until then.
struct Writing {
    shared: Arc<Shared>,
    snapshot: Option<Snapshot>,
    outcome: Result<(), CompactError>,
}

impl Writing {
    fn new(shared: Arc<Shared>, snapshot: Snapshot) -> Self {
        Self { shared, snapshot: Some(snapshot), outcome: Err(CompactError::Unfinished) }
    }

    fn start(self, records: Records) {
        let run = move || self.run(records);
        if let Err(error) = std::thread::Builder::new().name("snapshot".into()).spawn(run) {
            tracing::error!(%error, "failed to start a thread for a snapshot");
        }
    }

    fn run(mut self, records: Records) {
        if let Some(snapshot) = &mut self.snapshot {
            self.outcome = snapshot.write_beside(tagged(&records));
        }
        drop(records);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let Some(snapshot) = self.snapshot.take() else { return };
        let outcome = mem::replace(&mut self.outcome, Ok(()));
        self.shared.queue().written = Some(Written(snapshot, outcome));
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for bundles: all that share a sync. A snapshot stands for all before it and nothing after it, so it ends them.
    fn take(&self) -> Option<VecDeque<Bundle>> {
        let mut queue = self.queue();
        while queue.busy || (queue.waiting.is_empty() && queue.written.is_none()) {
            if queue.stopping && !queue.busy {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.busy = true;
        let snapshot = queue.waiting.iter().position(Bundle::begins_snapshot);
        let count = snapshot.map_or(queue.waiting.len(), |place| place + 1);
        let taken = queue.waiting.drain(..count).collect();
        drop(queue);
        self.changed.notify_all();
        Some(taken)
    }

    /// Only while `busy` is the caller's.
    fn perform(self: &Arc<Self>, bundles: VecDeque<Bundle>) {
        let disk = &mut *self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut held, mut parts) = (Vec::new(), Vec::new());
        let mut last_event = self.durable.load(Ordering::Acquire);
        for mut bundle in bundles {
            disk.backlog.append(&bundle.records);
            disk.ended.append(&mut bundle.ended);
            held.append(&mut bundle.held);
            parts.extend(bundle.snapshot);
            last_event = bundle.last_event;
        }
        let outcome = self.timed(disk);
        // Whatever came of it: a snapshot that stayed here would have the thread come back for it without end.
        let written = self.queue().written.take();
        match outcome {
            Ok(()) => {
                let told = self.durable.swap(last_event, Ordering::AcqRel) == last_event;
                self.release(&mut disk.sender, held);
                if let Some(written) = written {
                    disk.finish(written);
                }
                parts.into_iter().for_each(|part| self.take_part(disk, part));
                self.go_on(disk, told);
            }
            Err(CommitError::Full { records, source }) => {
                // Nothing may be pending where a snapshot takes its place, and its file has room that records wait for.
                disk.give_up(written);
                self.wait_for_room(records, &source);
            }
            Err(error @ (CommitError::Lost { .. } | CommitError::Poisoned)) => {
                disk.give_up(written);
                self.lose(error);
            }
        }
    }

    fn timed(&self, disk: &mut Disk) -> Result<(), CommitError> {
        if disk.backlog.is_empty() {
            return disk.write();
        }
        let began = Instant::now();
        let outcome = disk.write();
        self.quick.store(began.elapsed() <= QUICK, Ordering::Relaxed);
        outcome
    }

    fn take_part(self: &Arc<Self>, disk: &mut Disk, part: Part) {
        match part {
            Part::Whole(records) => self.compact(disk, records),
            Part::First(records) => disk.begin(records),
            Part::Next(records) => disk.begun.iter_mut().for_each(|(_, all)| all.append(&records)),
            Part::Last(records) => {
                if let Some((snapshot, mut all)) = disk.begun.take() {
                    all.append(&records);
                    Writing::new(self.clone(), snapshot).start(all);
                }
            }
        }
    }

    /// What takes long does so in a thread of its own. Where there is no room for that, the ledger gives some of its reserve.
    fn compact(self: &Arc<Self>, disk: &mut Disk, records: Records) {
        if !self.beside.load(Ordering::Relaxed) || mem::take(&mut disk.in_place) {
            return disk.compact(&records);
        }
        match disk.ledger.begin_snapshot() {
            Ok(snapshot) => Writing::new(self.clone(), snapshot).start(records),
            Err(CompactError::NotWritten(error)) if error.is_full() => disk.compact(&records),
            Err(error) => disk.put_off(&error),
        }
    }

    /// `told`: there is no new event on disk.
    fn go_on(&self, disk: &mut Disk, told: bool) {
        let mut queue = self.queue();
        let on_its_way = queue.waiting.iter().any(Bundle::begins_snapshot);
        let needs_snapshot = disk.needs_snapshot() && !on_its_way;
        let was_full = matches!(mem::replace(&mut queue.state, State::Fine), State::Full);
        let news = !told || !disk.ended.is_empty() || needs_snapshot || was_full;
        queue.ended.append(&mut disk.ended);
        queue.needs_snapshot = needs_snapshot;
        queue.whole = disk.in_place;
        queue.busy = false;
        drop(queue);
        self.changed.notify_all();
        if was_full {
            tracing::info!("the state disk has room again");
        }
        if news {
            self.news.notify_one();
        }
    }

    fn wait_for_room(&self, records: usize, source: &crate::disk::DiskError) {
        let mut queue = self.queue();
        let was_full = matches!(mem::replace(&mut queue.state, State::Full), State::Full);
        queue.busy = false;
        drop(queue);
        self.changed.notify_all();
        if !was_full {
            let error = source as &dyn std::error::Error;
            tracing::error!(
                records,
                error,
                "the state disk is full: fixed addresses and local boots go on, all else waits"
            );
        }
        self.news.notify_one();
    }

    fn lose(&self, error: CommitError) {
        let mut queue = self.queue();
        queue.state = State::Lost(error);
        queue.busy = false;
        queue.waiting.clear();
        drop(queue);
        self.changed.notify_all();
        self.news.notify_one();
    }

    fn release(&self, sender: &mut Sender, held: Vec<Held>) {
        let of = |each: &'_ Held| match each {
            Held::Datagram { interface, .. } => Some(*interface as usize),
            Held::File(..) | Held::Report(..) => None,
        };
        for (number, sockets) in self.sockets.iter().enumerate() {
            let here = held.iter().filter(|each| of(each) == Some(number)).filter_map(|each| match each {
                Held::Datagram { datagram, to, .. } => Some((datagram.as_slice(), to)),
                Held::File(..) | Held::Report(..) => None,
            });
            sockets.send(sender, here);
        }
        for each in held {
            match each {
                Held::Datagram { .. } => {}
                Held::File(reply, answer) => drop(reply.send(answer)),
                Held::Report(reply, answer) => drop(reply.send(answer)),
            }
        }
    }
}

impl Disk {
    /// What finds no room stays.
    fn write(&mut self) -> Result<(), CommitError> {
        let tag = Tag::new(RECORD).expect("1 is a legal tag");
        while let Some(record) = self.backlog.get(self.appended) {
            match self.ledger.append(tag, record) {
                Ok(()) => self.appended += 1,
                Err(AppendError::BatchFull { .. }) => self.ledger.commit()?,
                Err(AppendError::Poisoned) => return Err(CommitError::Poisoned),
                Err(error @ AppendError::TooLong { .. }) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a record was not kept");
                    self.appended += 1;
                }
            }
        }
        self.ledger.commit()?;
        self.backlog.clear();
        self.appended = 0;
        Ok(())
    }

    /// Pieces follow. Where there is no room, the whole is asked for, to be written in place.
    fn begin(&mut self, records: Records) {
        match self.ledger.begin_snapshot() {
            Ok(snapshot) => self.begun = Some((snapshot, records)),
            Err(CompactError::NotWritten(error)) if error.is_full() => self.in_place = true,
            Err(error) => self.put_off(&error),
        }
    }

    /// Pieces that are still to come find nothing to belong to.
    fn give_up_begun(&mut self) -> bool {
        let begun = self.begun.take();
        let was = begun.is_some();
        begun.into_iter().for_each(|(snapshot, _)| self.ledger.give_up_snapshot(snapshot));
        was
    }

    fn compact(&mut self, snapshot: &Records) {
        if let Err(error) = self.ledger.compact(tagged(snapshot)) {
            self.put_off(&error);
        }
    }

    /// A ledger without a new snapshot is whole, and only longer than it should be.
    fn put_off(&mut self, error: &CompactError) {
        tell(error);
        self.not_before = Some(Instant::now() + NEXT_SNAPSHOT);
    }

    fn needs_snapshot(&self) -> bool {
        self.ledger.needs_snapshot() && self.not_before.is_none_or(|time| time <= Instant::now())
    }

    /// Makes the room of a snapshot that was written free again.
    fn give_up(&mut self, written: Option<Written>) {
        self.in_place |= self.give_up_begun();
        if let Some(Written(snapshot, _)) = written {
            self.ledger.give_up_snapshot(snapshot);
            self.in_place = true;
        }
    }

    fn finish(&mut self, Written(snapshot, written): Written) {
        let done = match written {
            Ok(()) => self.ledger.finish_snapshot(snapshot),
            Err(error) => {
                self.ledger.give_up_snapshot(snapshot);
                Err(error)
            }
        };
        if let Err(error) = done {
            tell(&error);
            self.in_place = !matches!(error, CompactError::GivenUp);
        }
    }
}

fn tagged(records: &Records) -> impl Iterator<Item = (Tag, &[u8])> {
    let tag = Tag::new(RECORD).expect("1 is a legal tag");
    records.iter().map(move |record| (tag, record))
}

fn tell(error: &CompactError) {
    tracing::warn!(error = error as &dyn std::error::Error, "failed to compact the ledger");
}

#[cfg(test)]
mod tests;

//! The site engine: everything that a site's machines say, decided and recorded in one place.
//!
//! It owns the plan in force, the leases, the orders, the boot attempts and the journal, and has the four verbs of
//! DESIGN §3. Its shell performs the actions in order: a [`Action::Persist`] is on disk before any later
//! [`Action::Send`] or [`Action::Answer`] leaves, but for those that rest on none. TFTP and HTTP are other engines and shells; they ask here what
//! a name stands for.

mod captures;
mod census;
mod deferred;
mod dhcp;
mod files;
mod follow;
mod forms;
mod installation;
mod interface;
mod meter;
#[cfg(test)]
pub(crate) mod paper;
mod programs;
mod recall;
mod release;
mod reports;
mod served;
mod servers;
mod syslog;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use proto::{
    AttemptId, Digest, HostId, Incarnation, Mac, OrderId, Token128, Wall,
    event::{AlarmKind, Event, EventKind},
    ledger::Record,
    plan::{OrderPlan, SitePlan},
};
use rand::{RngCore, SeedableRng, rngs::StdRng};

use crate::{
    attempts::Attempts,
    dhcp::{ForeignServers, Request, Server},
    forms::Forms,
    journal::Journal,
    orders::{Moved, Orders},
    time::{Mono, Now},
};

use deferred::Deferred;
use recall::Recall;
use release::Releases;

pub use captures::{CaptureKept, FailedBoot, KnownBoot};
pub use census::{Census, Pools};
pub use interface::{Action, Arrival, Config, Disk, Input, Station};
pub use reports::{Callback, ReportAnswer, ReportRequest};
pub use served::{Broken, FileAnswer, FileEnd, FileRequest, FileTold, Served, Source, shown};

/// The engine.
#[derive(Debug)]
pub struct Site {
    config: Config,
    plan: Option<Arc<SitePlan>>,
    dhcp: Server,
    attempts: Attempts,
    forms: Forms,
    /// Of before the restart, until the ledger has been replayed.
    recall: Recall,
    /// Which addresses operators have freed, or wanted to.
    releases: Releases,
    /// Of machines that the plan does not know: they never push out those that it does (S5).
    strangers: Attempts,
    orders: Orders,
    /// What the orders under way install.
    pinned: BTreeMap<OrderId, Arc<OrderPlan>>,
    journal: Journal,
    incarnation: Incarnation,
    random: StdRng,
    actions: VecDeque<Action>,
    /// How many records there were since the start.
    records: u64,
    /// The same when the last DHCP message came to be answered.
    records_before: u64,
    /// The highest wall time on disk.
    recorded: Wall,
    /// Wall time is at least this plus what has passed since.
    floor: Now,
    clock_in_doubt: bool,
    disk: Disk,
    out_of_reach: BTreeSet<Digest>,
    next_look: Mono,
    meter: meter::Meter,
    lines: syslog::Lines,
    deferred: Deferred,
    foreign_servers: ForeignServers,
    changes: u64,
}

/// The most unknown machines whose attempts are kept.
const STRANGERS: usize = 1_000;
/// How far the agent's clock and the controller's may lie apart.
const CLOCKS_APART: Duration = Duration::from_secs(300);
/// How often time alone is looked at: expiry of orders and installations.
const LOOK: Duration = Duration::from_secs(5);
/// How far wall time may run ahead of what is on disk.
const WALL_STEP: Duration = Duration::from_secs(600);

impl Site {
    /// A new engine; `seed` must be unpredictable, since tokens are made from it. Replay the ledger with
    /// [`Site::restore`] before the first input.
    #[must_use]
    pub fn new(config: Config, incarnation: Incarnation, seed: [u8; 32]) -> Self {
        let random = StdRng::from_seed(seed);
        let journal = Journal::new(config.journal_limit);
        Self {
            config,
            plan: None,
            dhcp: Server::asking_ahead(),
            attempts: Attempts::default(),
            forms: Forms::default(),
            recall: Recall::default(),
            releases: Releases::default(),
            strangers: Attempts::with_limit(STRANGERS),
            orders: Orders::default(),
            pinned: BTreeMap::new(),
            journal,
            incarnation,
            random,
            actions: VecDeque::new(),
            records: 0,
            records_before: 0,
            recorded: Wall::default(),
            floor: Now::default(),
            clock_in_doubt: false,
            disk: Disk::Fine,
            out_of_reach: BTreeSet::new(),
            next_look: Mono::default(),
            meter: meter::Meter::default(),
            lines: syslog::Lines::default(),
            deferred: Deferred::default(),
            foreign_servers: ForeignServers::default(),
            changes: 0,
        }
    }

    /// Replays a record of the ledger.
    pub fn restore(&mut self, record: &Record) {
        self.journal.restore(record);
        self.orders.restore(record);
        self.dhcp.restore(record);
        if let Record::Event(numbered) = record {
            self.recall.note(&numbered.event);
            self.releases.note(&numbered.event);
        }
        if let Record::Form(memory) = record {
            self.forms.restore(memory, self.recorded);
        }
        self.note_time(record);
    }

    /// The ledger has been replayed: judges the clock, and sees to what a crash may have left undone. `wall` is the
    /// system's.
    pub fn begin(&mut self, now: Mono, wall: Wall) {
        self.next_look = now;
        self.actions.extend(self.orders.ended().map(Action::DestroySecrets));
        self.clock_in_doubt = wall < self.recorded;
        self.floor = Now { mono: now, wall: self.recorded };
        self.recall.finish(Now { mono: now, wall: wall.max(self.recorded) }, &mut self.attempts);
        if self.clock_in_doubt {
            let behind = self.recorded.since(wall).as_secs();
            let detail = format!(
                "the clock is {behind} s behind what was seen before; orders wait for the controller"
            );
            let now = Now { mono: now, wall: self.recorded };
            self.alarm(now, AlarmKind::ClockBehind, detail);
        }
    }

    /// The records that make the engine's durable state again. The wall time stands first, by which forms are judged, and
    /// last: what was written while the clock ran ahead does not bring that time back.
    pub fn snapshot(&self) -> impl Iterator<Item = Record> + '_ {
        self.snapshot_with(self.dhcp.snapshot())
    }

    /// The same without the leases, which may be many: those come in pieces (`leases_behind` of the DHCP server), each as of its
    /// own moment, with everything behind them that is recorded from now on.
    pub fn snapshot_but_leases(&self) -> impl Iterator<Item = Record> + '_ {
        self.snapshot_with(self.dhcp.snapshot_but_leases())
    }

    fn snapshot_with<'a>(
        &'a self,
        dhcp: impl Iterator<Item = Record> + 'a,
    ) -> impl Iterator<Item = Record> + 'a {
        let wall = std::iter::once(Record::Wall(self.recorded));
        let forms = self.forms.snapshot().map(Record::Form);
        let others = self.orders.snapshot().chain(dhcp).chain(forms);
        let last = std::iter::once(Record::WallSet(self.recorded));
        wall.chain(self.journal.snapshot()).chain(others).chain(last)
    }

    /// Something arrived. Poll for actions afterwards.
    pub fn handle(&mut self, now: Now, input: Input) {
        let system = now.wall;
        let now = self.never_back(now);
        self.changes += u64::from(input.may_change_files());
        match input {
            Input::Dhcp(arrival, request) => self.handle_dhcp(now, &arrival, &request),
            Input::Claim(claim) => {
                let effects = self.dhcp.handle_claim(now, claim);
                self.perform(now, effects);
            }
            Input::Overheard(message) => self.handle_overheard(now, &message),
            Input::File(request) => self.handle_file(now, request),
            Input::Told(told) => self.handle_told(now, told),
            Input::Report(request) => self.handle_report(now, request),
            Input::Plan(plan) => self.handle_plan(now, plan),
            Input::PlanRefused(plan, why) => {
                self.report(now, About::default(), EventKind::PlanRefused { plan, why });
            }
            Input::Acknowledged(incarnation, number) => self.handle_acknowledged(incarnation, number),
            Input::Contact => self.clock_in_doubt = false,
            Input::ControllerTime(controller) => self.compare_clocks(now, system, controller),
            Input::OutOfReach(blobs) => self.out_of_reach = blobs,
            Input::Release(release) => self.handle_release(now, release),
            Input::Disk(disk) => self.handle_disk(now, disk),
            Input::CaptureKept(kept) => self.handle_capture_kept(now, kept),
            Input::Syslog(from, line) => self.handle_syslog(now, from, line),
            Input::Alarm(kind, detail) => self.alarm(now, kind, detail),
        }
    }

    /// A DHCP message, as [`Input::Dhcp`]. Poll for actions afterwards.
    pub fn hear(&mut self, now: Now, arrival: &Arrival, request: &Request) {
        let now = self.never_back(now);
        self.changes += 1;
        self.handle_dhcp(now, arrival, request);
    }

    /// What to do next. Poll after `handle` and `handle_timeout` until None.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Site::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Mono {
        let others =
            [self.dhcp.poll_timeout(), self.deferred.next_end(), self.foreign_servers.next_question()];
        others.into_iter().flatten().fold(self.next_look, Mono::min)
    }

    /// Time has passed. Poll for actions afterwards.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = self.never_back(now);
        let due = self.poll_timeout() <= now.mono;
        let effects = self.dhcp.handle_timeout(now);
        self.changes += u64::from(due || !effects.is_empty());
        self.perform(now, effects);
        self.answer_deferred(now);
        self.ask_for_servers(now);
        if now.mono >= self.next_look {
            self.next_look = now.mono.plus(LOOK);
            self.look_at_orders(now);
            self.tell_left_out(now);
            self.look_for_failures(now.mono);
            if now.wall > self.recorded.plus(WALL_STEP) {
                self.persist(Record::Wall(now.wall));
            }
        }
    }

    /// Grows whenever a name may have come to stand for something else, or for nothing, to some machine: plans, leases,
    /// attempts and orders may have changed. While it does not, an answer whose [`Served::stands`] holds.
    ///
    /// It may grow for nothing. What asks for files alone changes is counted where that happens: an order's step, and an
    /// attempt that is resumed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Events that wait for the controller, after `number`; what is polled here may not be on disk yet unless the
    /// actions before it were performed.
    pub fn events_after(&self, number: u64) -> impl Iterator<Item = proto::event::NumberedEvent> + '_ {
        self.journal.after(number)
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The journal's incarnation.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The leases.
    #[must_use]
    pub fn dhcp(&self) -> &Server {
        &self.dhcp
    }

    /// The plan in force.
    #[must_use]
    pub fn plan(&self) -> Option<&Arc<SitePlan>> {
        self.plan.as_ref()
    }

    /// Orders that are not at their end: their images are not to be evicted.
    #[must_use]
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Wall time never falls below what is on disk, and goes on from there (DESIGN §5 "Time").
    fn never_back(&self, now: Now) -> Now {
        let floor = self.floor.wall.plus(now.mono.since(self.floor.mono));
        Now { wall: now.wall.max(floor).max(self.recorded), ..now }
    }

    fn note_time(&mut self, record: &Record) {
        if let Record::WallSet(wall) = record {
            self.recorded = *wall;
            self.forms.set_back(*wall);
        } else {
            self.recorded = self.recorded.max(dated(record));
        }
    }

    fn persist(&mut self, record: Record) {
        self.note_time(&record);
        self.records += 1;
        self.actions.push_back(Action::Persist(record));
    }

    fn report(&mut self, now: Now, about: About, kind: EventKind) {
        self.weigh_event(now.mono, about, &kind);
        let About { attempt, host, mac } = about;
        let event = Event { at: now.wall, attempt, host, mac, kind };
        self.releases.note(&event);
        let records = self.journal.push(event);
        records.into_iter().for_each(|record| self.persist(record));
    }

    fn alarm(&mut self, now: Now, kind: AlarmKind, detail: String) {
        self.report(now, About::default(), EventKind::Alarm { kind, detail });
    }

    /// An order's step: its record, then its event.
    fn moved(&mut self, now: Now, attempt: Option<AttemptId>, mac: Option<Mac>, moved: &Moved) {
        self.changes += 1;
        self.persist(moved.record());
        let about = About { attempt: attempt.or(moved.state.attempt), host: Some(moved.state.host), mac };
        self.report(now, about, moved.event());
        if moved.state.phase.is_end() {
            self.actions.push_back(Action::DestroySecrets(moved.state.order));
        }
    }

    fn fresh_attempt(&mut self) -> AttemptId {
        AttemptId(self.random_bytes())
    }

    fn fresh_token(&mut self) -> Token128 {
        Token128(self.random_bytes())
    }

    fn random_bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.random.fill_bytes(&mut bytes);
        bytes
    }
}

/// The wall time that a record shows to have been; the epoch for those without a date.
fn dated(record: &Record) -> Wall {
    match record {
        Record::Wall(wall) | Record::WallSet(wall) => *wall,
        Record::Event(numbered) => numbered.event.at,
        Record::Order(state) => state.started.unwrap_or_default(),
        // It is written again for as long as its host lives, after the clock was set right as well; the wall time
        // stands before it.
        Record::Form(_)
        | Record::Acknowledged(_)
        | Record::Lease(_)
        | Record::LeaseRemoved(_)
        | Record::OrderRemoved(_)
        | Record::Quarantine(_)
        | Record::Sighting(_)
        | Record::NextNumber(_) => Wall::default(),
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy, Default)]
struct About {
    attempt: Option<AttemptId>,
    host: Option<HostId>,
    mac: Option<Mac>,
}

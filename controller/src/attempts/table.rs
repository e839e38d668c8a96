//! The attempts under way, and when to look at each: pure but for what others see of it.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use proto::event::EventKind;
use proto::{AttemptId, Mac, Wall};

use crate::events::{BootSummary, StoredEvent};
use crate::metrics::InProgress;

/// Attempts that are followed at one time.
pub(super) const OPEN: usize = 50_000;
/// Attempts that are over and still known as such.
const COUNTED: usize = 100_000;
/// So long after the first of some news an attempt is looked at: they come in bursts.
pub(super) const SETTLED: Duration = Duration::from_secs(5);

/// The attempts under way.
#[derive(Debug)]
pub(super) struct Table {
    open: HashMap<AttemptId, Open>,
    due: BTreeSet<(Wall, AttemptId)>,
    /// The latest of each machine.
    by_machine: HashMap<Mac, AttemptId>,
    counted: Counted,
    in_progress: InProgress,
}

#[derive(Debug)]
struct Open {
    site: String,
    mac: Option<Mac>,
    stage: &'static str,
    due: Wall,
    /// When the machine began anew.
    next_began: Option<Wall>,
}

/// Those that are over; the oldest gives way.
#[derive(Debug, Default)]
struct Counted {
    known: HashSet<AttemptId>,
    order: VecDeque<AttemptId>,
}

impl Counted {
    fn insert(&mut self, attempt: AttemptId) {
        if !self.known.insert(attempt) {
            return;
        }
        self.order.push_back(attempt);
        if self.order.len() > COUNTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Table {
    pub(super) fn new(in_progress: InProgress) -> Self {
        Self {
            open: HashMap::new(),
            due: BTreeSet::new(),
            by_machine: HashMap::new(),
            counted: Counted::default(),
            in_progress,
        }
    }

    /// Takes up an attempt of the store, or looks at it soon if it is followed already; false: there is no room.
    pub(super) fn open(&mut self, boot: &BootSummary, now: Wall) -> bool {
        if self.stir(boot.attempt, now) {
            return true;
        }
        self.begin(boot.attempt, (&boot.site, boot.mac), boot.began_ms, now)
    }

    /// Takes in an event; false: it begins an attempt for which there is no room. An attempt is begun by its first event
    /// alone: of others it is known already whether they are under way.
    pub(super) fn take(&mut self, event: &StoredEvent, now: Wall) -> bool {
        let told = &event.numbered.event;
        let Some(attempt) = told.attempt else { return true };
        if self.stir(attempt, now) {
            return true;
        }
        let begins = matches!(told.kind, EventKind::AttemptBegan { .. });
        !begins || self.begin(attempt, (&event.source.site, told.mac), told.at, now)
    }

    /// Something has come of it: it is looked at soon; false: it is not followed.
    fn stir(&mut self, attempt: AttemptId, now: Wall) -> bool {
        let Some(open) = self.open.get(&attempt) else { return false };
        let due = open.due.min(now.plus(SETTLED));
        if due != open.due {
            self.reschedule(attempt, due);
        }
        true
    }

    fn begin(
        &mut self,
        attempt: AttemptId,
        (site, mac): (&str, Option<Mac>),
        began: Wall,
        now: Wall,
    ) -> bool {
        if self.is_counted(attempt) {
            return true;
        }
        if self.open.len() >= OPEN {
            return false;
        }
        let (stage, due) = ("began", now.plus(SETTLED));
        self.in_progress.enter(site, stage);
        let open = Open { site: site.to_owned(), mac, stage, due, next_began: None };
        self.open.insert(attempt, open);
        self.due.insert((due, attempt));
        let former = mac.and_then(|mac| self.by_machine.insert(mac, attempt));
        if let Some(former) = former {
            self.supersede(former, began, now);
        }
        true
    }

    /// The machine has begun anew: nothing more will come of this one.
    fn supersede(&mut self, former: AttemptId, next_began: Wall, now: Wall) {
        let Some(open) = self.open.get_mut(&former) else { return };
        open.next_began = Some(next_began);
        self.reschedule(former, now.plus(SETTLED));
    }

    fn reschedule(&mut self, attempt: AttemptId, due: Wall) {
        let Some(open) = self.open.get_mut(&attempt) else { return };
        self.due.remove(&(open.due, attempt));
        open.due = due;
        self.due.insert((due, attempt));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Wall> {
        self.due.first().map(|(due, _)| *due)
    }

    /// At most so many that are due, and when their machines began anew. They stay due until something is said of them.
    pub(super) fn due(&self, now: Wall, most: usize) -> Vec<(AttemptId, Option<Wall>)> {
        let due = self.due.iter().take_while(|(due, _)| *due <= now).take(most);
        due.filter_map(|(_, attempt)| Some((*attempt, self.open.get(attempt)?.next_began))).collect()
    }

    /// It is in this stage, and is to be looked at again then, or when something comes of it.
    pub(super) fn goes_on(&mut self, attempt: AttemptId, stage: &'static str, again: Wall) {
        if let Some(open) = self.open.get_mut(&attempt)
            && open.stage != stage
        {
            self.in_progress.leave(&open.site, open.stage);
            self.in_progress.enter(&open.site, stage);
            open.stage = stage;
        }
        self.reschedule(attempt, again);
    }

    /// It is to be looked at again then.
    pub(super) fn later(&mut self, attempt: AttemptId, again: Wall) {
        self.reschedule(attempt, again);
    }

    /// Nothing more is expected of it.
    pub(super) fn over(&mut self, attempt: AttemptId) {
        self.counted.insert(attempt);
        let Some(open) = self.open.remove(&attempt) else { return };
        self.due.remove(&(open.due, attempt));
        self.in_progress.leave(&open.site, open.stage);
        if let Some(mac) = open.mac
            && self.by_machine.get(&mac) == Some(&attempt)
        {
            self.by_machine.remove(&mac);
        }
    }

    pub(super) fn is_open(&self, attempt: AttemptId) -> bool {
        self.open.contains_key(&attempt)
    }

    pub(super) fn is_counted(&self, attempt: AttemptId) -> bool {
        self.counted.known.contains(&attempt)
    }
}

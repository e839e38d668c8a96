//! Follows boot attempts to their ends: counts each once, and sends its trace (DESIGN §7).
//!
//! News of the event store say that something has happened; what it means is asked a moment later, once for all that came
//! meanwhile, and again when silence would be silence. Whether an attempt goes on, its events alone tell; one that has ended or
//! gone silent is judged by an [`Inquiry`], as `bootlane host explain` judges it, is counted, its trace is sent, who watches is
//! told of a silence, and what still comes of it is passed over.
//!
//! *Once*, across restarts: a [`Mark`] on disk says up to when the controller has looked. What was over by then was
//! counted by the process that looked; what was under way is found in the store at the start, and followed on. The mark is
//! written a second after something was counted, at the latest, so a controller that is killed counts again what was over
//! in the last of them. Clocks of agents and controller are taken to agree.

mod count;
mod mark;
mod missed;
mod table;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use proto::Wall;
use tokio::sync::broadcast::{Receiver, error::RecvError, error::TryRecvError};

use crate::app::App;
use crate::diagnosis::{Context, Progress, Standing, Step, progress};
use crate::events::{BootSummary, History, ReadError, StoredEvent};
use crate::explain::{Explained, Inquiry, Unreadable};
use crate::metrics::InProgress;
use missed::Missed;
use table::Table;

pub(crate) use mark::Mark;

/// How far back attempts are looked for that may be under way.
const BACK: Duration = Duration::from_secs(86_400);
/// News that are taken in before attempts are looked at.
const NEWS: usize = 1_024;
/// Attempts that are looked at before news are taken in.
const LOOKS: usize = 64;
/// What many attempts share is read again after so long.
const SHARED: Duration = Duration::from_secs(1);
/// How often the mark is written while nothing is counted, and while something is.
const MARK: Duration = Duration::from_secs(10);
const MARK_SOON: Duration = Duration::from_secs(1);

/// Follows attempts until the event store is closed.
pub(crate) async fn follow(app: App, in_progress: InProgress, mark: Mark) {
    let mut news = app.events.subscribe();
    let mut follower = Follower::new(app, in_progress, mark);
    follower.begin().await;
    while follower.hear(&mut news).await {
        follower.find_missed().await;
        follower.look().await;
        follower.keep_mark();
    }
}

struct Follower {
    app: App,
    table: Table,
    inquiry: Inquiry,
    mark: Mark,
    marked: Wall,
    /// Up to when all news were heard, but for those that were lost.
    heard: Wall,
    missed: Missed,
    /// Something was counted since the mark was written.
    counted: bool,
}

/// What was found of an attempt.
enum Looked {
    /// Its machine has had so many since that it is forgotten.
    Forgotten,
    /// At this stage; to be looked at again then.
    GoesOn(Option<Step>, Wall),
    Over(Box<Explained>),
}

impl Follower {
    fn new(app: App, in_progress: InProgress, mark: Mark) -> Self {
        let now = app.clock.wall();
        Self {
            inquiry: Inquiry::new(&app),
            app,
            table: Table::new(in_progress),
            mark,
            marked: Wall::default(),
            heard: now,
            missed: Missed::default(),
            counted: false,
        }
    }

    /// Finds what was under way when a controller last looked. The first that ever looks begins with the present.
    async fn begin(&mut self) {
        let now = self.app.clock.wall();
        let looked = self.mark.read().unwrap_or(now).min(now);
        self.find(looked).await;
        self.keep_mark();
    }

    /// Takes up what was not over at this time.
    async fn find(&mut self, looked: Wall) {
        match self.under_way(looked).await {
            Ok(found) => {
                let now = self.app.clock.wall();
                for boot in found {
                    if !self.table.open(&boot, now) {
                        self.app.metrics.boots_missed.one(&[]);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "boots under way cannot be read: they are not counted"),
        }
    }

    async fn under_way(&self, looked: Wall) -> Result<Vec<BootSummary>, ReadError> {
        let longest = Step::ALL.into_iter().map(Step::patience).max().unwrap_or_default();
        let recent = self.app.events.boots_since(looked.minus(BACK), table::OPEN).await?;
        let mut found = Vec::new();
        // The latest stand first; what began first is taken up first, so that it may be superseded.
        for boot in recent.into_iter().rev() {
            if boot.last_ms < looked.minus(longest) || self.table.is_counted(boot.attempt) {
                continue;
            }
            if !self.table.is_open(boot.attempt) {
                let events = self.app.events.boot_events(boot.attempt).await?;
                let then = progress(&boot, &events, &Context::at(looked)).standing;
                if then != Standing::UnderWay && boot.last_ms.plus(table::SETTLED) <= looked {
                    continue;
                }
            }
            found.push(boot);
        }
        Ok(found)
    }

    /// Takes in what has come, and waits if nothing is due; false: nothing will come any more.
    async fn hear(&mut self, news: &mut Receiver<Arc<StoredEvent>>) -> bool {
        for _ in 0..NEWS {
            match news.try_recv() {
                Ok(event) => self.take(&event),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Lagged(lost)) => self.lost(lost),
                Err(TryRecvError::Closed) => return false,
            }
        }
        let now = self.app.clock.wall();
        self.heard = now;
        let due = self.table.next().into_iter().chain(self.missed.due()).min();
        let pause = due.map_or(MARK, |due| due.since(now).min(MARK));
        if pause.is_zero() {
            return true;
        }
        tokio::select! {
            heard = news.recv() => match heard {
                Ok(event) => self.take(&event),
                Err(RecvError::Lagged(lost)) => self.lost(lost),
                Err(RecvError::Closed) => return false,
            },
            () = tokio::time::sleep(pause) => {}
        }
        true
    }

    fn take(&mut self, event: &StoredEvent) {
        self.app.metrics.stored(event);
        if !self.table.take(event, self.app.clock.wall()) {
            self.app.metrics.boots_missed.one(&[]);
        }
    }

    fn lost(&mut self, lost: u64) {
        self.app.metrics.events_missed.add(&[], lost);
        self.missed.note(self.heard, self.app.clock.wall());
    }

    /// Reads what was in the news that were lost, once they are lost no more.
    async fn find_missed(&mut self) {
        if let Some(since) = self.missed.take(self.app.clock.wall()) {
            self.find(since).await;
        }
    }

    /// Looks at attempts that are due.
    async fn look(&mut self) {
        let now = self.app.clock.wall();
        if now.since(self.inquiry.now()) >= SHARED {
            self.inquiry = Inquiry::new(&self.app);
        }
        let due = self.table.due(now, LOOKS);
        // All of them at once: each reading waits for another thread.
        let histories = self.app.events.histories(due.iter().map(|(attempt, _)| *attempt).collect()).await;
        for ((attempt, next_began), history) in due.into_iter().zip(histories) {
            match self.look_at(history, next_began, now).await {
                Ok(Looked::Over(explained)) => self.over(&explained).await,
                Ok(Looked::GoesOn(step, again)) => {
                    let stage = step.map_or("began", Step::word);
                    self.table.goes_on(attempt, stage, again.max(now.plus(table::SETTLED)));
                }
                Ok(Looked::Forgotten) => self.table.over(attempt),
                Err(error) => {
                    tracing::warn!(boot = %attempt, %error, "a boot cannot be looked at");
                    self.table.later(attempt, now.plus(MARK));
                }
            }
        }
    }

    async fn look_at(
        &mut self,
        history: Result<Option<History>, ReadError>,
        next_began: Option<Wall>,
        now: Wall,
    ) -> Result<Looked, Unreadable> {
        let Some((boot, events)) = history? else { return Ok(Looked::Forgotten) };
        let context = Context { next_began, ..Context::at(now) };
        let Progress { standing, step, silent_from } = progress(&boot, &events, &context);
        if standing == Standing::UnderWay {
            return Ok(Looked::GoesOn(step, silent_from));
        }
        let explained = self.inquiry.judge(boot, events).await?;
        // The inquiry may know less of the machine's next attempt, and its present is a moment older.
        match explained.diagnosis.look_again {
            Some(again) => Ok(Looked::GoesOn(step, again)),
            None => Ok(Looked::Over(Box::new(explained))),
        }
    }

    async fn over(&mut self, explained: &Explained) {
        let Explained { boot, diagnosis, .. } = explained;
        self.table.over(boot.attempt);
        self.counted = true;
        count::count(&self.app.metrics, boot, diagnosis);
        if self.app.metrics.traces.are_exported() {
            let host = self.host_name(boot).await;
            self.app.metrics.traces.take(trace::trace(boot, host, diagnosis));
        }
        if diagnosis.standing == Standing::Silent {
            self.app.silences.tell(boot, diagnosis);
        }
        let (outcome, cause) = (count::outcome(boot, diagnosis), count::cause(diagnosis));
        tracing::debug!(boot = %boot.attempt, site = boot.site, outcome, cause, "a boot is over");
    }

    /// The host's name by now: names are labels.
    async fn host_name(&self, boot: &BootSummary) -> Option<String> {
        self.app.catalog.host_name(boot.host?).await.unwrap_or_default()
    }

    fn keep_mark(&mut self) {
        let now = self.app.clock.wall();
        let pause = if self.counted { MARK_SOON } else { MARK };
        if now.since(self.marked) < pause {
            return;
        }
        (self.marked, self.counted) = (now, false);
        // What is due and was not looked at yet is not counted, nor is what was lost.
        let looked = self.table.next().into_iter().chain(self.missed.heard()).fold(self.heard, Wall::min);
        self.mark.write(looked);
    }
}

//! Follows boot attempts to their ends: counts each once, and sends its trace (DESIGN §7).
//!
//! News of the event store say that something has happened; what it means is asked of [`crate::diagnosis`] a moment later,
//! once for all that came meanwhile, and again when silence would be silence. An attempt that has ended or gone silent is
//! counted and its trace sent, and what still comes of it is passed over.
//!
//! *Once*, across restarts: a [`Mark`] on disk says up to when the controller has looked. What was over by then was
//! counted by the process that looked; what was under way is found in the store at the start, and followed on. The mark is
//! written a second after something was counted, at the latest, so a controller that is killed counts again what was over
//! in the last of them. Clocks of agents and controller are taken to agree.

mod count;
mod mark;
mod table;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use proto::{AttemptId, Wall};
use tokio::sync::broadcast::{Receiver, error::RecvError, error::TryRecvError};

use crate::app::App;
use crate::diagnosis::{Context, Diagnosis, Standing, Step, examine};
use crate::events::{BootSummary, ReadError, StoredEvent};
use table::Table;

pub(crate) use mark::Mark;
pub use table::InProgress;

/// How far back attempts are looked for that may be under way.
const BACK: Duration = Duration::from_secs(86_400);
/// News that are taken in before an attempt is looked at.
const NEWS: usize = 1_024;
/// How often the mark is written while nothing is counted, and while something is.
const MARK: Duration = Duration::from_secs(10);
const MARK_SOON: Duration = Duration::from_secs(1);
/// How far back is looked again when news were lost.
const LOST: Duration = Duration::from_secs(60);

/// Follows attempts until the event store is closed.
pub(crate) async fn follow(app: App, in_progress: InProgress, mark: Mark) {
    let mut news = app.events.subscribe();
    let mut follower = Follower::new(app, in_progress, mark);
    follower.begin().await;
    while follower.hear(&mut news).await {
        follower.look().await;
        follower.keep_mark();
    }
}

struct Follower {
    app: App,
    table: Table,
    mark: Mark,
    marked: Wall,
    /// Up to when all news were heard.
    heard: Wall,
    /// Something was counted since the mark was written.
    counted: bool,
}

impl Follower {
    fn new(app: App, in_progress: InProgress, mark: Mark) -> Self {
        let now = app.clock.wall();
        Self {
            app,
            table: Table::new(in_progress),
            mark,
            marked: Wall::default(),
            heard: now,
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
        let back = |wall: Wall, by: Duration| Wall(wall.0.saturating_sub(millis(by)));
        let recent = self.app.events.boots_since(back(looked, BACK), table::OPEN).await?;
        let mut found = Vec::new();
        // The latest stand first; what began first is taken up first, so that it may be superseded.
        for boot in recent.into_iter().rev() {
            if boot.last_ms < back(looked, longest) || self.table.is_counted(boot.attempt) {
                continue;
            }
            let events = self.app.events.boot_events(boot.attempt).await?;
            let then = examine(&boot, &events, &Context::at(looked)).standing;
            let over = then != Standing::UnderWay && boot.last_ms.plus(table::SETTLED) <= looked;
            found.extend((!over).then_some(boot));
        }
        Ok(found)
    }

    /// Takes in what has come, and waits if nothing is due; false: nothing will come any more.
    async fn hear(&mut self, news: &mut Receiver<Arc<StoredEvent>>) -> bool {
        for _ in 0..NEWS {
            match news.try_recv() {
                Ok(event) => self.take(&event),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Lagged(lost)) => self.lost(lost).await,
                Err(TryRecvError::Closed) => return false,
            }
        }
        let now = self.app.clock.wall();
        self.heard = now;
        let pause = self.table.next().map_or(MARK, |due| due.since(now).min(MARK));
        if pause.is_zero() {
            return true;
        }
        tokio::select! {
            heard = news.recv() => match heard {
                Ok(event) => self.take(&event),
                Err(RecvError::Lagged(lost)) => self.lost(lost).await,
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

    async fn lost(&mut self, lost: u64) {
        self.app.metrics.events_missed.add(&[], lost);
        let since = Wall(self.heard.0.saturating_sub(millis(LOST)));
        self.find(since).await;
    }

    /// Looks at one attempt, if one is due.
    async fn look(&mut self) {
        let now = self.app.clock.wall();
        let Some((attempt, next_began)) = self.table.due(now) else { return };
        match self.examine(attempt, next_began, now).await {
            Ok(Some((boot, diagnosis))) => self.judge(&boot, &diagnosis, now).await,
            // Forgotten, because its machine has had so many since.
            Ok(None) => self.table.over(attempt),
            Err(error) => {
                tracing::warn!(boot = %attempt, %error, "a boot cannot be looked at");
                self.table.later(attempt, now.plus(MARK));
            }
        }
    }

    async fn examine(
        &self,
        attempt: AttemptId,
        next_began: Option<Wall>,
        now: Wall,
    ) -> Result<Option<(BootSummary, Diagnosis)>, ReadError> {
        let Some(boot) = self.app.events.boot(attempt).await? else { return Ok(None) };
        let events = self.app.events.boot_events(attempt).await?;
        let context = Context { next_began, ..Context::at(now) };
        let diagnosis = examine(&boot, &events, &context);
        Ok(Some((boot, diagnosis)))
    }

    async fn judge(&mut self, boot: &BootSummary, diagnosis: &Diagnosis, now: Wall) {
        if diagnosis.standing == Standing::UnderWay {
            let stage = diagnosis.stages.last().map_or("began", |stage| stage.step.word());
            let again = diagnosis.look_again.unwrap_or(now).max(now.plus(table::SETTLED));
            return self.table.goes_on(boot.attempt, stage, again);
        }
        self.table.over(boot.attempt);
        self.counted = true;
        count::count(&self.app.metrics, boot, diagnosis);
        if self.app.metrics.traces.are_exported() {
            let host = self.host_name(boot).await;
            self.app.metrics.traces.take(trace::trace(boot, host, diagnosis));
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
        // What is due and was not looked at yet is not counted.
        let looked = self.table.next().map_or(self.heard, |due| due.min(self.heard));
        self.mark.write(looked);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

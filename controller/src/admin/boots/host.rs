//! What people watch: a host from the boot that is under way, or its next one, until its system is up or it has failed.
//!
//! That is often two attempts: one that installs, and the first one from the disk.

use std::collections::HashMap;
use std::pin::pin;

use proto::{AttemptId, HostId};
use tokio::sync::broadcast::error::RecvError;
use tonic::Status;

use super::{Gone, Watch, matches, unread};
use crate::admin::refusal;
use crate::app::App;
use crate::catalog::orders::Waited;
use crate::diagnosis::{Context, progress};
use crate::events::{BootFilter, BootSummary, Outcome, ReadError};
use crate::news::News;

/// Up to where each attempt's events were sent; None for one that was over when the watch began.
type Sent = HashMap<AttemptId, Option<u64>>;

impl Watch {
    /// Sends every event of the host's attempts from the one under way on, until one comes up or fails. An attempt
    /// that installs, or is sent to its disk, is followed by the next one. An order that comes to nothing while it waits
    /// ends it, too.
    pub(super) async fn host_until_end(mut self, filter: BootFilter) {
        let mut sent = match self.over(&filter).await {
            Ok(over) => over,
            Err(error) => return self.fail(unread(error)).await,
        };
        let mut wait = pin!(wait_over(&self.app, filter.host));
        loop {
            match self.send_new(&filter, &mut sent).await {
                Ok(false) => {}
                Ok(true) | Err(Gone) => return,
            }
            loop {
                tokio::select! {
                    () = self.out.closed() => return,
                    over = &mut wait => return self.fail(over).await,
                    next = self.news.next() => match next {
                        Ok(news) if !matches(&filter, &news) => {}
                        Ok(News::Event(_)) => break,
                        Ok(News::Silence(silence)) => {
                            if self.tell(&silence).await.is_err() {
                                return;
                            }
                        }
                        // What was missed is read from what is stored.
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return,
                    },
                }
            }
        }
    }

    /// The attempts that are over: of one that installs, or was sent to its disk, the host's system may still be heard.
    async fn over(&self, filter: &BootFilter) -> Result<Sent, ReadError> {
        let mut over = Sent::new();
        for boot in self.app.events.boots(filter.clone()).await? {
            if !self.may_be_heard(&boot).await? {
                over.insert(boot.attempt, None);
            }
        }
        Ok(over)
    }

    async fn may_be_heard(&self, boot: &BootSummary) -> Result<bool, ReadError> {
        match boot.outcome {
            Outcome::Failed | Outcome::Up => Ok(false),
            Outcome::Running | Outcome::LocalDisk | Outcome::Installed => {
                let events = self.app.events.boot_events(boot.attempt).await?;
                let now = self.app.clock.wall();
                Ok(now < progress(boot, &events, &Context::at(now)).silent_from)
            }
        }
    }

    /// Sends what is stored and was not sent; has the host come to an end?
    async fn send_new(&self, filter: &BootFilter, sent: &mut Sent) -> Result<bool, Gone> {
        let boots = match self.app.events.boots(filter.clone()).await {
            Ok(boots) => boots,
            Err(error) => {
                self.fail(unread(error)).await;
                return Err(Gone);
            }
        };
        for boot in boots.iter().rev() {
            let Some(place) = sent.entry(boot.attempt).or_insert(Some(0)) else { continue };
            self.send_on(boot.attempt, place).await?;
            if matches!(boot.outcome, Outcome::Up | Outcome::Failed) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What to say once an order that the host waits with has come to nothing: no boot tells that. Never, where none waits or it
/// was armed.
async fn wait_over(app: &App, host: Option<HostId>) -> Status {
    match follow_wait(app, host).await {
        Ok(Some(text)) => Status::failed_precondition(text),
        Ok(None) => std::future::pending().await,
        Err(status) => status,
    }
}

async fn follow_wait(app: &App, host: Option<HostId>) -> Result<Option<String>, Status> {
    let Some(host) = host else { return Ok(None) };
    let Some(host) = app.catalog.host_name(host).await.map_err(refusal::read)? else { return Ok(None) };
    let Some(order) = app.catalog.waiting_order_of(&host).await.map_err(refusal::read)? else {
        return Ok(None);
    };
    // Whatever becomes of it, the site's plan changes.
    let mut plans = app.planner.subscribe(&order.spec.site);
    loop {
        match app.catalog.waited(&order.name).await.map_err(refusal::read)? {
            Waited::On => {}
            Waited::Armed => return Ok(None),
            Waited::Over(why) => {
                return Ok(Some(format!("order {} is over and nothing is installed: {why}", order.name)));
            }
        }
        if plans.changed().await.is_err() {
            return Ok(None);
        }
    }
}

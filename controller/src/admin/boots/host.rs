//! What people watch: a host from the boot that is under way, or its next one, until its system is up or it has failed.
//!
//! That is often two attempts: one that installs, and the first one from the disk.

use std::collections::HashMap;
use std::time::Duration;

use proto::{AttemptId, Wall};
use tokio::sync::broadcast::error::RecvError;

use super::{Gone, Watch, matches, unread};
use crate::events::{BootFilter, BootSummary, Outcome};

/// A boot that has been silent for so long is not under way, whatever it was last seen to do.
const SILENT: Duration = Duration::from_secs(3600);

/// How many stored events of each attempt were sent; None for one that was over when the watch began.
type Sent = HashMap<AttemptId, Option<usize>>;

impl Watch {
    /// Sends every event of the host's attempts from the one under way on, until one comes up or fails. An attempt
    /// that installs, or is sent to its disk, is followed by the next one.
    pub(super) async fn host_until_end(self, filter: BootFilter) {
        // Subscribed first, so that nothing falls between what is stored and what comes.
        let mut news = self.app.events.subscribe();
        let mut sent = match self.app.events.boots(filter.clone()).await {
            Ok(boots) => self.over(&boots),
            Err(error) => return self.fail(unread(error)).await,
        };
        loop {
            match self.send_new(&filter, &mut sent).await {
                Ok(false) => {}
                Ok(true) | Err(Gone) => return,
            }
            loop {
                tokio::select! {
                    () = self.out.closed() => return,
                    next = news.recv() => match next {
                        Ok(event) if matches(&filter, &event) => break,
                        Ok(_) => {}
                        // What was missed is read from what is stored.
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return,
                    },
                }
            }
        }
    }

    /// The attempts that are over.
    fn over(&self, boots: &[BootSummary]) -> Sent {
        let now = self.app.clock.wall();
        boots.iter().filter(|boot| !under_way(boot, now)).map(|boot| (boot.attempt, None)).collect()
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
            let Some(count) = sent.entry(boot.attempt).or_insert(Some(0)) else { continue };
            *count = self.send_from(boot.attempt, *count).await?;
            if matches!(boot.outcome, Outcome::Up | Outcome::Failed) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn under_way(boot: &BootSummary, now: Wall) -> bool {
    match boot.outcome {
        Outcome::Running | Outcome::LocalDisk | Outcome::Installed => now.since(boot.last_ms) < SILENT,
        Outcome::Failed | Outcome::Up => false,
    }
}

//! What we hold of the plan, upward: everything once a stream, then what has changed; at once what matters, the progress
//! of blobs every few seconds.

use std::{convert::Infallible, sync::Arc, time::Duration};

use proto::{
    holding::Holding,
    v1::{self, report_request::Report},
};
use tokio::{sync::mpsc, time::Instant};

use super::{LinkError, Session, report::request};

/// The least time between two reports of progress, and of what matters.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));

/// What the controller was told last, and when.
type Told = Option<(Arc<Holding>, Instant)>;

impl Session {
    pub(super) async fn send_holding(
        &self,
        out: &mpsc::Sender<v1::ReportRequest>,
    ) -> Result<Infallible, LinkError> {
        let mut seen = self.holding.clone();
        let mut told: Told = None;
        loop {
            let now = seen.borrow_and_update().clone();
            if let Some(now) = now {
                if let Some(due) = due(&told, &now).filter(|due| *due > Instant::now()) {
                    // What comes meanwhile may matter more.
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        Ok(()) = seen.changed() => {}
                    }
                    continue;
                }
                if let Some(report) = now.report(told.as_ref().map(|(before, _)| before.as_ref())) {
                    let sending = out.send(request(Report::Holding(report))).await;
                    sending.map_err(|_| LinkError::Ended("the stream of events"))?;
                    told = Some((now, Instant::now()));
                }
            }
            if seen.changed().await.is_err() {
                // The survey has ended, and the agent with it.
                return std::future::pending().await;
            }
        }
    }
}

/// When it may be told; None: at once.
fn due(told: &Told, now: &Holding) -> Option<Instant> {
    let (before, at) = told.as_ref()?;
    let (progress, news) = PAUSES;
    Some(*at + if matters(before, now) { news } else { progress })
}

/// Another plan, or everything is here, or nothing goes on, or nothing or something comes now: somebody may wait to hear that.
fn matters(before: &Holding, now: &Holding) -> bool {
    let comes = |holding: &Holding| holding.bytes_per_second > 0;
    before.plan != now.plan
        || before.is_complete() != now.is_complete()
        || before.held_up != now.held_up
        || comes(before) != comes(now)
}

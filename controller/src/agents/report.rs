//! One `Report` stream: events are stored, what they say of orders is recorded, and then they are acknowledged.

use std::sync::Arc;
use std::time::Instant;

use proto::catalog::MirrorStatus;
use proto::event::{Event, EventKind, NumberedEvent};
use proto::holding::Holding;
use proto::{AttemptId, Incarnation, PlanId, Wall, v1};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::caller::AgentCaller;
use super::effects::Effects;
use crate::app::App;
use crate::events::{AppendError, Source};
use crate::metrics::Reporting;
use crate::sessions::{Contact, Session};
use crate::status;

/// Events of one batch, at most.
const BATCH: usize = 10_000;
/// Addresses of one agent that are kept, and characters of each.
const ADDRESSES: (usize, usize) = (16, 64);

/// A reporting agent.
pub(super) struct Reporter {
    app: App,
    caller: AgentCaller,
    contact: Contact,
    answers: mpsc::Sender<Result<v1::Acknowledged, Status>>,
}

impl Reporter {
    pub(super) fn new(
        app: App,
        (caller, contact): (AgentCaller, Contact),
        answers: mpsc::Sender<Result<v1::Acknowledged, Status>>,
    ) -> Self {
        Self { app, caller, contact, answers }
    }

    /// Takes reports until the agent ends the stream or is revoked.
    pub(super) async fn run(self, session: Session, reports: Streaming<v1::ReportRequest>) {
        let end = tokio::select! {
            why = session.closed() => Err(super::closed(why)),
            end = self.take_all(reports) => end,
        };
        if let Err(status) = end {
            // The agent may have gone away, and then nobody needs to hear why.
            let _ = self.answers.try_send(Err(status));
        }
    }

    async fn take_all(&self, mut reports: Streaming<v1::ReportRequest>) -> Result<(), Status> {
        let mut held: Option<Arc<Holding>> = None;
        let mut metrics = self.app.metrics.agents.open(&self.caller.site, &self.caller.agent);
        while let Some(request) = reports.message().await? {
            match request.report {
                Some(v1::report_request::Report::Batch(batch)) => {
                    let acknowledged = self.batch(batch).await?;
                    if self.answers.send(Ok(acknowledged)).await.is_err() {
                        return Ok(());
                    }
                }
                Some(v1::report_request::Report::Status(message)) => self.status(message).await,
                Some(v1::report_request::Report::Holding(report)) => {
                    held = Some(self.holding(held.take(), report).await?);
                }
                Some(v1::report_request::Report::Metrics(report)) => self.metrics(&mut metrics, &report),
                Some(v1::report_request::Report::Capture(chunk)) => {
                    self.app.captures.answered(&self.caller.agent, chunk);
                }
                // A kind of report that this version does not know.
                None => {}
            }
        }
        Ok(())
    }

    async fn batch(&self, batch: v1::EventBatch) -> Result<v1::Acknowledged, Status> {
        let incarnation = Incarnation::from_wire("batch.incarnation", &batch.incarnation)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if batch.events.len() > BATCH {
            return Err(Status::invalid_argument(format!("a batch takes at most {BATCH} events")));
        }
        let events = batch.events.into_iter().map(understood).collect::<Result<Vec<_>, _>>()?;
        let effects = Effects::of(&self.caller, &events);
        let source = Source { site: self.caller.site.clone(), agent: self.caller.agent.clone() };
        let number = self.app.events.append(&source, incarnation, events).await.map_err(refused)?;
        // After storing and before the acknowledgement: what fails here comes again with the batch.
        effects.record(&self.app, &self.caller).await?;
        Ok(v1::Acknowledged { incarnation: incarnation.to_wire(), number })
    }

    /// What the agent lacks by now, of which a change was reported.
    async fn holding(
        &self,
        before: Option<Arc<Holding>>,
        report: v1::HoldingReport,
    ) -> Result<Arc<Holding>, Status> {
        let before = before.map(Arc::unwrap_or_clone);
        let after = Holding::after(before, report);
        let after = after.map_err(|error| Status::invalid_argument(error.within("holding").to_string()))?;
        let after = Arc::new(after);
        let whose = (self.caller.agent.as_str(), self.caller.site.as_str());
        let app = &self.app;
        app.holdings.note(app.store.as_ref(), whose, Arc::clone(&after), app.clock.wall()).await;
        Ok(after)
    }

    /// Numbers that cannot be taken are no reason to end the stream that brings the events.
    fn metrics(&self, agents: &mut Reporting, report: &v1::MetricsReport) {
        let refused = agents.take(report, Instant::now()).unwrap_or_else(|error| {
            tracing::debug!(agent = self.caller.agent, %error, "a report of metrics is not taken");
            1
        });
        self.app.metrics.reports_refused.add(&[], refused);
    }

    async fn status(&self, message: v1::AgentStatus) {
        let applied = message.applied.and_then(|id| PlanId::try_from(id).ok()).map(|id| id.to_string());
        let (most, longest) = ADDRESSES;
        let plain = |text: String| text.chars().filter(|c| !c.is_control()).take(longest).collect::<String>();
        let addresses: Vec<_> = message.addresses.into_iter().take(most).map(plain).collect();
        let peers: Vec<_> = message.peer_addresses.iter().filter_map(|text| text.parse().ok()).collect();
        let mirrors = MirrorStatus::all_of(message.mirrors);
        // What is lost is said again with the next status.
        if let Err(error) = self.app.catalog.note_peer_addresses(&self.caller.agent, &peers).await {
            tracing::warn!(agent = self.caller.agent, %error, "cannot note where an agent gives blobs");
        }
        status::note(&self.app, &self.caller.agent, &self.contact, move |status| {
            status.applied = applied.clone().unwrap_or_default();
            status.journal_events = message.journal_events;
            status.leases = message.leases;
            status.cache_bytes = message.cache_bytes;
            status.missing_blobs = message.missing_blobs;
            status.disk_low = message.disk_low;
            status.cache_budget = message.cache_budget;
            status.addresses.clone_from(&addresses);
            status.mirrors.clone_from(&mirrors);
        })
        .await;
    }
}

/// An event of a newer agent that this version does not understand keeps its number and becomes a gap: refusing it
/// would hold up everything behind it for ever.
fn understood(message: v1::NumberedEvent) -> Result<NumberedEvent, Status> {
    let number = message.number;
    let at = Wall(message.event.as_ref().map_or(0, |event| event.at_ms));
    let boot = message.event.as_ref().and_then(|event| AttemptId::from_wire("attempt", &event.attempt).ok());
    match NumberedEvent::try_from(message) {
        Ok(event) => Ok(event),
        Err(error) if number == 0 => Err(Status::invalid_argument(error.within("batch.events").to_string())),
        Err(error) => {
            let boot = boot.map(tracing::field::display);
            tracing::warn!(boot, number, %error, "an event is not understood and is kept as a gap");
            let kind = EventKind::Gap { first: number, last: number };
            Ok(NumberedEvent { number, event: Event { at, attempt: None, host: None, mac: None, kind } })
        }
    }
}

fn refused(error: AppendError) -> Status {
    match error {
        AppendError::Hole { .. } => Status::invalid_argument(error.to_string()),
        AppendError::Failed { .. } | AppendError::Closed => {
            Status::unavailable(format!("{error}: keep the events and send them again"))
        }
    }
}

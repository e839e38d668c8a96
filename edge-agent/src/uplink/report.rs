//! Events upward in order, from disk; forgotten only when the controller has stored them.

use std::{convert::Infallible, time::Duration};

use netboot::site::Input;
use proto::{
    Incarnation,
    plan::PlanDocument,
    v1::{self, report_request::Report},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};
use tracing::Instrument as _;

use super::{LinkError, Session, agents, call_failed};
use crate::{core::Tail, metrics};

/// Events in one message, at most.
const BATCH: usize = 500;
/// Messages that may wait to be sent.
const AHEAD: usize = 4;
/// How often the controller is told how we are, and what we count.
const STATUS: Duration = Duration::from_secs(15);

impl Session {
    pub(super) async fn report(&self, channel: Channel) -> Result<Infallible, LinkError> {
        let (out, requests) = mpsc::channel(AHEAD);
        let mut client = agents(channel);
        let span = tracing::info_span!("report events", otel.kind = "client");
        let call = client.report(ReceiverStream::new(requests)).instrument(span);
        // The controller answers once it has seen the first message.
        let status = self.status().await;
        out.send(request(Report::Status(status)))
            .await
            .map_err(|_| LinkError::Ended("the stream of events"))?;
        let acknowledged = call.await.map_err(call_failed("the stream of events"))?.into_inner();
        tokio::select! {
            ended = self.send_events(&out) => ended,
            ended = self.send_status(&out) => ended,
            ended = self.send_holding(&out) => ended,
            ended = self.send_metrics(&out) => ended,
            ended = self.send_captures(&out) => ended,
            ended = self.take_acknowledgements(acknowledged) => ended,
        }
    }

    async fn send_events(&self, out: &mpsc::Sender<v1::ReportRequest>) -> Result<Infallible, LinkError> {
        let mut journal = Tail::new(&self.core);
        let incarnation = self.core.incarnation().to_wire();
        loop {
            let events = journal.next(BATCH).await?;
            let events = events.into_iter().map(Into::into).collect();
            let batch = v1::EventBatch { incarnation: incarnation.clone(), events };
            let sending = out.send(request(Report::Batch(batch))).await;
            sending.map_err(|_| LinkError::Ended("the stream of events"))?;
        }
    }

    async fn send_status(&self, out: &mpsc::Sender<v1::ReportRequest>) -> Result<Infallible, LinkError> {
        let mut plan = self.plan.subscribe();
        let mut health = self.health.clone();
        loop {
            tokio::select! {
                () = tokio::time::sleep(STATUS) => {}
                Ok(()) = plan.changed() => {}
                Ok(()) = health.changed() => tokio::time::sleep(Duration::from_secs(1)).await,
            }
            let status = self.status().await;
            let sending = out.send(request(Report::Status(status))).await;
            sending.map_err(|_| LinkError::Ended("the stream of events"))?;
        }
    }

    /// Now, and then as often as the state.
    async fn send_metrics(&self, out: &mpsc::Sender<v1::ReportRequest>) -> Result<Infallible, LinkError> {
        loop {
            let report = metrics::pack(&self.metrics.gather().await);
            let sending = out.send(request(Report::Metrics(report))).await;
            sending.map_err(|_| LinkError::Ended("the stream of events"))?;
            tokio::time::sleep(STATUS).await;
        }
    }

    async fn status(&self) -> v1::AgentStatus {
        let view = *self.core.view().borrow();
        let health = self.health.borrow().clone();
        v1::AgentStatus {
            applied: self.plans.lock().await.current().map(PlanDocument::id).map(Into::into),
            journal_events: view.waiting,
            leases: view.leases,
            cache_bytes: health.cache_bytes,
            missing_blobs: health.missing_blobs,
            disk_low: view.disk_low,
            addresses: health.addresses,
            peer_addresses: health.peer_addresses,
            cache_budget: health.cache_budget,
            mirrors: self.mirrors.status(),
        }
    }

    async fn take_acknowledgements(
        &self,
        mut stream: Streaming<v1::Acknowledged>,
    ) -> Result<Infallible, LinkError> {
        while let Some(message) = stream.message().await.map_err(call_failed("the stream of events"))? {
            let incarnation = Incarnation::from_wire("incarnation", &message.incarnation)
                .map_err(|error| LinkError::Wire(error.to_string()))?;
            self.core.input(Input::Acknowledged(incarnation, message.number)).await?;
        }
        Err(LinkError::Ended("the stream of events"))
    }
}

pub(super) fn request(report: Report) -> v1::ReportRequest {
    v1::ReportRequest { report: Some(report) }
}

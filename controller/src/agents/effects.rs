//! What events mean for the catalog: orders that have moved. Safe to repeat, as batches are sent again.

use proto::event::{EventKind, NumberedEvent};
use tonic::Status;

use crate::app::App;
use crate::catalog::orders::PhaseReport;

/// The moves of orders among an agent's events, in order.
pub(super) fn order_moves(agent: &str, events: &[NumberedEvent]) -> Vec<PhaseReport> {
    let moved = |numbered: &NumberedEvent| {
        let event = &numbered.event;
        let EventKind::OrderMoved { order, phase, reason, .. } = &event.kind else { return None };
        Some(PhaseReport {
            agent: agent.to_owned(),
            order: *order,
            phase: *phase,
            since: event.at,
            reason: reason.chars().filter(|c| !c.is_control()).take(512).collect(),
            attempt: event.attempt,
        })
    };
    events.iter().filter_map(moved).collect()
}

/// Records them.
pub(super) async fn record(app: &App, moves: Vec<PhaseReport>) -> Result<(), Status> {
    for report in moves {
        app.catalog.record_order_phase(&report).await.map_err(|error| {
            tracing::error!(order = %report.order, %error, "cannot record where an order stands");
            Status::unavailable("the catalog takes no writes: keep the events and send them again")
        })?;
    }
    Ok(())
}

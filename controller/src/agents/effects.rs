//! What events mean for the catalog: orders that have moved. Safe to repeat, as batches are sent again.

use proto::event::{EventKind, NumberedEvent};
use tonic::Status;

use crate::app::App;
use crate::catalog::{Proof, orders::PhaseReport};

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

/// The forms of replies that machines have proved, in order.
pub(super) fn form_proofs(site: &str, events: &[NumberedEvent]) -> Vec<Proof> {
    let proof = |numbered: &NumberedEvent| {
        let event = &numbered.event;
        let EventKind::FormMoved { form, proved: true, model, firmware, .. } = &event.kind else {
            return None;
        };
        let firmware = firmware.chars().filter(|c| !c.is_control()).take(128).collect();
        let (site, mac, at) = (site.to_owned(), event.mac?, event.at);
        Some(Proof { site, mac, model: *model, firmware, form: *form, at })
    };
    events.iter().filter_map(proof).collect()
}

/// Records what was learnt. It is not worth holding events up: what is lost is learnt again by the next machine.
pub(super) async fn learn(app: &App, proofs: Vec<Proof>) {
    for proof in proofs {
        if let Err(error) = app.catalog.learn_form(&proof).await {
            tracing::warn!(mac = %proof.mac, %error, "cannot record in which form a machine is told what to boot");
        }
    }
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

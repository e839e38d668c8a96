//! What events mean for the catalog: orders that have moved, addresses that were freed, forms of replies that were
//! proved. Safe to repeat, as batches are sent again.

use std::net::Ipv4Addr;

use proto::ReleaseId;
use proto::event::{EventKind, NumberedEvent};
use tonic::Status;

use super::caller::AgentCaller;
use crate::app::App;
use crate::catalog::{Alarm, Proof, Refused, orders::PhaseReport};

/// What an agent's events mean.
pub(super) struct Effects {
    moved: Vec<PhaseReport>,
    answered: Vec<(Ipv4Addr, ReleaseId, Option<Refused>)>,
    proofs: Vec<Proof>,
    alarms: Vec<Alarm>,
}

impl Effects {
    /// In their order.
    pub(super) fn of(caller: &AgentCaller, events: &[NumberedEvent]) -> Self {
        let answered = events.iter().filter_map(answered).collect();
        Self {
            moved: order_moves(&caller.agent, events),
            answered,
            proofs: form_proofs(&caller.site, events),
            alarms: events.iter().filter_map(|event| alarm(&caller.agent, event)).collect(),
        }
    }

    /// Records them.
    pub(super) async fn record(self, app: &App, caller: &AgentCaller) -> Result<(), Status> {
        for report in self.moved {
            app.catalog.record_order_phase(&report).await.map_err(|error| {
                let boot = report.attempt.map(tracing::field::display);
                tracing::error!(boot, order = %report.order, %error, "cannot record where an order stands");
                refused()
            })?;
        }
        for (address, release, refused_by_agent) in self.answered {
            let recorded = app.catalog.release_answered(&caller.site, (address, release), refused_by_agent);
            recorded.await.map_err(|error| {
                tracing::error!(%address, %error, "cannot record what became of a release");
                refused()
            })?;
        }
        // The events themselves are stored.
        if let Err(error) = app.catalog.note_alarms(&caller.site, &self.alarms).await {
            tracing::warn!(site = caller.site, %error, "cannot keep the alarms of a site");
        }
        // It is not worth holding events up: what is lost is told again at the machine's next boot.
        for proof in self.proofs {
            if let Err(error) = app.catalog.learn_form(&proof, app.clock.wall()).await {
                tracing::warn!(mac = %proof.mac, %error, "cannot record in which form a machine is told what to boot");
            }
        }
        Ok(())
    }
}

fn refused() -> Status {
    Status::unavailable("the catalog takes no writes: keep the events and send them again")
}

fn alarm(agent: &str, numbered: &NumberedEvent) -> Option<Alarm> {
    let event = &numbered.event;
    let EventKind::Alarm { kind, detail } = &event.kind else { return None };
    Some(Alarm::raised(agent, *kind, detail, (event.host, event.mac), event.at))
}

fn answered(numbered: &NumberedEvent) -> Option<(Ipv4Addr, ReleaseId, Option<Refused>)> {
    let EventKind::LeaseReleaseAnswered { release, address, refused } = &numbered.event.kind else {
        return None;
    };
    let refused = refused.clone().map(|why| Refused { at_ms: numbered.event.at, why });
    Some((*address, *release, refused))
}

/// The moves of orders among an agent's events, in order.
fn order_moves(agent: &str, events: &[NumberedEvent]) -> Vec<PhaseReport> {
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
fn form_proofs(site: &str, events: &[NumberedEvent]) -> Vec<Proof> {
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

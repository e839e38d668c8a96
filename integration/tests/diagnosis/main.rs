//! Faults that are provoked, not told: a machine of paper before the agent's own engines, and TFTP packets before its own
//! server. What these make of it are events, and the rules must find the fault in them.

mod boot;
mod later;
mod manual;
mod plan;
mod tftp;

use controller::diagnosis::{Cause, Context, Diagnosis, examine};
use controller::events::{BootSummary, Source, StoredEvent};
use proto::event::NumberedEvent;
use proto::{Incarnation, Wall};

/// One attempt, as the controller would have stored it.
type Attempt = (BootSummary, Vec<StoredEvent>);

/// The attempts among these events, the earliest first.
fn attempts(events: Vec<NumberedEvent>) -> Vec<Attempt> {
    let source = Source { site: "lyon".into(), agent: plan::AGENT.into() };
    let mut attempts: Vec<Attempt> = Vec::new();
    for numbered in events {
        let Some(id) = numbered.event.attempt else { continue };
        let place = attempts.iter().position(|(boot, _)| boot.attempt == id).unwrap_or_else(|| {
            attempts.push((BootSummary::new(id, &source, &numbered.event), Vec::new()));
            attempts.len() - 1
        });
        let (boot, events) = &mut attempts[place];
        boot.take(&numbered.event);
        events.push(StoredEvent { source: source.clone(), incarnation: Incarnation([9; 16]), numbered });
    }
    attempts
}

/// The diagnosis of an attempt, two hours after its last event.
fn diagnosed((boot, events): &Attempt, context: Context) -> Diagnosis {
    examine(boot, events, &Context { now: Wall(boot.last_ms.0 + 7_200_000), ..context })
}

/// What answers "why did it not boot?", of the first attempt.
fn cause(events: Vec<NumberedEvent>) -> Option<Cause> {
    let attempts = attempts(events);
    diagnosed(attempts.first().expect("an attempt"), Context::default()).cause()
}

//! Faults that are provoked, not told: a machine of paper before the agent's own engines, and TFTP packets before its own
//! server. What these make of it are events, and the rules must find the fault in them.

mod boot;
mod plan;
mod tftp;

use controller::diagnosis::{Cause, Context, Diagnosis, examine};
use controller::events::{BootSummary, Source, StoredEvent};
use proto::event::NumberedEvent;
use proto::{Incarnation, Wall};

/// The diagnosis of one attempt's events, two hours after the last.
fn diagnosed(events: Vec<NumberedEvent>, context: Context) -> Diagnosis {
    let source = Source { site: "lyon".into(), agent: plan::AGENT.into() };
    let stored =
        |numbered| StoredEvent { source: source.clone(), incarnation: Incarnation([9; 16]), numbered };
    let attempt = events.iter().find_map(|numbered| numbered.event.attempt).expect("an attempt");
    let of_attempt = |event: &StoredEvent| event.numbered.event.attempt == Some(attempt);
    let events: Vec<_> = events.into_iter().map(stored).filter(of_attempt).collect();
    let mut boot = BootSummary::new(attempt, &source, &events[0].numbered.event);
    events.iter().for_each(|event| boot.take(&event.numbered.event));
    examine(&boot, &events, &Context { now: Wall(boot.last_ms.0 + 7_200_000), ..context })
}

/// What answers "why did it not boot?".
fn cause(events: Vec<NumberedEvent>) -> Option<Cause> {
    diagnosed(events, Context::default()).cause()
}

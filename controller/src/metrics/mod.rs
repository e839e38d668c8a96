//! What the controller's parts count as they work, and what agents tell of themselves ([`agents`]).
//!
//! [`Metrics`] is what the parts count in, one for the whole controller. What else there is to say is looked up when somebody
//! asks, by [`crate::scrape`].

mod agents;
mod calls;
mod in_progress;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use proto::event::EventKind;
use telemetry::boots::Boots;
use telemetry::metrics::{Counters, Histograms, of_controller as name};

use crate::events::StoredEvent;

pub(crate) use agents::{AgentReports, Reporting};
pub(crate) use calls::count_calls;
pub use in_progress::InProgress;

/// What is counted as it happens. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) boots: Counters,
    pub(crate) stage_seconds: Histograms,
    pub(crate) boot_seconds: Histograms,
    pub(crate) alarms: Counters,
    pub(crate) calls: Counters,
    pub(crate) call_seconds: Histograms,
    pub(crate) events_missed: Counters,
    pub(crate) boots_missed: Counters,
    pub(crate) reports_refused: Counters,
    pub(crate) agents: AgentReports,
    /// The way of boots' traces.
    pub(crate) traces: Boots,
    state: Arc<State>,
}

/// What others look at now and then.
#[derive(Debug, Default)]
struct State {
    /// The store of events takes none.
    events_refused: AtomicBool,
    /// Seconds since the Unix epoch; 0: not known yet.
    listener_ends: AtomicU64,
}

impl Metrics {
    /// From 0; traces of boots go this way.
    #[must_use]
    pub fn new(traces: Boots) -> Self {
        Self {
            boots: Counters::new(&name::BOOTS),
            stage_seconds: Histograms::new(&name::STAGE_SECONDS),
            boot_seconds: Histograms::new(&name::BOOT_SECONDS),
            alarms: Counters::new(&name::ALARMS),
            calls: Counters::new(&name::CALLS_ANSWERED),
            call_seconds: Histograms::new(&name::CALL_SECONDS),
            events_missed: Counters::new(&name::EVENTS_MISSED),
            boots_missed: Counters::new(&name::BOOTS_MISSED),
            reports_refused: Counters::new(&name::REPORTS_REFUSED),
            agents: AgentReports::default(),
            traces,
            state: Arc::default(),
        }
    }

    /// An event was stored: what it says of sites is counted.
    pub(crate) fn stored(&self, event: &StoredEvent) {
        if let EventKind::Alarm { kind, .. } = &event.numbered.event.kind {
            self.alarms.one(&[&event.source.site, kind.word()]);
        }
    }

    /// Whether the store of events takes any.
    pub(crate) fn note_events_taken(&self, taken: bool) {
        self.state.events_refused.store(!taken, Ordering::Relaxed);
    }

    /// Whether it takes none.
    pub(crate) fn events_refused(&self) -> bool {
        self.state.events_refused.load(Ordering::Relaxed)
    }

    /// When the certificate ends that the listeners show.
    pub(crate) fn note_listener_ends(&self, at: SystemTime) {
        let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.state.listener_ends.store(seconds, Ordering::Relaxed);
    }

    /// In seconds since the Unix epoch; 0: not known yet.
    pub(crate) fn listener_ends(&self) -> u64 {
        self.state.listener_ends.load(Ordering::Relaxed)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Boots::default())
    }
}

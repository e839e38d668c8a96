//! Everything that the controller can say in metrics, of itself and of its agents, at one moment: what was counted
//! ([`crate::metrics`]), and what stands in the catalog, the planner and on disk, which is looked up at most every ten seconds
//! however often it is asked.

mod fleet;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proto::Wall;
use telemetry::metrics::{self, Definition, Exposition, Owner, of_controller as name};
use tokio::sync::Mutex;

use crate::app::App;
use crate::blobs::Usage;
use crate::metrics::InProgress;
use crate::store::Health;
use fleet::Fleet;

/// How old what was looked up in the catalog may be.
const FLEET: Duration = Duration::from_secs(10);
/// How old the sum of the blobs may be.
const BLOBS: Duration = Duration::from_secs(60);

/// Where the numbers are. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Gatherer {
    app: App,
    state: PathBuf,
    blobs: PathBuf,
    in_progress: InProgress,
    looked: Arc<Mutex<Looked>>,
}

/// What is looked up now and then.
#[derive(Default)]
struct Looked {
    fleet: Option<(Instant, Arc<Fleet>)>,
    blobs: Option<(Instant, Usage)>,
}

impl Gatherer {
    /// Of this controller, whose state and whose blobs are in these folders.
    #[must_use]
    pub(crate) fn new(app: App, (state, blobs): (PathBuf, PathBuf), in_progress: InProgress) -> Self {
        Self { app, state, blobs, in_progress, looked: Arc::default() }
    }

    /// The controller's own, those of sites and of boots.
    pub(crate) async fn controller(&self) -> Exposition {
        let mut all = Exposition::new();
        metrics::process(&mut all, proto::VERSION, [&name::BUILD, &name::STARTED, &name::MEMORY, &name::CPU]);
        self.counted(&mut all);
        self.in_progress.add_to(&mut all);
        all.set(&name::EVENTS, number(self.app.events.stored()));
        self.traces(&mut all);
        self.stores(&mut all).await;
        self.disks(&mut all).await;
        self.certificates(&mut all);
        if let Some(fleet) = self.fleet().await {
            add_sites(&mut all, &fleet);
        }
        all
    }

    /// Those of agents: what is known of each, and what each tells.
    pub(crate) async fn agents(&self) -> Exposition {
        let mut all = Exposition::new();
        if let Some(fleet) = self.fleet().await {
            for agent in &fleet.agents {
                all.owned_by(Owner { site: agent.site.clone(), agent: agent.name.clone() });
                all.set(&name::AGENT_UP, flag(agent.online));
                all.set(&name::AGENT_BEHIND, flag(agent.behind));
                if let Some(at) = agent.last_contact {
                    all.set(&name::AGENT_LAST_CONTACT, wall(at));
                }
            }
        }
        self.app.metrics.agents.add_to(&mut all, Instant::now());
        all
    }

    fn counted(&self, all: &mut Exposition) {
        let metrics = &self.app.metrics;
        let counters = [
            &metrics.boots,
            &metrics.boots_missed,
            &metrics.alarms,
            &metrics.calls,
            &metrics.events_missed,
            &metrics.reports_refused,
        ];
        counters.into_iter().for_each(|counters| all.add_counters(counters));
        let histograms = [&metrics.stage_seconds, &metrics.boot_seconds, &metrics.call_seconds];
        histograms.into_iter().for_each(|histograms| all.add_histograms(histograms));
    }

    fn traces(&self, all: &mut Exposition) {
        let (own, boots) = (telemetry::spans(), self.app.metrics.traces.numbers());
        let both: [(&'static Definition, &str, u64); 5] = [
            (&name::SPANS, "exported", own.exported),
            (&name::SPANS, "dropped", own.dropped),
            (&name::BOOT_TRACES, "exported", boots.exported),
            (&name::BOOT_TRACES, "dropped", boots.dropped),
            (&name::BOOT_TRACES, "unsampled", boots.unsampled),
        ];
        both.into_iter().for_each(|(metric, outcome, spans)| all.set_with(metric, &[outcome], number(spans)));
    }

    async fn stores(&self, all: &mut Exposition) {
        let catalog = self.app.store.health() == Health::Writable;
        let events = !self.app.metrics.events_refused();
        all.set_with(&name::STORE_WRITABLE, &["catalog"], flag(catalog));
        all.set_with(&name::STORE_WRITABLE, &["events"], flag(events));
        if let Ok(revision) = self.app.store.revision().await {
            all.set(&name::STORE_REVISION, number(revision.0));
        }
        all.set(&name::PLANNER_LAG, self.app.planner.lag().as_secs_f64());
    }

    async fn disks(&self, all: &mut Exposition) {
        for (disk, folder) in [("state", &self.state), ("blobs", &self.blobs)] {
            if let Some((free, size)) = space(folder) {
                all.set_with(&name::DISK_FREE, &[disk], number(free));
                all.set_with(&name::DISK_SIZE, &[disk], number(size));
            }
        }
        if let Some(usage) = self.blobs().await {
            all.set(&name::BLOBS, number(usage.blobs));
            all.set(&name::BLOBS_USED, number(usage.bytes));
        }
    }

    fn certificates(&self, all: &mut Exposition) {
        let listener = self.app.metrics.listener_ends();
        if listener > 0 {
            all.set_with(&name::CERTIFICATE_EXPIRY, &["listener"], number(listener));
        }
        if let Some(ends) = self.app.authority().root_ends() {
            all.set_with(&name::CERTIFICATE_EXPIRY, &["authority"], seconds(ends));
        }
    }

    async fn fleet(&self) -> Option<Arc<Fleet>> {
        let mut looked = self.looked.lock().await;
        if let Some((at, fleet)) = &looked.fleet
            && at.elapsed() < FLEET
        {
            return Some(Arc::clone(fleet));
        }
        let fleet = Fleet::look(&self.app).await;
        let fleet = fleet.inspect_err(|error| tracing::warn!(%error, "the fleet cannot be counted")).ok()?;
        let fleet = Arc::new(fleet);
        looked.fleet = Some((Instant::now(), Arc::clone(&fleet)));
        Some(fleet)
    }

    async fn blobs(&self) -> Option<Usage> {
        let mut looked = self.looked.lock().await;
        if let Some((at, usage)) = looked.blobs
            && at.elapsed() < BLOBS
        {
            return Some(usage);
        }
        let usage = self.app.blobs.usage().await;
        let usage = usage.inspect_err(|error| tracing::warn!(%error, "the blobs cannot be counted")).ok()?;
        looked.blobs = Some((Instant::now(), usage));
        Some(usage)
    }
}

fn add_sites(all: &mut Exposition, fleet: &Fleet) {
    let online = fleet.agents.iter().filter(|agent| agent.online).count() as u64;
    all.set_with(&name::AGENTS, &["online"], number(online));
    all.set_with(&name::AGENTS, &["offline"], number(fleet.agents.len() as u64 - online));
    for (site, seen) in &fleet.sites {
        all.set_with(&name::SITE_PLAN_REVISION, &[site], number(seen.revision));
        all.set_with(&name::SITE_PLAN_PROBLEMS, &[site], number(seen.problems));
        all.set_with(&name::SITE_AGENTS_BEHIND, &[site], number(seen.behind));
    }
    for ((site, phase), (count, oldest)) in &fleet.orders {
        all.set_with(&name::ORDERS, &[site, phase], number(*count));
        all.set_with(&name::ORDER_OLDEST, &[site, phase], wall(*oldest));
    }
}

/// Free bytes, and all; None: the disk does not say.
fn space(folder: &Path) -> Option<(u64, u64)> {
    let about = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
    Some((bytes(about.f_bavail), bytes(about.f_blocks)))
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn number(count: u64) -> f64 {
    count as f64
}

/// Since the Unix epoch.
fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn wall(at: Wall) -> f64 {
    number(at.0) / 1e3
}

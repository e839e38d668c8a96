//! Everything that the agent can say of itself at one moment.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use proto::plan::SitePlan;
use telemetry::metrics::{self, Exposition, Owner, of_agent as name};
use tokio::sync::watch;

use crate::{
    controllers::{Health, Link},
    core::Core,
    disk::{cache::Cache, space::Space},
    holding::Arrivals,
    images::Images,
    mirror::Mirrors,
};

/// Where the numbers are. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gatherer {
    /// Our own name.
    pub agent: String,
    /// The disk of our state.
    pub state: PathBuf,
    /// Diagnostics that may wait.
    pub journal_limit: usize,
    /// DHCP, leases, transfers, the journal.
    pub core: Core,
    /// Which askers found what they asked for.
    pub images: Images,
    /// What came from where.
    pub arrivals: Arrivals,
    /// What is held.
    pub cache: Arc<Cache>,
    /// What mirrors do.
    pub mirrors: Mirrors,
    /// The link's state.
    pub link: watch::Receiver<Link>,
    /// The budget, and what is missing.
    pub health: watch::Receiver<Health>,
    /// The plan in force.
    pub plan: watch::Receiver<Option<Arc<SitePlan>>>,
    /// Since when.
    pub adopted: Adopted,
}

/// When the plan in force was adopted. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Adopted(Arc<AtomicU64>);

impl Adopted {
    /// Follows the plan until nobody publishes any more.
    pub async fn follow(self, mut plan: watch::Receiver<Option<Arc<SitePlan>>>) {
        loop {
            if plan.borrow_and_update().is_some() {
                self.0.store(seconds(SystemTime::now()) as u64, Ordering::Relaxed);
            }
            if plan.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// Since the Unix epoch.
fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn number(count: u64) -> f64 {
    // Beyond 2^53 the last digits are of no account.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
    let number = count as f64;
    number
}

impl Gatherer {
    /// All of it, as of now.
    pub async fn gather(&self) -> Exposition {
        let site = self.link.borrow().site.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut all = Exposition::of_agent(Owner { site, agent: self.agent.clone() });
        let own = [&name::BUILD, &name::STARTED, &name::MEMORY, &name::CPU];
        metrics::process(&mut all, proto::VERSION, own);
        self.link_and_plan(&mut all);
        self.core_counts(&mut all);
        self.addresses(&mut all).await;
        self.cache(&mut all);
        self.mirrors(&mut all);
        self.disk(&mut all);
        all
    }

    fn link_and_plan(&self, all: &mut Exposition) {
        let link = self.link.borrow().clone();
        all.set(&name::LINK_UP, f64::from(u8::from(link.up)));
        if let Some(ends) = link.certificate_ends {
            all.set(&name::CERTIFICATE_EXPIRY, seconds(ends));
        }
        if let Some(plan) = self.plan.borrow().as_ref() {
            all.set(&name::PLAN_EPOCH, number(plan.id.generation.epoch));
            all.set(&name::PLAN_REVISION, number(plan.id.generation.revision));
            all.set(&name::PLAN_ADOPTED, number(self.adopted.0.load(Ordering::Relaxed)));
        }
        let spans = telemetry::spans();
        all.set_with(&name::SPANS, &["exported"], number(spans.exported));
        all.set_with(&name::SPANS, &["dropped"], number(spans.dropped));
    }

    fn core_counts(&self, all: &mut Exposition) {
        let (counts, view) = (self.core.counts(), *self.core.view().borrow());
        counts.requests.now().for_each(|(word, n)| all.set_with(&name::DHCP_REQUESTS, &[word], number(n)));
        counts.replies.now().for_each(|(word, n)| all.set_with(&name::DHCP_REPLIES, &[word], number(n)));
        counts.not_found.now().for_each(|(word, n)| all.set_with(&name::NOT_FOUND, &[word], number(n)));
        counts.alarms.now().for_each(|(word, n)| all.set_with(&name::ALARMS, &[word], number(n)));
        for (transport, stage, transfers) in counts.transfers() {
            for (outcome, count) in [("sent", &transfers.sent), ("broken", &transfers.broken)] {
                all.set_with(&name::TRANSFERS, &[transport, stage, outcome], number(count.now()));
            }
            all.set_with(&name::TRANSFERRED, &[transport, stage], number(transfers.bytes.now()));
        }
        all.set(&name::RETRANSMISSIONS, number(counts.retransmissions.now()));
        all.set(&name::LEASES, f64::from(view.leases));
        all.set(&name::JOURNAL, number(view.waiting));
        all.set(&name::JOURNAL_LIMIT, number(self.journal_limit as u64));
        all.set(&name::DISK_LOW, f64::from(u8::from(view.disk_low)));
    }

    async fn addresses(&self, all: &mut Exposition) {
        // A core that has stopped takes the agent with it.
        let Ok(census) = self.core.census().await else { return };
        all.set(&name::FOREIGN_SERVERS, number(census.foreign_servers as u64));
        for pools in census.pools {
            let network = pools.network.to_string();
            all.set_with(&name::POOL_ADDRESSES, &[&network], number(pools.addresses));
            all.set_with(&name::POOL_LEASES, &[&network], number(pools.leased));
        }
    }

    fn cache(&self, all: &mut Exposition) {
        let health = self.health.borrow().clone();
        all.set(&name::CACHE_USED, number(self.cache.total_bytes()));
        all.set(&name::CACHE_BUDGET, number(health.cache_budget));
        all.set(&name::CACHE_MISSING, f64::from(health.missing_blobs));
        all.set(&name::CACHE_CORRUPT, number(self.cache.corrupt()));
        let lookups = self.images.lookups();
        for (result, count) in
            [("hit", &lookups.hits), ("arriving", &lookups.arriving), ("miss", &lookups.misses)]
        {
            all.set_with(&name::CACHE_LOOKUPS, &[result], number(count.now()));
        }
        let fetched = self.arrivals.counts();
        for (outcome, count) in [("done", &fetched.done), ("failed", &fetched.failed)] {
            all.set_with(&name::CACHE_FILLS, &[outcome], number(count.now()));
        }
        let sources = [
            ("agent", &fetched.from_agents),
            ("url", &fetched.from_urls),
            ("controller", &fetched.from_controllers),
        ];
        for (source, count) in sources {
            all.set_with(&name::FETCHED, &[source], number(count.now()));
        }
    }

    fn mirrors(&self, all: &mut Exposition) {
        for mirror in self.mirrors.status() {
            let of = [mirror.name.as_str()];
            all.set_with(&name::MIRROR_USED, &of, number(mirror.held_bytes));
            all.set_with(&name::MIRROR_FILES, &of, number(mirror.held_files));
            all.set_with(&name::MIRROR_WAN, &of, number(mirror.wan_bytes));
            all.set_with(&name::MIRROR_SERVED, &of, number(mirror.machine_bytes));
            all.set_with(&name::MIRROR_QUESTIONS, &of, number(mirror.questions));
            all.set_with(&name::MIRROR_AWAY, &of, number(mirror.away.len() as u64));
            let answers = [
                ("held", mirror.held),
                ("checked", mirror.checked),
                ("fetched", mirror.fetched),
                ("joined", mirror.joined),
                ("stale", mirror.stale),
                ("absent", mirror.absent),
                ("unavailable", mirror.unavailable),
            ];
            for (result, count) in answers {
                all.set_with(&name::MIRROR_ANSWERS, &[&mirror.name, result], number(count));
            }
        }
    }

    fn disk(&self, all: &mut Exposition) {
        if let Ok(space) = Space::of(&self.state) {
            all.set(&name::DISK_FREE, number(space.free_bytes));
            all.set(&name::DISK_SIZE, number(space.total_bytes));
        }
    }
}

//! The agent as a whole: sockets first, then an unprivileged user, then disk, servers and the link, in that order.

use std::{collections::HashMap, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use netboot::site::{self, Arrival, Input, Station};
use proto::{OrderId, PlanId, plan::SitePlan};
use telemetry::metrics::{Endpoint, Listen};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, watch},
    task::{self, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Tap, UserError,
    captures::Captures,
    config::Config,
    controllers::{Health, Link},
    core::{self, Core, Stopped},
    dhcp,
    disk::{DiskError, atomic, cache::Cache, log},
    fetch::{self, Fetcher},
    holding::{Arrivals, Survey},
    http,
    images::Images,
    interfaces::{self, Interface, InterfaceError},
    ipv6,
    library::Shelf,
    link,
    metrics::{Adopted, Gatherer},
    mirror::{self, Mirrors},
    peers::{Peers, PeersError},
    plans::{Found, PlanStore},
    scrub::Scrub,
    sys::user,
    syslog, tftp,
    uplink::Uplink,
};

/// An interrupted fetch that was not gone on with for so long is given up.
const PARTIALS: Duration = Duration::from_secs(7 * 86_400);
/// An agent that has run so long under a plan does not blame the plan for its end.
const SETTLED: Duration = Duration::from_secs(20);
/// Blobs that machines wait for; further ones are asked for again.
const WANTED: usize = 256;
/// TFTP events that may wait.
const TFTP_EVENTS: usize = 4_096;
/// Orders at their end whose secrets wait to be destroyed; what is beyond it waits in the core.
const ENDED_ORDERS: usize = 1_024;
/// Boots that have failed and whose packets are to be kept; those beyond it are not.
const FAILED_BOOTS: usize = 256;
/// How long servers may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Why the agent does not run, or runs no more.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An interface.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// Privileges.
    #[error(transparent)]
    User(#[from] UserError),
    /// An agent runs already.
    #[error(
        "an agent runs with the state folder {} already: stop it first, or give this one a `state` of its own",
        folder.display()
    )]
    Running {
        /// Which.
        folder: PathBuf,
    },
    /// Root is no user to stay (S16).
    #[error(
        "the agent runs as root and `user` is not set: name an unprivileged user, or say `user = \"root\"`"
    )]
    Root,
    /// The runtime.
    #[error("failed to start the runtime")]
    Runtime(#[source] io::Error),
    /// Logging.
    #[error(transparent)]
    Telemetry(#[from] telemetry::StartError),
    /// The state's disk.
    #[error("failed to use the state folder {folder}")]
    State {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: DiskError,
    },
    /// The core.
    #[error(transparent)]
    Core(#[from] core::StartError),
    /// DHCP.
    #[error(transparent)]
    Dhcp(#[from] dhcp::OpenError),
    /// A packet socket.
    #[error(transparent)]
    Link(#[from] link::OpenError),
    /// TFTP.
    #[error(transparent)]
    Tftp(#[from] tftp::ServeError),
    /// HTTP.
    #[error(transparent)]
    Http(#[from] http::ServeError),
    /// Other agents.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// Metrics.
    #[error("failed to listen on {address}, as `metrics.listen` says")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// It ended by itself; the log says why.
    #[error(transparent)]
    CoreEnded(#[from] Stopped),
    /// A part of the agent ended by itself: whoever watches the agent is to start it anew.
    #[error("{0} has ended by itself")]
    Ended(String),
}

impl RunError {
    /// Is it about what the agent finds on this machine, which [`crate::check`] looks at?
    #[must_use]
    pub fn is_of_machine(&self) -> bool {
        match self {
            Self::Interface(_)
            | Self::User(_)
            | Self::Root
            | Self::State { .. }
            | Self::Dhcp(_)
            | Self::Link(_)
            | Self::Peers(_)
            | Self::Metrics { .. } => true,
            Self::Running { .. }
            | Self::Runtime(_)
            | Self::Telemetry(_)
            | Self::Core(_)
            | Self::Tftp(_)
            | Self::Http(_)
            | Self::CoreEnded(_)
            | Self::Ended(_) => false,
        }
    }
}

/// Runs the agent until it is told to end (SIGTERM, SIGINT).
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(config: Config) -> Result<(), RunError> {
    // Before its ports are tried, which the other one has: that says less.
    if log::is_in_use(&config.state.join("ledger")) == Some(true) {
        return Err(RunError::Running { folder: config.state });
    }
    let interfaces = interfaces::open(&config)?;
    let stays_root = change_user(config.user.as_deref(), user::is_root())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
    let guard = {
        let _inside = runtime.enter();
        telemetry::start("bootlane-agent", proto::VERSION, &config.telemetry)?
    };
    if stays_root {
        tracing::warn!("runs as root, as its configuration says");
    }
    let outcome = runtime.block_on(serve(config, interfaces));
    drop(guard);
    runtime.shutdown_timeout(GRACE);
    outcome
}

/// True: the process stays root, which the configuration says in so many words (S16).
fn change_user(wanted: Option<&str>, root: bool) -> Result<bool, RunError> {
    match wanted {
        None if root => Err(RunError::Root),
        None => Ok(false),
        Some("root") if root => Ok(true),
        Some(name) => Ok(user::become_user(name).map(|()| false)?),
    }
}

async fn serve(config: Config, interfaces: Vec<Interface>) -> Result<(), RunError> {
    let shutdown = CancellationToken::new();
    let state = |source| RunError::State { folder: config.state.clone(), source };
    atomic::make_directory(&config.state).map_err(state)?;
    let (plans, found) = PlanStore::open(&config.state.join("plans")).map_err(state)?;
    let cache = open_cache(&config).map_err(state)?;

    let (mut served, mut answered) = (Vec::new(), Vec::new());
    for Interface { arrival, subnet, dhcp, ipv6, tftp, http, syslog } in interfaces {
        let (ports, wire) = dhcp.watch()?;
        answered.push(core::Interface { arrival: arrival.clone(), ports });
        served.push((arrival, subnet, wire, ipv6.watch()?, tftp, http, syslog));
    }
    let station = |arrival: &Arrival, wire: &dhcp::Wire| Station { address: arrival.server, mac: wire.mac() };
    let stations: Vec<_> = served.iter().map(|(arrival, _, wire, ..)| station(arrival, wire)).collect();
    let ends_of_links = stations.iter().map(|station| (station.address, station.mac)).collect();
    let addresses = served.iter().map(|(arrival, ..)| arrival.server.to_string()).collect();

    let (ended_orders, to_destroy) = mpsc::channel(ENDED_ORDERS);
    let (failed_boots, to_keep) = mpsc::channel(FAILED_BOOTS);
    let tap = Tap::new(config.captures.memory_bytes);
    let (core, core_ended) = Core::start(core::Options {
        ledger: config.state.join("ledger"),
        site: site::Config {
            agent: config.controller.name.to_string(),
            journal_limit: config.journal_events,
            stations,
        },
        low_disk_bytes: config.low_disk_bytes,
        interfaces: answered,
        ended_orders,
        tap: tap.clone(),
        failed_boots,
        snapshots: core::Snapshots { after_bytes: config.ledger_bytes, ..core::Snapshots::default() },
    })?;
    let captures = (config.state.join("captures"), config.captures.disk_bytes);
    let captures = Captures::open((&captures.0, captures.1), tap.clone(), core.clone(), ends_of_links);
    let captures = captures.map_err(state)?;

    // Before anybody is served: machines have waited in the sockets since before a restart, and "no such file" would be
    // the end of an installation.
    let (plan_out, plan) = watch::channel(None);
    begin_with(&core, &plans, found, &plan_out).await?;
    core.serve().await?;

    let (wanted, to_fetch) = mpsc::channel(WANTED);
    let images = Images::new(cache.clone(), wanted);
    let desk = Arc::new(core.clone());
    let wan = Arc::new(fetch::Budget::default());
    let mirrors = Mirrors::new(mirror::Options {
        folder: config.state.join("mirrors"),
        plan: plan.clone(),
        low_disk_bytes: config.low_disk_bytes,
        proxy: config.mirror_proxy,
        wan: wan.clone(),
        limits: mirror::Limits::default(),
    });
    let limits = http::Limits::default();
    let server = http::Server::with_mirrors(desk.clone(), images.clone(), mirrors.clone(), limits);
    let server = server.tapped(tap.clone());
    let (mut servers, mut workers) = (Tasks::default(), Tasks::default());
    for (arrival, subnet, wire, ipv6, sockets, listener, syslog) in served {
        match syslog {
            Some(socket) => {
                let lines = syslog::serve(socket, core.clone(), shutdown.clone());
                servers.spawn("the listener to machines' syslog", lines);
            }
            None => tracing::warn!(
                address = %arrival.server,
                "UDP port 514 is another's: what machines say by syslog is not told with their boots"
            ),
        }
        let listener_of_dhcp = core::overhear(core.clone(), wire, shutdown.clone());
        servers.spawn("the listener to other DHCP servers", listener_of_dhcp);
        servers.spawn("the refusal of IPv6", ipv6::decline(ipv6, plan.clone(), shutdown.clone()));
        let (events, told) = mpsc::channel(TFTP_EVENTS);
        let shelf = Arc::new(Shelf::new(desk.clone(), images.clone(), arrival.clone(), subnet));
        let teller = shelf.clone();
        servers.spawn("the teller of TFTP's events", async move { teller.tell(told).await });
        let sockets = sockets.tapped(tap.clone());
        let mut tftp = tftp::serve(sockets, tftp::Config::default(), shelf, events, shutdown.clone())?;
        servers.spawn("the TFTP server", async move { log_panic(tftp.stopped().await) });
        let mut http = server.serve(listener, arrival, shutdown.clone())?;
        servers.spawn("the HTTP server", async move { log_panic(http.stopped().await) });
    }

    let (link_out, link) = watch::channel(Link::default());
    let (health_out, health) = watch::channel(Health { addresses, ..Health::default() });
    let plans = Arc::new(Mutex::new(plans));
    workers.spawn("the watch over new plans", settle(plans.clone(), plan.clone(), SETTLED));
    workers.spawn("the destroyer of secrets", destroy_secrets(plans.clone(), to_destroy));
    let (holding_out, holding) = watch::channel(None);
    let arrivals = Arrivals::default();
    let adopted = Adopted::default();
    workers.spawn("the clock of plans", adopted.clone().follow(plan.clone()));
    let metrics = Gatherer {
        agent: config.controller.name.to_string(),
        state: config.state.clone(),
        journal_limit: config.journal_events,
        core: core.clone(),
        images,
        arrivals: arrivals.clone(),
        cache: cache.clone(),
        mirrors: mirrors.clone(),
        link: link.clone(),
        health: health.clone(),
        plan: plan.clone(),
        adopted,
    };
    if let Some(Listen(address)) = config.metrics.listen {
        workers.spawn("the server of metrics", serve_metrics(address, metrics.clone()).await?);
    }
    let survey = Survey {
        cache: cache.clone(),
        plan: plan.clone(),
        core: core.clone(),
        arrivals: arrivals.clone(),
        out: holding_out,
    };
    if let Some(address) = config.peers {
        let peers = Peers::listen(address, cache.clone(), plan.clone(), link.clone()).await?;
        health_out.send_modify(|health| health.peer_addresses = vec![address.to_string()]);
        workers.spawn("the server of other agents", peers.run());
    }
    let scrub = Scrub::new(cache.clone(), plan.clone(), &config.state.join("verified"));
    workers.spawn("the verifier of images", scrub.run());
    let fetcher = Fetcher::new(fetch::Options {
        cache,
        controllers: config.controller.fleet.clone(),
        agent: config.controller.name.to_string(),
        core: core.clone(),
        plan: plan.clone(),
        link,
        wanted: to_fetch,
        budget: config.cache_bytes,
        wan,
        health: health_out,
        arrivals,
    });
    workers.spawn("the fetcher", fetcher.run());
    workers.spawn("the keeper of captures", captures.clone().keep(to_keep));
    workers.spawn("the keeper of mirrors", mirrors.clone().tend());
    workers.spawn("the survey of the cache", survey.run());
    let identity_folder = config.state.join("identity");
    let uplink = Uplink {
        config: config.controller,
        identity_folder,
        core: core.clone(),
        plans: plans.clone(),
        plan: plan_out,
        link: link_out,
        health,
        mirrors,
        holding,
        metrics,
        captures,
    };
    workers.spawn("the uplink", uplink.run());

    tracing::info!("serving");
    let mut core_ended = core_ended;
    let outcome = tokio::select! {
        biased;
        () = told_to_end() => Ok(()),
        _ = &mut core_ended => return Err(Stopped.into()),
        ended = servers.one_ended() => Err(RunError::Ended(ended)),
        ended = workers.one_ended() => Err(RunError::Ended(ended)),
    };
    shutdown.cancel();
    servers.drain(GRACE).await;
    workers.abort().await;
    if outcome.is_ok() {
        let in_force = plan.borrow().as_ref().map(|plan| plan.id);
        settle_now(&plans, in_force).await;
    }
    let closed = async { (core.stop().await, core_ended.await.ok()) };
    if tokio::time::timeout(GRACE, closed).await.is_err() {
        tracing::warn!("the ledger was not closed in time; the next start reads what is on disk");
    }
    outcome
}

/// Listens at once, and serves when it is run.
async fn serve_metrics(
    address: SocketAddr,
    metrics: Gatherer,
) -> Result<impl Future<Output = ()> + Send + 'static, RunError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| RunError::Metrics { address, source })?;
    let gather = telemetry::metrics::gather(move || {
        let metrics = metrics.clone();
        async move { metrics.gather().await }
    });
    Ok(telemetry::metrics::serve(listener, vec![Endpoint { path: "/metrics", gather }]))
}

/// Tasks with names: one that ends before its time is noticed, and said.
#[derive(Default)]
struct Tasks {
    set: JoinSet<()>,
    names: HashMap<task::Id, &'static str>,
}

impl Tasks {
    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until any of them ends; its name, and how if it did not end in peace.
    async fn one_ended(&mut self) -> String {
        let Some(ended) = self.set.join_next_with_id().await else { return std::future::pending().await };
        let name = |id| self.names.get(&id).copied().unwrap_or("a task");
        match ended {
            Ok((id, ())) => name(id).into(),
            Err(error) => format!("{} ({error})", name(error.id())),
        }
    }

    /// Waits for all of them, for at most `grace`; then those that are left are cut off.
    async fn drain(&mut self, grace: Duration) {
        let all = async { while self.set.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            tracing::warn!(left = self.set.len(), "servers did not end in time");
        }
        self.abort().await;
    }

    async fn abort(&mut self) {
        self.set.shutdown().await;
    }
}

fn open_cache(config: &Config) -> Result<Arc<Cache>, DiskError> {
    let (cache, scanned) = Cache::open(&config.state.join("cache"), std::time::SystemTime::now(), PARTIALS)?;
    tracing::info!(blobs = scanned.blobs, bytes = scanned.bytes, "image cache opened");
    Ok(Arc::new(cache))
}

/// The last good plan goes into force with no controller up.
async fn begin_with(
    core: &Core,
    plans: &PlanStore,
    found: Found,
    plan_out: &watch::Sender<Option<Arc<SitePlan>>>,
) -> Result<(), Stopped> {
    for damage in &found.damaged {
        tracing::error!(error = damage as &dyn std::error::Error, "the stored plans are not in order");
    }
    if let Some(id) = found.rejected {
        let why = "the agent ended soon after it began to obey it, three times";
        tracing::error!(plan = %id, why, "went back to the plan before it");
        core.input(Input::PlanRefused(id, why.into())).await?;
    }
    let Some(document) = plans.current() else {
        tracing::info!("no plan yet: nothing is served before the controller has given one");
        return Ok(());
    };
    match SitePlan::decode(document) {
        Ok(plan) => {
            tracing::info!(plan = %plan.id, "goes on with the last plan");
            let plan = Arc::new(plan);
            core.input(Input::Plan(plan.clone())).await?;
            plan_out.send_replace(Some(plan));
        }
        Err(error) => tracing::error!(%error, "the stored plan cannot be understood"),
    }
    Ok(())
}

fn log_panic(stopped: Result<(), impl std::error::Error + 'static>) {
    if let Err(error) = stopped {
        tracing::error!(error = &error as &dyn std::error::Error, "a server has ended");
    }
}

/// Each plan that was in force for long enough is a good one.
async fn settle(
    plans: Arc<Mutex<PlanStore>>,
    mut plan: watch::Receiver<Option<Arc<SitePlan>>>,
    settled: Duration,
) {
    loop {
        let id = plan.borrow_and_update().as_ref().map(|plan| plan.id);
        tokio::select! {
            changed = plan.changed() => {
                if changed.is_err() {
                    return;
                }
                continue;
            }
            () = tokio::time::sleep(settled) => {}
        }
        settle_now(&plans, id).await;
        if plan.changed().await.is_err() {
            return;
        }
    }
}

async fn settle_now(plans: &Mutex<PlanStore>, plan: Option<PlanId>) {
    let Some(plan) = plan else { return };
    if let Err(error) = plans.lock().await.settle(plan) {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(%plan, error, "failed to note that the plan is a good one");
    }
}

/// What the disk refuses is done by the next start, for which the core announces all ended orders anew.
async fn destroy_secrets(plans: Arc<Mutex<PlanStore>>, mut orders: mpsc::Receiver<OrderId>) {
    while let Some(order) = orders.recv().await {
        if let Err(error) = plans.lock().await.destroy_secrets(order) {
            tracing::error!(%order, error = &error as &dyn std::error::Error, "failed to destroy an order's secrets");
        }
    }
    // Only the core ends this; whoever waits for the core says so.
    std::future::pending().await
}

/// Says by which signal.
async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    let signal = tokio::select! {
        () = terminate => "SIGTERM",
        _ = tokio::signal::ctrl_c() => "SIGINT",
    };
    tracing::info!(signal, "told to end");
}

#[cfg(test)]
mod tests;

//! A controller from its configuration to its end: what is opened, in which order, and what it leaves running.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certs::{
    Authority, CertificateRequest, Credential, Identity, KeyPair, MAX_OPERATOR_LIFETIME, OperatorCredential,
    OperatorName,
};
use telemetry::boots::Boots;
use telemetry::metrics::{Endpoint, Listen, gather};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::app::{App, Clock};
use crate::attempts::{self, Mark};
use crate::backup::SECRETS_KEY;
use crate::blobs::Blobs;
use crate::captures::Captures;
use crate::catalog::Catalog;
use crate::catalog::roles::FIRST_OPERATOR;
use crate::config::{Config, Limits};
use crate::events::{self, EventStore};
use crate::holdings::Holdings;
use crate::listen::{Serving, Tls, TlsSetupError, Upkeep, enrol_routes, fleet_routes, serve};
use crate::metrics::{InProgress, Metrics};
use crate::news::Silences;
use crate::page::{self, Listening};
use crate::planner::Planner;
use crate::scrape::Gatherer;
use crate::sessions::Sessions;
use crate::store::{LocalStore, Revision, Store, Tuning};
use crate::trust::Trust;
use crate::vault::Vault;

/// The operator credential that the first start leaves in the folder of state.
pub const ADMIN_CREDENTIAL: &str = "admin.credential";

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The catalog's store.
    #[error("failed to open the store")]
    Store(#[from] crate::store::OpenError),
    /// The certificate authority.
    #[error("failed to open the certificate authority")]
    Authority(#[from] certs::OpenError),
    /// The key of secrets.
    #[error("failed to open the key of secrets")]
    Vault(#[from] crate::vault::VaultError),
    /// What agents reported.
    #[error("failed to open the event store")]
    Events(#[from] events::OpenError),
    /// Image bytes.
    #[error("failed to open the blobs")]
    Blobs(#[from] crate::blobs::OpenError),
    /// The listeners' certificate.
    #[error("failed to prepare TLS")]
    Tls(#[from] TlsSetupError),
    /// The certificate of the page.
    #[error("failed to prepare the page's certificate")]
    Page(#[from] certs::tls::FileError),
    /// The folder of state.
    #[error("failed to use the folder of state {}{}", path.display(), state_remedy(source))]
    State {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store knows a fleet whose keys are not there: new ones would be refused by everybody.
    #[error(
        "{} is missing, though the store is not new: put it back, or restore the last backup into an empty folder",
        .0.display()
    )]
    KeysLost(PathBuf),
    /// A listener's socket.
    #[error("failed to listen on {address}, as `{key}` says{}", listen_remedy(source))]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Traces of boots.
    #[error("failed to prepare the traces of boots")]
    Telemetry(#[from] telemetry::StartError),
    /// The first operator.
    #[error("failed to make the first operator's credential: {0}")]
    FirstOperator(String),
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the system has more kinds, which speak for themselves")]
fn state_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ": it must belong to the user that the controller runs as",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": make room on its disk",
        io::ErrorKind::ReadOnlyFilesystem => ": its file system is mounted read-only",
        _ => "",
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the system has more kinds, which speak for themselves")]
fn listen_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ": another program has that port, stop it or choose another port",
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
        io::ErrorKind::PermissionDenied => ": ports below 1024 take CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

/// A controller that runs.
pub struct Running {
    /// Where the fleet listener is.
    pub fleet: SocketAddr,
    /// Where the enrol listener is.
    pub enrol: SocketAddr,
    /// Where metrics are served, if they are.
    pub metrics: Option<SocketAddr>,
    /// Where the page is; None: none is served.
    pub page: Option<SocketAddr>,
    /// Its parts.
    pub app: App,
    ended: JoinHandle<()>,
}

impl Running {
    /// Waits until it has stopped and everything is closed.
    pub async fn ended(self) {
        // A task that panicked has been reported by the runtime.
        let _ = self.ended.await;
    }
}

/// Starts a controller; it runs until `stop` is cancelled. Ports of 0 are chosen by the system.
///
/// # Errors
/// [`StartError`]; what is on disk was left as it is.
pub async fn run(config: Config, stop: CancellationToken) -> Result<Running, StartError> {
    run_with(config, Clock::system(), stop).await
}

/// As [`run`], with another clock for what is issued and judged by the controller itself.
///
/// # Errors
/// As [`run`].
pub async fn run_with(config: Config, clock: Clock, stop: CancellationToken) -> Result<Running, StartError> {
    // Nothing is touched by a controller that could not be reached.
    let (fleet, fleet_address) = listen("listen.fleet", config.listen.fleet).await?;
    let (enrol, enrol_address) = listen("listen.enrol", config.listen.enrol).await?;
    let addresses = (fleet_address, enrol_address);
    let metrics = match config.metrics.listen {
        Some(Listen(address)) => Some(listen("metrics.listen", address).await?),
        None => None,
    };
    let page = open_page(&config).await?;
    let page_address = page.as_ref().map(|page| page.address);
    let (mut app, planner) = open(&config, clock).await?;
    app.logins = page.as_ref().map(|page| page.logins.clone());
    first_operator(&app, &config, addresses.0.port()).await?;
    app.planner.ready().await;
    let tls = Tls::new(&app, &config.name, &config.listen.names)?;
    let (sender, writable) = watch::channel(true);
    let mut serving = JoinSet::new();
    let (asks, shows) = (tls.server.fleet_config(), tls.server.enrol_config());
    let limits = config.limits;
    let one = |socket, tls, routes| Serving { socket, tls, routes, limits };
    serving.spawn(serve(
        one(fleet, asks, fleet_routes(&app, config.state.join(SECRETS_KEY), writable.clone())),
        stop.clone(),
    ));
    serving.spawn(serve(one(enrol, shows, enrol_routes(&app, writable)), stop.clone()));
    let mut keeping = JoinSet::new();
    if let Some(page) = page {
        let (tls, address) = (page.tls(&tls.server), page.address);
        let routes = page::routes(&app, page.logins, stop.clone());
        let limits = Limits { connections: page.connections, ..limits };
        serving.spawn(serve(Serving { socket: page.socket, tls, routes, limits }, stop.clone()));
        keeping.spawn(page::keep_certificate(page.files));
        tracing::info!(page = %address, "the page is served");
    }
    keeping.spawn(Upkeep::new(app.clone(), tls).run());
    keeping.spawn(crate::agents::revocation::watch(app.clone()));
    keeping.spawn(crate::upkeep::keep_writable(app.clone(), sender));
    keeping.spawn(crate::upkeep::end_overdue_orders(app.clone()));
    keeping.spawn(crate::readiness::arming::arm_orders(app.clone()));
    let in_progress = InProgress::default();
    keeping.spawn(attempts::follow(app.clone(), in_progress.clone(), Mark::within(&config.state)));
    let metrics = metrics.map(|(socket, address)| {
        let folders = (config.state.clone(), config.blobs.clone());
        keeping.spawn(serve_metrics(socket, Gatherer::new(app.clone(), folders, in_progress)));
        address
    });
    tracing::info!(fleet = %addresses.0, enrol = %addresses.1, "the controller serves");
    let sessions = app.sessions.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        sessions.stop();
    });
    let ended = tokio::spawn(end(app.clone(), serving, keeping, planner));
    Ok(Running { fleet: addresses.0, enrol: addresses.1, metrics, page: page_address, app, ended })
}

/// Opens everything that is on disk. The store comes first: its lock keeps a second controller from the rest.
async fn open(config: &Config, clock: Clock) -> Result<(App, JoinHandle<()>), StartError> {
    writable(&config.state).map_err(|source| StartError::State { path: config.state.clone(), source })?;
    let tuning = Tuning {
        history_revisions: config.keep.revisions,
        quota_bytes: config.keep.catalog.0,
        ..Tuning::default()
    };
    let store: Arc<dyn Store> = Arc::new(LocalStore::open(&config.state.join("store"), tuning)?);
    let opened = open_beside(config, clock, Arc::clone(&store)).await;
    if opened.is_err() {
        store.close().await;
    }
    opened
}

/// That files can be made there; the folder is made if it is absent.
fn writable(state: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state)?;
    let probe = state.join(".writable");
    std::fs::File::create(&probe)?;
    std::fs::remove_file(&probe)
}

/// The keys are made before the first write to the store, so a store that was written to has them.
async fn check_keys(config: &Config, store: &dyn Store) -> Result<(), StartError> {
    // Reads of the local store do not fail.
    if store.revision().await.is_ok_and(|revision| revision == Revision::ZERO) {
        return Ok(());
    }
    for path in ["authority/authority.toml", SECRETS_KEY].map(|name| config.state.join(name)) {
        if !path.try_exists().unwrap_or(true) {
            return Err(StartError::KeysLost(path));
        }
    }
    Ok(())
}

async fn open_beside(
    config: &Config,
    clock: Clock,
    store: Arc<dyn Store>,
) -> Result<(App, JoinHandle<()>), StartError> {
    check_keys(config, store.as_ref()).await?;
    let authority = Authority::open_or_create(&config.state.join("authority"), &config.fleet, clock.now())?;
    let vault = Vault::open_or_create(&config.state.join(SECRETS_KEY))?;
    let tuning = events::Tuning { attempts_per_machine: config.keep.boots, ..events::Tuning::default() };
    let events = EventStore::open(&config.state.join("events"), tuning)?;
    let blobs = Blobs::open(&config.blobs)?;
    let traces = Boots::new(proto::VERSION, &config.telemetry)?;
    let (planner, task) = Planner::start(config.fleet.clone(), Arc::clone(&store), vault.clone());
    let app = App {
        fleet: config.fleet.clone(),
        catalog: Catalog::new(Arc::clone(&store)),
        store,
        trust: Trust::new(authority),
        events,
        blobs,
        planner,
        sessions: Sessions::default(),
        holdings: Holdings::default(),
        metrics: Metrics::new(traces),
        logins: None,
        captures: Captures::default(),
        silences: Silences::default(),
        vault,
        clock,
    };
    Ok((app, task))
}

async fn serve_metrics(socket: TcpListener, gatherer: Gatherer) {
    let (own, agents) = (gatherer.clone(), gatherer);
    let own = gather(move || {
        let own = own.clone();
        async move { own.controller().await }
    });
    let agents = gather(move || {
        let agents = agents.clone();
        async move { agents.agents().await }
    });
    let endpoints = [("/metrics", own), ("/metrics/agents", agents)];
    let endpoints = endpoints.map(|(path, gather)| Endpoint { path, gather });
    telemetry::metrics::serve(socket, endpoints.into()).await;
}

async fn open_page(config: &Config) -> Result<Option<Listening>, StartError> {
    let Some(page) = &config.page else { return Ok(None) };
    let bound = listen("page.listen", page.listen).await?;
    Ok(Some(Listening::open(page, &config.listen.names, bound)?))
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { key, address, source };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    Ok((socket, bound))
}

/// Makes the first operator and its credential, in a catalog without any. The credential is there before the operator
/// is, so that a crash between the two leaves no operator that nobody can be.
async fn first_operator(app: &App, config: &Config, port: u16) -> Result<(), StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::FirstOperator(error.to_string());
    let path = config.state.join(ADMIN_CREDENTIAL);
    if !path.exists() {
        let any =
            app.catalog.list::<proto::catalog::OperatorSpec>(None).await.map_err(|error| failed(&error))?;
        if !any.items.is_empty() {
            return Ok(());
        }
        let controllers = config.listen.names.iter().map(|name| controller(name, port)).collect();
        write_credential(app, &path, controllers).map_err(|error| failed(&error))?;
    }
    let made = app.catalog.ensure_first_operator(app.clock.wall()).await.map_err(|error| failed(&error))?;
    if made {
        tracing::info!(path = %path.display(), "made the first operator; its credential is in this file");
    }
    Ok(())
}

/// `host:port`, with brackets around an IPv6 address.
fn controller(name: &str, port: u16) -> String {
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}

fn write_credential(
    app: &App,
    path: &Path,
    controllers: Vec<String>,
) -> Result<(), Box<dyn std::error::Error>> {
    let operator: OperatorName = FIRST_OPERATOR.parse()?;
    let key = Arc::new(KeyPair::generate()?);
    let identity = Identity::Operator { fleet: app.fleet.clone(), operator: operator.clone() };
    let request = CertificateRequest::from_der(&key.request(&identity)?)?;
    let authority = app.authority();
    let issued = authority.issue_operator(&request, &operator, MAX_OPERATOR_LIFETIME, app.clock.now())?;
    let credential = Credential::new(key, &issued.chain_der)?;
    OperatorCredential::new(credential, authority.bundle(), controllers)?.save(path)?;
    Ok(())
}

/// Waits for the listeners to end, then closes what they used.
async fn end(app: App, mut serving: JoinSet<()>, mut keeping: JoinSet<()>, planner: JoinHandle<()>) {
    while serving.join_next().await.is_some() {}
    keeping.shutdown().await;
    planner.abort();
    app.events.close().await;
    app.store.close().await;
    let traces = app.metrics.traces.clone();
    // It can only fail by a panic of the exporter, and the controller ends here anyway.
    let _ = tokio::task::spawn_blocking(move || traces.stop()).await;
    tracing::info!("the controller has stopped");
}

//! A controller from its configuration to its end: what is opened, in which order, and what it leaves running.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use certs::{
    Authority, CertificateRequest, Credential, Identity, KeyPair, MAX_OPERATOR_LIFETIME, OperatorCredential,
    OperatorName,
};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::app::{App, Clock};
use crate::backup::SECRETS_KEY;
use crate::blobs::Blobs;
use crate::catalog::Catalog;
use crate::catalog::roles::FIRST_OPERATOR;
use crate::config::Config;
use crate::events::{self, EventStore};
use crate::listen::{Serving, Tls, TlsSetupError, Upkeep, enrol_routes, fleet_routes, serve};
use crate::planner::Planner;
use crate::sessions::Sessions;
use crate::store::{LocalStore, Store, Tuning};
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
    /// A listener's socket.
    #[error("failed to listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The first operator.
    #[error("failed to make the first operator's credential: {0}")]
    FirstOperator(String),
}

/// A controller that runs.
pub struct Running {
    /// Where the fleet listener is.
    pub fleet: SocketAddr,
    /// Where the enrol listener is.
    pub enrol: SocketAddr,
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
    let (app, planner) = open(&config, clock)?;
    let fleet = listen(config.listen.fleet).await?;
    let enrol = listen(config.listen.enrol).await?;
    let addresses = (address(&fleet, config.listen.fleet)?, address(&enrol, config.listen.enrol)?);
    first_operator(&app, &config, addresses.0.port()).await?;
    crate::agents::status::disconnect_all(&app).await;
    app.planner.ready().await;
    let tls = Tls::new(&app, &config.name, &config.listen.names)?;
    let mut serving = JoinSet::new();
    let (asks, shows) = (tls.server.fleet_config(), tls.server.enrol_config());
    let limits = config.limits;
    let one = |socket, tls, routes| Serving { socket, tls, routes, limits };
    serving.spawn(serve(one(fleet, asks, fleet_routes(&app, config.state.join(SECRETS_KEY))), stop.clone()));
    serving.spawn(serve(one(enrol, shows, enrol_routes(&app)), stop.clone()));
    let mut keeping = JoinSet::new();
    keeping.spawn(Upkeep::new(app.clone(), tls).run());
    keeping.spawn(crate::agents::revocation::watch(app.clone()));
    tracing::info!(fleet = %addresses.0, enrol = %addresses.1, "the controller serves");
    let sessions = app.sessions.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        sessions.stop();
    });
    let ended = tokio::spawn(end(app.clone(), serving, keeping, planner));
    Ok(Running { fleet: addresses.0, enrol: addresses.1, app, ended })
}

/// Opens everything that is on disk.
fn open(config: &Config, clock: Clock) -> Result<(App, JoinHandle<()>), StartError> {
    let authority = Authority::open_or_create(&config.state.join("authority"), &config.fleet, clock.now())?;
    let tuning = Tuning {
        history_revisions: config.keep.revisions,
        quota_bytes: config.keep.catalog.0,
        ..Tuning::default()
    };
    let store: Arc<dyn Store> = Arc::new(LocalStore::open(&config.state.join("store"), tuning)?);
    let vault = Vault::open_or_create(&config.state.join(SECRETS_KEY))?;
    let tuning = events::Tuning { attempts_per_machine: config.keep.boots, ..events::Tuning::default() };
    let events = EventStore::open(&config.state.join("events"), tuning)?;
    let blobs = Blobs::open(&config.blobs)?;
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
        vault,
        clock,
    };
    Ok((app, task))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn address(socket: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, StartError> {
    socket.local_addr().map_err(|source| StartError::Listen { address: asked, source })
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
    tracing::info!("the controller has stopped");
}

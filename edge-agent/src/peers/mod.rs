//! Gives blobs to other agents of the site, so that the WAN carries each once: HTTPS under the fleet's identities.
//!
//! Off unless the agent's file names an address. Serves agents of its own site alone (both ends show certificates), and
//! of these nothing but blobs that its plan names: whole ones, and what has arrived of others, whose end is withheld as it is
//! from machines (S15). Never waits for a fill that has nothing to give: two agents that ask each other must not wait
//! for each other. Knows of no revocation: see [`certs::tls`].

mod service;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use certs::tls::{HandshakeLimits, TlsError, TlsListener};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use proto::plan::SitePlan;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{controllers::Link, disk::cache::Cache};
use service::Service;

/// Connections at one time: a site has few agents, each with few fetches.
const CONNECTIONS: usize = 16;
/// Handshakes at a time.
const HANDSHAKES: HandshakeLimits = HandshakeLimits { concurrent: 8, within: Duration::from_secs(5) };
/// How long a connection may wait for its next request, and a request for its end.
const IDLE: Duration = Duration::from_secs(60);

/// Why nothing is given to other agents.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The address.
    #[error("failed to listen for other agents at {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// What the listener is started with.
#[derive(Debug)]
pub struct Peers {
    listener: TcpListener,
    cache: Arc<Cache>,
    plan: watch::Receiver<Option<Arc<SitePlan>>>,
    link: watch::Receiver<Link>,
}

impl Peers {
    /// Listens, and serves nobody yet.
    ///
    /// # Errors
    /// [`PeersError`] names the address that cannot be had.
    pub async fn listen(
        address: SocketAddr,
        cache: Arc<Cache>,
        plan: watch::Receiver<Option<Arc<SitePlan>>>,
        link: watch::Receiver<Link>,
    ) -> Result<Self, PeersError> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| PeersError::Listen { address, source })?;
        Ok(Self { listener, cache, plan, link })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the agent ends.
    pub async fn run(mut self) {
        let Some(config) = self.config().await else { return std::future::pending().await };
        let mut listener = TlsListener::new(self.listener, config, HANDSHAKES);
        let service = Service { cache: self.cache, plan: self.plan };
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(remote = %accepted.remote, "too many connections of other agents");
                continue;
            };
            let service = service.clone();
            connections.spawn(async move {
                let answer = service_fn(|request| {
                    let answered = service.answer(&request);
                    async move { Ok::<_, Infallible>(answered.await) }
                });
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(IDLE);
                // What went wrong shows at the other end.
                drop(server.serve_connection(TokioIo::new(accepted.stream), answer).await);
                drop(place);
            });
        }
    }

    /// As soon as the agent is a member of the fleet.
    async fn config(&mut self) -> Option<Arc<rustls::ServerConfig>> {
        let link = self.link.wait_for(|link| link.tls.is_some() && link.site.is_some()).await.ok()?.clone();
        match listener_config(&link) {
            Ok(config) => Some(config),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "failed to serve other agents");
                None
            }
        }
    }
}

fn listener_config(link: &Link) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let (Some(tls), Some(site)) = (&link.tls, &link.site) else { return Err(TlsError::Roots) };
    tls.peer_listener(site)
}

//! The way to a controller: TCP, TLS by the fleet's own rules, and gRPC above it.
//!
//! Addresses are tried in the order of the credential file; the first controller of our fleet wins.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use certs::OperatorCredential;
use certs::tls::{Alpn, DefaultTimeProvider, PeerError, ReloadableClient, TlsError, peer_error};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};

/// For one address, until TLS stands.
const CONNECT: Duration = Duration::from_secs(10);
/// A silent connection is asked whether it lives after this long.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Why an address gave no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// Nobody answers there.
    #[error("cannot connect to {address}")]
    Connect {
        /// `host:port`.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Whoever answers is no controller of our fleet.
    #[error("what answers at {address} is not a controller of this fleet")]
    Peer {
        /// `host:port`.
        address: String,
        /// Why not.
        source: PeerError,
    },
    /// A controller of our fleet, but its listener for agents that join.
    #[error("{address} is not where operators call")]
    Port {
        /// `host:port`.
        address: String,
        /// Which listener it is.
        source: PeerError,
    },
    /// Whoever answers speaks no TLS, or refuses ours.
    #[error("no secure connection to {address}")]
    Handshake {
        /// `host:port`.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// No answer in time.
    #[error("{address} did not answer within {} s", CONNECT.as_secs())]
    Silent {
        /// `host:port`.
        address: String,
    },
    /// The credential cannot be used.
    #[error("cannot use the credential")]
    Credential(#[from] TlsError),
    /// gRPC above it.
    #[error("cannot speak gRPC with {address}")]
    Grpc {
        /// `host:port`.
        address: String,
        /// Why not.
        source: tonic::transport::Error,
    },
}

/// A channel to the first of these addresses where a controller of our fleet answers.
///
/// # Errors
/// What was wrong with each of them.
pub(crate) async fn dial(
    credential: &OperatorCredential,
    addresses: &[String],
) -> Result<Channel, Vec<DialError>> {
    let config = tls(credential).map_err(|error| vec![error.into()])?;
    let mut errors = Vec::new();
    for address in addresses {
        match channel(&config, address).await {
            Ok(channel) => return Ok(channel),
            Err(error) => errors.push(error),
        }
    }
    Err(errors)
}

fn tls(credential: &OperatorCredential) -> Result<Arc<ClientConfig>, TlsError> {
    let fleet = credential.fleet().clone();
    let time = Arc::new(DefaultTimeProvider);
    ReloadableClient::new(fleet, credential.credential(), credential.bundle(), time)?
        .fleet_config(&[Alpn::Http2])
}

/// The first connection is made here, so that its errors are ours; gRPC takes it over and makes later ones itself.
async fn channel(config: &Arc<ClientConfig>, address: &str) -> Result<Channel, DialError> {
    let first = Arc::new(Mutex::new(Some(connect(config, address).await?)));
    let (config, target) = (Arc::clone(config), address.to_owned());
    let connector = tower::service_fn(move |_| {
        let (first, config, target) = (Arc::clone(&first), Arc::clone(&config), target.clone());
        async move {
            let ready = first.lock().await.take();
            let stream = match ready {
                Some(stream) => stream,
                None => connect(&config, &target).await.map_err(io::Error::other)?,
            };
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    // `http://` because the connector brings its own TLS; the name stands for whichever controller answers.
    Endpoint::from_static("http://controller")
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .connect_with_connector(connector)
        .await
        .map_err(|source| DialError::Grpc { address: address.to_owned(), source })
}

async fn connect(config: &Arc<ClientConfig>, address: &str) -> Result<TlsStream<TcpStream>, DialError> {
    let silent = |_| DialError::Silent { address: address.to_owned() };
    tokio::time::timeout(CONNECT, handshake(config, address)).await.map_err(silent)?
}

async fn handshake(config: &Arc<ClientConfig>, address: &str) -> Result<TlsStream<TcpStream>, DialError> {
    let at = || address.to_owned();
    let stream =
        TcpStream::connect(address).await.map_err(|source| DialError::Connect { address: at(), source })?;
    // Small requests: waiting to fill a segment only costs time.
    stream.set_nodelay(true).map_err(|source| DialError::Connect { address: at(), source })?;
    // The fleet's verifier judges identities and never looks at this name; nor is it sent.
    let name = ServerName::try_from("controller").expect("a plain host name");
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|source| {
        match peer_error(&source) {
            Some(peer @ PeerError::NotFleet(_)) => DialError::Port { address: at(), source: peer.clone() },
            Some(peer) => DialError::Peer { address: at(), source: peer.clone() },
            None => DialError::Handshake { address: at(), source },
        }
    })
}

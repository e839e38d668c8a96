//! TCP and TLS to a controller: the first of the configured addresses that answers.

use std::{io, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};

/// How long TCP and TLS together may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an idle connection is asked whether the other side lives, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(10));

/// Why no controller was reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The last address that was tried.
    #[error("failed to reach the controller at {address}")]
    Unreachable {
        /// `HOST:PORT`.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// No address is configured.
    #[error("no controller is configured")]
    NoAddress,
    /// HTTP/2 over it.
    #[error("failed to speak HTTP/2 with the controller")]
    Http2(#[from] tonic::transport::Error),
}

/// A gRPC channel to the first address that answers.
pub(crate) async fn channel(addresses: &[String], tls: Arc<ClientConfig>) -> Result<Channel, ConnectError> {
    let stream = first(addresses, tls).await?;
    let mut stream = Some(TokioIo::new(stream));
    // The scheme is http: TLS is already done, and not tonic's to do again.
    let endpoint = Endpoint::from_static("http://controller")
        .http2_keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1)
        .keep_alive_while_idle(true);
    let once = tower::service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { stream }
    });
    Ok(endpoint.connect_with_connector(once).await?)
}

/// A TLS stream to the first address that answers, for HTTP/1.1.
///
/// # Errors
/// About the last address that was tried.
pub async fn connect_http(
    addresses: &[String],
    tls: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    first(addresses, tls).await
}

async fn first(addresses: &[String], tls: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, ConnectError> {
    let mut failure = ConnectError::NoAddress;
    for address in addresses {
        let reached = tokio::time::timeout(PATIENCE, connect(address, tls.clone())).await;
        match reached.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => return Ok(stream),
            Err(source) => failure = ConnectError::Unreachable { address: address.clone(), source },
        }
    }
    Err(failure)
}

async fn connect(address: &str, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(tls).connect(server_name(address)?, stream).await
}

/// The host of `HOST:PORT`, as TLS takes it.
pub(crate) fn server_name(address: &str) -> io::Result<ServerName<'static>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(io::Error::other)
}

//! Connections to places that are neither machines nor controllers: URLs of the plan, and other agents of the site.
//!
//! Names in URLs are resolved here, and what they lead to is looked at before it is called (S8): nothing is fetched from
//! loopback, link-local (where clouds keep their metadata), unspecified or multicast addresses, whatever a name says.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use certs::tls::TlsError;
use proto::BlobSource;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    net::{TcpStream, lookup_host},
    sync::OnceCell,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::error::SourceError;

/// How long a name may take to resolve, and a connection to be made.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses of a name that are tried.
const TRIES: usize = 4;

/// Is it called over TLS?
pub(super) fn is_secure(base: &BlobSource) -> bool {
    base.as_str().starts_with("https:")
}

/// A connection to the host of a URL, and the host's name.
pub(super) async fn reach(base: &BlobSource) -> Result<(TcpStream, String), SourceError> {
    let uri: http::Uri = base.as_str().parse().map_err(|_| SourceError::Url)?;
    let host = uri.host().ok_or(SourceError::Url)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if is_secure(base) { 443 } else { 80 });
    let failed = |error| SourceError::Unreachable(host.clone(), error);
    let found = tokio::time::timeout(PATIENCE, lookup_host((host.as_str(), port))).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(failed)?;
    let allowed: Vec<_> = found.filter(|address| may_be_called(address.ip())).take(TRIES).collect();
    if allowed.is_empty() {
        return Err(SourceError::Forbidden(host));
    }
    Ok((dial(&allowed, PATIENCE).await?, host))
}

/// A connection to the first of these addresses that answers.
pub(super) async fn dial(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, SourceError> {
    let nobody = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut failure = SourceError::Unreachable("it: no address is known".into(), nobody);
    for address in addresses {
        let reached = tokio::time::timeout(patience, TcpStream::connect(address)).await;
        match reached.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                // Without it small requests wait a little, and nothing worse.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => failure = SourceError::Unreachable(address.to_string(), error),
        }
    }
    Err(failure)
}

/// TLS on it.
pub(super) async fn secure(
    stream: TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
    patience: Duration,
) -> Result<TlsStream<TcpStream>, SourceError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| SourceError::Url)?;
    let shaken = tokio::time::timeout(patience, TlsConnector::from(config).connect(name, stream)).await;
    let shaken = shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    shaken.map_err(|error| SourceError::Unreachable(host.to_owned(), error))
}

/// The configuration for servers that the operating system's roots vouch for; read once.
pub(super) async fn web() -> Result<Arc<ClientConfig>, TlsError> {
    static WEB: OnceCell<Arc<ClientConfig>> = OnceCell::const_new();
    let read = || async {
        let reading = tokio::task::spawn_blocking(certs::tls::outside).await;
        reading.unwrap_or(Err(TlsError::SystemRoots))
    };
    WEB.get_or_try_init(read).await.cloned()
}

#[cfg(not(test))]
fn may_be_called(address: IpAddr) -> bool {
    is_outside(address)
}

/// Tests have nothing but loopback.
#[cfg(test)]
fn may_be_called(address: IpAddr) -> bool {
    address.is_loopback() || is_outside(address)
}

fn is_outside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            !(address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_broadcast()
                || address.is_multicast())
        }
        IpAddr::V6(address) => {
            !(address.is_loopback()
                || address.is_unicast_link_local()
                || address.is_unspecified()
                || address.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_fetched_from_this_machine_nor_from_where_clouds_keep_their_metadata() {
        for refused in [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
        ] {
            assert!(!is_outside(refused.parse().expect("an address")), "{refused}");
        }
        for allowed in ["10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert!(is_outside(allowed.parse().expect("an address")), "{allowed}");
        }
    }
}

//! gRPC with a controller, as the fleet's own clients speak it: TLS by the fleet's rules, HTTP/2 above it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use certs::OperatorCredential;
use certs::tls::{Alpn, DefaultTimeProvider, ReloadableClient};
use hyper_util::rt::TokioIo;
use proto::v1::admin_client::AdminClient;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

/// A channel of one connection; when that ends, so does the channel.
///
/// # Errors
/// When nobody answers at `address`, or not a controller of the fleet.
pub async fn channel(address: &str, tls: Arc<ClientConfig>) -> anyhow::Result<Channel> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // The fleet's verifier judges identities; the name stands for whichever controller answers.
    let name = ServerName::try_from("controller").expect("a plain host name");
    let mut stream = Some(TokioIo::new(TlsConnector::from(tls).connect(name, stream).await?));
    let once = tower::service_fn(move |_| {
        let stream = stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { stream }
    });
    Ok(Endpoint::from_static("http://controller").connect_with_connector(once).await?)
}

/// An operator's client, by a credential file.
///
/// # Errors
/// When the file cannot be used, or the controller not be reached.
pub async fn operator(address: &str, credential: &Path) -> anyhow::Result<AdminClient<Channel>> {
    let credential = OperatorCredential::load(credential).context("failed to read the credential")?;
    let (fleet, time) = (credential.fleet().clone(), Arc::new(DefaultTimeProvider));
    let client = ReloadableClient::new(fleet, credential.credential(), credential.bundle(), time)?;
    let channel = channel(address, client.fleet_config(&[Alpn::Http2])?).await?;
    Ok(AdminClient::new(channel).max_decoding_message_size(proto::MESSAGE_LIMIT))
}

//! The page's listener, from its configuration to its TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use certs::tls::{DefaultTimeProvider, FileError, FileServer, ReloadableServer};
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::config;
use crate::logins::Logins;

/// How often an operator's files are read again: who renews them does so weeks ahead.
const REREAD: Duration = Duration::from_secs(3_600);

/// A page that is about to be served.
pub(crate) struct Listening {
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    /// None: the page shows the fleet's own certificate.
    pub(crate) files: Option<FileServer>,
    pub(crate) logins: Logins,
    pub(crate) connections: usize,
}

impl Listening {
    /// On this socket. `names` are those of the controller. Blocks while it reads the operator's files, once.
    pub(crate) fn open(
        page: &config::Page,
        names: &[String],
        (socket, address): (TcpListener, SocketAddr),
    ) -> Result<Self, FileError> {
        let files = page
            .files
            .clone()
            .map(|files| FileServer::open(files.certificate, files.key, Arc::new(DefaultTimeProvider)));
        let url = page.url.clone().unwrap_or_else(|| url(names, address.port()));
        let connections = page.connections;
        Ok(Self { socket, address, files: files.transpose()?, logins: Logins::new(url), connections })
    }

    /// What it shows: the operator's certificate, or the controller's own.
    pub(crate) fn tls(&self, own: &ReloadableServer) -> Arc<ServerConfig> {
        self.files.as_ref().map_or_else(|| own.page_config(), FileServer::config)
    }
}

/// At the first of the controller's names.
fn url(names: &[String], port: u16) -> String {
    let name = names.first().map_or("localhost", String::as_str);
    if name.contains(':') { format!("https://[{name}]:{port}") } else { format!("https://{name}:{port}") }
}

/// Takes over what an operator's files hold, for as long as the controller runs. The fleet's own certificate is renewed with its
/// other listeners'.
pub(crate) async fn keep_certificate(files: Option<FileServer>) {
    let Some(files) = files.map(Arc::new) else { return };
    loop {
        tokio::time::sleep(REREAD).await;
        let read = Arc::clone(&files);
        match tokio::task::spawn_blocking(move || read.reload()).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!("the page shows another certificate"),
            Ok(Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the page's certificate is not taken over"
                );
            }
            // The runtime ends.
            Err(_) => return,
        }
    }
}

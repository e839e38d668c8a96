//! Accepting TLS connections within limits: so many handshakes at a time, each within so long.
//!
//! A peer that connects and says nothing costs one place for the length of the time-out, and never blocks the
//! others' handshakes. What happens on an open connection is its service's to limit.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::failure::in_words;
use crate::LeafCertificate;

/// How long to wait after the operating system refused a connection (out of descriptors, mostly).
const PAUSE: Duration = Duration::from_millis(100);

/// Limits on handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// Handshakes at a time; further connections wait in the listener's backlog.
    pub concurrent: usize,
    /// Longest time of one, from the accepted connection to its end.
    pub within: Duration,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self { concurrent: 256, within: Duration::from_secs(10) }
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Accepted {
    /// The stream.
    pub stream: TlsStream<TcpStream>,
    /// Where the client is.
    pub remote: SocketAddr,
    /// Who the client is: always there on the fleet listener, never on the enrol listener.
    pub peer: Option<LeafCertificate>,
}

/// A listening socket that gives out connections with their handshake done.
pub struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    limits: HandshakeLimits,
    handshakes: JoinSet<Option<Accepted>>,
}

impl TlsListener {
    /// Accepts on this socket with this configuration.
    #[must_use]
    pub fn new(listener: TcpListener, config: Arc<ServerConfig>, limits: HandshakeLimits) -> Self {
        Self { listener, acceptor: config.into(), limits, handshakes: JoinSet::new() }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection whose handshake succeeded. Failed ones are logged and passed over.
    ///
    /// Nothing is lost when this is dropped before it is ready.
    pub async fn accept(&mut self) -> Accepted {
        loop {
            let has_room = self.handshakes.len() < self.limits.concurrent.max(1);
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(accepted)) = done {
                        return accepted;
                    }
                }
                connection = self.listener.accept(), if has_room => self.begin(connection).await,
            }
        }
    }

    async fn begin(&mut self, connection: io::Result<(TcpStream, SocketAddr)>) {
        match connection {
            Ok((stream, remote)) => {
                self.handshakes.spawn(handshake(self.acceptor.clone(), stream, remote, self.limits.within));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    remote: SocketAddr,
    within: Duration,
) -> Option<Accepted> {
    // Small messages both ways; without it a failure costs latency and nothing else.
    let _ = stream.set_nodelay(true);
    match tokio::time::timeout(within, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Accepted { peer: peer_of(&stream), stream, remote }),
        Ok(Err(error)) => {
            tracing::info!(%remote, error = in_words(&error), "refused a TLS handshake");
            None
        }
        Err(_) => {
            tracing::info!(%remote, ?within, "gave up a TLS handshake that took too long");
            None
        }
    }
}

/// The client's certificate, which the handshake has verified.
fn peer_of(stream: &TlsStream<TcpStream>) -> Option<LeafCertificate> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    LeafCertificate::from_der(certificate).ok()
}

//! One listener: accepted connections become HTTP, each in its own task, until the controller is to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use certs::tls::{Accepted, HandshakeLimits, TlsListener};
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::agents::caller::Peer;
use crate::config::Limits;
use crate::sessions::{Contact, Heard};

/// How long open calls may go on once the controller is to stop.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of the headers of one request.
const HEADERS: u32 = 16 * 1024;
/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// What one listener serves.
pub(crate) struct Serving {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) routes: Router,
    pub(crate) limits: Limits,
}

/// Serves until `stop`, then lets open calls end.
pub(crate) async fn serve(serving: Serving, stop: CancellationToken) {
    let Serving { socket, tls, routes, limits } = serving;
    let handshakes = HandshakeLimits { concurrent: limits.handshakes, within: limits.handshake.into() };
    let mut listener = TlsListener::new(socket, tls, handshakes);
    let room = Arc::new(Semaphore::new(limits.connections));
    let http = http(&limits);
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = async {
                // The semaphore is never closed.
                let permit = Arc::clone(&room).acquire_owned().await;
                (listener.accept().await, permit)
            } => accepted,
        };
        let (Accepted { stream, remote, peer }, permit) = accepted;
        let contact = Contact::now();
        let peer = peer.map(|leaf| (Peer(Arc::new(leaf)), contact.clone()));
        let service = service(routes.clone(), peer, remote);
        let stream = TokioIo::new(Heard::new(stream, contact));
        let connection = http.serve_connection_with_upgrades(stream, service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%remote, error, "a connection ended");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::info!("cut off what was still open");
    }
}

fn http(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.calls)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(Some(limits.keep_alive.into()))
        .keep_alive_timeout(2 * Duration::from(limits.keep_alive));
    builder
}

/// The routes, with who calls put into every request, and when its connection was last heard.
fn service(
    routes: Router,
    peer: Option<(Peer, Contact)>,
    remote: SocketAddr,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send + 'static,
> + Clone {
    hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(axum::extract::ConnectInfo(remote));
        if let Some((peer, contact)) = &peer {
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(contact.clone());
        }
        routes.clone().oneshot(request)
    })
}

//! The HTTP server of metrics: a few connections, one request each, bounded in time and size.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::accept;
use super::exposition::Exposition;

/// Connections at one time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 8;
/// How long a client may take to ask.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may take from its beginning to its end, gathering included.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes of the head of a request.
const HEAD_BYTES: usize = 16 << 10;
/// How long to wait when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Gathers what is there to say.
pub type Gather = Arc<dyn Fn() -> BoxFuture<'static, Exposition> + Send + Sync>;

/// Makes a [`Gather`] of a function.
pub fn gather<F, G>(gather: G) -> Gather
where
    G: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Exposition> + Send + 'static,
{
    Arc::new(move || Box::pin(gather()))
}

/// A path and what is served there.
#[derive(Clone)]
pub struct Endpoint {
    /// Such as `/metrics`.
    pub path: &'static str,
    /// Asked each time.
    pub gather: Gather,
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, endpoints: Vec<Endpoint>) {
    let endpoints: Arc<[Endpoint]> = endpoints.into();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let endpoints = Arc::clone(&endpoints);
                tokio::spawn(async move {
                    drop(tokio::time::timeout(WHOLE, serve_one(stream, endpoints)).await);
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection for metrics was not taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, endpoints: Arc<[Endpoint]>) {
    let service = service_fn(move |request: Request<Incoming>| answer(Arc::clone(&endpoints), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection for metrics ended");
    }
}

async fn answer(
    endpoints: Arc<[Endpoint]>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.path == request.uri().path()) else {
        return Ok(plain(StatusCode::NOT_FOUND, "there are metrics at other paths\n"));
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics are read\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    let accepts = request.headers().get_all(ACCEPT).iter();
    let accepts: Vec<_> = accepts.filter_map(|value| value.to_str().ok()).collect();
    let form = accept::form(&accepts.join(","));
    let text = (endpoint.gather)().await.text(form);
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    Ok(response)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

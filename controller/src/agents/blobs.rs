//! `GET` and `HEAD /blobs/sha256/DIGEST`, on the fleet listener: to each agent only what a plan of its own site names (S8, S10).

use std::ops::Range;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE,
};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use proto::Digest;

use super::caller::{Peer, authorise_agent};
use crate::app::App;
use crate::blobs::{BlobError, Parts, Wanted, wanted};
use crate::sessions::Session;

/// The routes.
pub(crate) fn routes(app: App) -> Router {
    Router::new().route("/blobs/sha256/{digest}", get(serve).head(serve)).with_state(app)
}

/// Whatever is wrong with the name, the answer is the same: nobody learns what exists.
async fn serve(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Path(digest): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let Ok(agent) = peer.agent_name() else { return StatusCode::FORBIDDEN.into_response() };
    // Whoever takes bytes may be silent for long: this says nothing of whether the agent is there.
    let session = app.sessions.open(agent, None);
    let caller = match authorise_agent(&app, &peer).await {
        Ok(caller) => caller,
        Err(refusal) => return (StatusCode::FORBIDDEN, refusal.to_string()).into_response(),
    };
    let named = digest.parse::<Digest>().ok().filter(|digest| {
        let plan = app.planner.latest(&caller.site);
        plan.is_some_and(|plan| plan.blobs.contains_key(digest))
    });
    let Some(digest) = named else { return StatusCode::NOT_FOUND.into_response() };
    match app.blobs.size(digest).await {
        Ok(Some(size)) => answer(&app, session, digest, size, (&method, &headers)).await,
        Ok(None) => {
            tracing::error!(%digest, site = caller.site, "a plan names a blob that is not held: import its image again");
            StatusCode::NOT_FOUND.into_response()
        }
        Err(error) => failed(digest, &error),
    }
}

async fn answer(
    app: &App,
    session: Session,
    digest: Digest,
    size: u64,
    (method, headers): (&Method, &HeaderMap),
) -> Response {
    let asked = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let mut head: Vec<(HeaderName, String)> = vec![
        (ACCEPT_RANGES, "bytes".into()),
        (ETAG, format!("\"{digest}\"")),
        (CACHE_CONTROL, "immutable".into()),
    ];
    let octets = || (CONTENT_TYPE, "application/octet-stream".to_owned());
    let (status, length, content) = match wanted(asked, size) {
        Wanted::Whole => {
            head.push(octets());
            (StatusCode::OK, size, Content::Range(0..size))
        }
        Wanted::Part(range) => {
            head.push(octets());
            head.push((CONTENT_RANGE, format!("bytes {}-{}/{size}", range.start, range.end - 1)));
            (StatusCode::PARTIAL_CONTENT, range.end - range.start, Content::Range(range))
        }
        Wanted::Parts(ranges) => {
            let parts = Parts::new(digest, size, ranges);
            head.push((CONTENT_TYPE, parts.content_type()));
            (StatusCode::PARTIAL_CONTENT, parts.length(), Content::Parts(parts))
        }
        Wanted::Unsatisfiable => {
            let header = [(CONTENT_RANGE, format!("bytes */{size}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, header).into_response();
        }
    };
    head.push((CONTENT_LENGTH, length.to_string()));
    let body = if *method == Method::HEAD || length == 0 {
        Body::empty()
    } else {
        match content.stream(app, digest).await {
            // A transfer ends when its agent is revoked; the length that was announced shows that it is not whole.
            Ok(stream) => Body::from_stream(stream.take_until(async move { session.closed().await })),
            Err(error) => return failed(digest, &error),
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in head {
        let value = value.parse().expect("digits, a digest and plain words");
        response.headers_mut().insert(name, value);
    }
    response
}

/// What is sent of a blob.
enum Content {
    Range(Range<u64>),
    Parts(Parts),
}

impl Content {
    async fn stream(
        self,
        app: &App,
        digest: Digest,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        match self {
            Self::Range(range) => app.blobs.read(digest, range).await,
            Self::Parts(parts) => Ok(parts.stream(app.blobs.clone())),
        }
    }
}

fn failed(digest: Digest, error: &BlobError) -> Response {
    tracing::error!(%digest, error = error as &dyn std::error::Error, "cannot read a blob");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

//! One place that has blobs, and how it is asked: HTTP/1.1 over a connection that is kept for the next question.
//!
//! Who answers is made sure of here (the fleet's certificates, or a vetted address); whether it is the blob that comes
//! is for its digest to say. Redirects are not followed.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use certs::{SiteName, tls::Alpn};
use http_body_util::Empty;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use netboot::cache::limit::Rate;
use proto::{BlobSource, Digest, plan::BlobRef};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    error::SourceError,
    outside,
    parts::{Body, Parts},
};
use crate::{
    controllers::{Link, connect_http},
    counts::Count,
    holding::Fetched,
};

/// How long another agent of the site, which is near, may take to let us in.
const NEAR: Duration = Duration::from_secs(2);
/// How long TLS with a server outside the fleet may take.
const FAR: Duration = Duration::from_secs(10);
/// Connections that are kept for the next question.
const IDLE: usize = 2;
/// What is received in one piece, in bytes, at most.
const PIECE: usize = 128 << 10;
/// How much of a limited rate may be under way unread: what a path of this round trip takes.
const UNREAD: Duration = Duration::from_millis(250);
/// Less than this in a socket's buffer costs more than it saves.
const LEAST_UNREAD: u64 = 64 << 10;

/// The content type of several ranges (RFC 9110 §14.6).
const PARTS: &[u8] = b"multipart/byteranges";

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Another agent of the site.
    Agent { site: SiteName, addresses: Vec<SocketAddr> },
    /// Anything that serves blobs below a URL.
    Url(BlobSource),
    /// The controllers, any of which will do: `HOST:PORT`.
    Controllers(Vec<String>),
}

impl Place {
    /// Do its bytes come over the WAN?
    pub(super) fn is_afar(&self) -> bool {
        match self {
            Self::Agent { .. } => false,
            Self::Url(_) | Self::Controllers(_) => true,
        }
    }

    /// Where its bytes are counted.
    pub(super) fn count<'a>(&self, fetched: &'a Fetched) -> &'a Count {
        match self {
            Self::Agent { .. } => &fetched.from_agents,
            Self::Url(_) => &fetched.from_urls,
            Self::Controllers(_) => &fetched.from_controllers,
        }
    }

    fn path(&self, digest: &Digest) -> String {
        match self {
            Self::Url(base) => base.url_of(*digest),
            Self::Agent { .. } | Self::Controllers(_) => format!("/blobs/sha256/{digest}"),
        }
    }
}

/// A source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) place: Place,
    idle: Mutex<Vec<Connection>>,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    _task: AbortOnDropHandle<()>,
}

/// A source that has begun to give what it was asked for.
pub(super) struct Answer {
    pub(super) body: Body,
    /// To be given back with [`Source::keep`] when all of the body has come.
    pub(super) connection: Connection,
}

impl Source {
    pub(super) fn new(place: Place) -> Self {
        Self { place, idle: Mutex::default() }
    }

    /// Asks for the bytes `range` of a blob; who has not begun to answer within `patience` has stalled.
    pub(super) async fn ask(
        &self,
        link: &Link,
        rate: Rate,
        patience: Duration,
        blob: &BlobRef,
        range: &Range<u64>,
    ) -> Result<Answer, SourceError> {
        let question = self.question(blob, std::slice::from_ref(range));
        let (response, connection) = self.exchange(link, rate, patience, &question).await?;
        judge(&response, blob, range)?;
        Ok(Answer { body: Body::One(response.into_body()), connection })
    }

    /// Asks for several ranges in one answer. None: this source gives but one.
    pub(super) async fn ask_parts(
        &self,
        link: &Link,
        rate: Rate,
        patience: Duration,
        blob: &BlobRef,
        ranges: Vec<Range<u64>>,
    ) -> Result<Option<Answer>, SourceError> {
        let question = self.question(blob, &ranges);
        let (response, connection) = self.exchange(link, rate, patience, &question).await?;
        let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        match response.status() {
            StatusCode::PARTIAL_CONTENT if kind.is_some_and(|kind| kind.starts_with(PARTS)) => {
                let body = Body::Parts(response.into_body(), Parts::new(blob.size, ranges));
                Ok(Some(Answer { body, connection }))
            }
            // What it does not have may be an answer to such a question: whether it has the blob is seen when it is asked for
            // one range.
            StatusCode::OK
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::NOT_FOUND
            | StatusCode::GONE => Ok(None),
            other => Err(SourceError::Status(other)),
        }
    }

    async fn exchange(
        &self,
        link: &Link,
        rate: Rate,
        patience: Duration,
        question: &Question,
    ) -> Result<(Response<Incoming>, Connection), SourceError> {
        // A connection that was kept may have been closed at its other end meanwhile: that is nobody's fault.
        if let Some(kept) = self.take() {
            let answered = ask_on(kept, patience, question).await;
            if !matches!(answered, Err(SourceError::Http(_))) {
                return answered;
            }
        }
        let fresh = self.connect(link, rate).await?;
        ask_on(fresh, patience, question).await
    }

    fn question(&self, blob: &BlobRef, ranges: &[Range<u64>]) -> Question {
        let written = |range: &Range<u64>| format!("{}-{}", range.start, range.end.saturating_sub(1));
        let part = ranges.first() != Some(&(0..blob.size));
        let ranges = part.then(|| ranges.iter().map(written).collect::<Vec<_>>().join(","));
        Question { uri: self.place.path(&blob.digest), ranges }
    }

    /// The connection may be used again.
    pub(super) fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(connection);
        }
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.sender.is_closed());
        idle.pop()
    }

    async fn connect(&self, link: &Link, rate: Rate) -> Result<Connection, SourceError> {
        let identity = || link.tls.as_ref().ok_or(SourceError::NoIdentity);
        match &self.place {
            Place::Controllers(addresses) => {
                let stream = connect_http(addresses, identity()?.fleet_config(&[Alpn::Http1])?).await?;
                bound_unread(stream.get_ref().0, rate);
                speak(stream).await
            }
            Place::Agent { site, addresses } => {
                let reached = outside::dial(addresses, NEAR).await?;
                speak(outside::secure(reached, "agent", identity()?.peer_config(site)?, NEAR).await?).await
            }
            Place::Url(base) => {
                let (tcp, host) = outside::reach(base).await?;
                bound_unread(&tcp, rate);
                match outside::is_secure(base) {
                    true => {
                        let tls = outside::web().await?;
                        speak(outside::secure(tcp, &host, tls, FAR).await?).await
                    }
                    false => speak(tcp).await,
                }
            }
        }
    }
}

/// What a source is asked.
struct Question {
    uri: String,
    /// As the header says it; None: the whole.
    ranges: Option<String>,
}

impl Question {
    fn request(&self) -> Result<Request<Empty<Bytes>>, SourceError> {
        let uri: http::Uri = self.uri.parse().map_err(|_| SourceError::Url)?;
        let host = uri.authority().map_or("blobs", http::uri::Authority::as_str);
        let mut request = Request::new(Empty::new());
        let host = HeaderValue::from_str(host).map_err(|_| SourceError::Url)?;
        request.headers_mut().insert(header::HOST, host);
        if let Some(ranges) = &self.ranges {
            let asked = HeaderValue::from_str(&format!("bytes={ranges}")).map_err(|_| SourceError::Url)?;
            request.headers_mut().insert(header::RANGE, asked);
        }
        // In origin form: what is called is the server itself and never a proxy.
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        *request.uri_mut() = path.parse().map_err(|_| SourceError::Url)?;
        Ok(request)
    }
}

async fn ask_on(
    mut connection: Connection,
    patience: Duration,
    question: &Question,
) -> Result<(Response<Incoming>, Connection), SourceError> {
    let request = question.request()?;
    let answered = async {
        connection.sender.ready().await?;
        connection.sender.send_request(request).await
    };
    let response = tokio::time::timeout(patience, answered).await.map_err(|_| SourceError::Stalled)??;
    Ok((response, connection))
}

/// What the kernel takes in ahead of us comes as fast as the link goes, so with a limited rate it is little.
fn bound_unread(stream: &TcpStream, rate: Rate) {
    let Some(rate) = rate else { return };
    let bytes = u128::from(rate) * UNREAD.as_millis() / 1_000;
    let bytes = usize::try_from(bytes.max(u128::from(LEAST_UNREAD))).unwrap_or(usize::MAX);
    // The kernel bounds it upward itself; without it a burst is longer, and nothing worse.
    let _ = SockRef::from(stream).set_recv_buffer_size(bytes.min(64 << 20));
}

async fn speak<S>(stream: S) -> Result<Connection, SourceError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(PIECE);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    // What it fails of shows in what is asked on it.
    let task = tokio::spawn(async move { drop(connection.await) });
    Ok(Connection { sender, _task: AbortOnDropHandle::new(task) })
}

/// Is that an answer to the question? The length is looked at before any byte is taken.
fn judge(response: &Response<Incoming>, blob: &BlobRef, range: &Range<u64>) -> Result<(), SourceError> {
    let whole = *range == (0..blob.size);
    match response.status() {
        StatusCode::OK if whole => check_length(response.headers(), blob.size),
        StatusCode::PARTIAL_CONTENT if !whole => {
            let expected = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), blob.size);
            let found = response.headers().get(header::CONTENT_RANGE);
            match found {
                Some(found) if found.as_bytes() == expected.as_bytes() => {
                    check_length(response.headers(), range.end - range.start)
                }
                _ => Err(SourceError::OtherRange { expected, found: found.cloned() }),
            }
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(SourceError::Absent),
        other => Err(SourceError::Status(other)),
    }
}

fn check_length(headers: &HeaderMap, expected: u64) -> Result<(), SourceError> {
    let said =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match said {
        Some(actual) if actual != expected => Err(SourceError::OtherLength { expected, actual }),
        // Without a length what comes is counted.
        Some(_) | None => Ok(()),
    }
}

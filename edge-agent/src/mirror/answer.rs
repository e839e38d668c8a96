//! What a machine is answered: status, fields, and which bytes.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{
        ACCEPT_RANGES, AGE, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
        LAST_MODIFIED, RANGE, RETRY_AFTER, WARNING,
    },
    request::Parts,
};
use proto::Wall;

use super::{
    Limits,
    arriving::{Arriving, State},
    body::{Body, Pieces, Source},
    flight::{Failure, FailureKind},
    given::Given,
    kept::{Kept, wall_now},
    store::Held,
};
use crate::range::{self, Asked};

/// Says where an answer comes from; one of the words of [`How`].
const FROM: HeaderName = HeaderName::from_static("bootlane-mirror");
/// Seconds after which a machine may ask again for what cannot be had now.
const RETRY_SECONDS: u16 = 10;

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Held, and nobody was asked.
    Held,
    /// Held, and the upstream says that it has no other version.
    Checked,
    /// Fetched for this machine.
    Fetched,
    /// On its way already.
    Joined,
    /// Held; no upstream answered.
    Stale,
}

impl How {
    const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Checked => "checked",
            Self::Fetched => "fetched",
            Self::Joined => "joined",
            Self::Stale => "stale",
        }
    }
}

/// A file that can be given.
#[derive(Debug)]
pub(super) struct Found {
    source: Source,
    given: Given,
    /// None: not known before the end.
    size: Option<u64>,
    how: How,
    /// When the upstream was last asked after it; None: just now.
    asked: Option<Wall>,
}

impl Found {
    pub(super) fn held(held: &Held, how: How, limits: &Limits) -> Self {
        let source = Source { file: Arc::clone(&held.file), arriving: None, stall: limits.stall };
        let (given, size) = (held.known.given.clone(), Some(held.known.size));
        Self { source, given, size, how, asked: Some(held.asked) }
    }

    /// Who speaks HTTP/1.0, or asks for the head alone, is told a length in any case, and waits for it if need be.
    pub(super) async fn arriving(
        arriving: Arc<Arriving>,
        how: How,
        request: &Parts,
        limits: &Limits,
    ) -> Result<Self, Failure> {
        let mut size = arriving.size;
        if size.is_none() && (request.version < Version::HTTP_11 || request.method == Method::HEAD) {
            size = match tokio::time::timeout(limits.patience, arriving.ended()).await {
                Ok(State::Whole(size)) => Some(size),
                Ok(State::Coming(_) | State::Broken) | Err(_) => {
                    return Err(Failure::new(FailureKind::Upstream, "the file did not arrive"));
                }
            };
        }
        let (file, given) = (Arc::clone(&arriving.file), arriving.given.clone());
        let source = Source { file, arriving: Some(arriving), stall: limits.stall };
        Ok(Self { source, given, size, how, asked: None })
    }

    /// The answer to `request`.
    pub(super) fn answer(self, request: &Parts, kept: &Arc<Kept>) -> Response<Body> {
        let mut fields = self.fields();
        if self.given.is_known_to(&request.headers) {
            return with(StatusCode::NOT_MODIFIED, fields, nothing());
        }
        let selected = self.select(&request.headers);
        let (status, start, end) = match (&selected, self.size) {
            (Asked::Beyond, size) => {
                put(&mut fields, CONTENT_RANGE, format!("bytes */{}", size.unwrap_or(0)));
                fields.insert(CONTENT_LENGTH, 0.into());
                return with(StatusCode::RANGE_NOT_SATISFIABLE, fields, nothing());
            }
            (Asked::Part(part), size) => {
                let whole = size.unwrap_or(part.end);
                put(&mut fields, CONTENT_RANGE, format!("bytes {}-{}/{whole}", part.start, part.end - 1));
                (StatusCode::PARTIAL_CONTENT, part.start, Some(part.end))
            }
            (Asked::Whole, size) => (StatusCode::OK, 0, size),
        };
        if let Some(end) = end {
            fields.insert(CONTENT_LENGTH, (end - start).into());
        }
        let body = match request.method == Method::HEAD {
            true => nothing(),
            false => Body::File(Pieces::new(self.source, start, end, Arc::clone(kept))),
        };
        with(status, fields, body)
    }

    /// A range of a file whose size is not known yet is answered with the whole (RFC 9110 §14.2 permits it).
    fn select(&self, request: &HeaderMap) -> Asked {
        let mut ranges = request.get_all(RANGE).iter();
        let (field, more) = (ranges.next().and_then(|field| field.to_str().ok()), ranges.next());
        match (field, self.size) {
            (Some(field), Some(size)) if more.is_none() && self.given.allows_part(request) => {
                range::read(field, size)
            }
            (Some(_) | None, _) => Asked::Whole,
        }
    }

    fn fields(&self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        let Given { etag, last_modified, content_type, content_encoding } = self.given.clone();
        let given = [
            (ETAG, etag),
            (LAST_MODIFIED, last_modified),
            (CONTENT_TYPE, content_type),
            (CONTENT_ENCODING, content_encoding),
        ];
        for (name, value) in given {
            value.into_iter().for_each(|value| put(&mut fields, name.clone(), value));
        }
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        fields.insert(FROM, HeaderValue::from_static(self.how.word()));
        if let Some(asked) = self.asked {
            fields.insert(AGE, (wall_now().since(asked).as_secs()).into());
        }
        if self.how == How::Stale {
            // RFC 7234 §5.5.1; RFC 9111 has retired the field, and people still look for it.
            fields.insert(WARNING, HeaderValue::from_static("110 - \"Response is Stale\""));
        }
        fields
    }
}

fn nothing() -> Body {
    Body::Words(Bytes::new())
}

fn put(fields: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        fields.insert(name, value);
    }
}

fn with(status: StatusCode, fields: HeaderMap, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = fields;
    answer
}

/// There is no such file.
pub(super) fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "not found\n".into())
}

/// Mirrors are read.
pub(super) fn method_not_allowed() -> Response<Body> {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n".into());
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}

/// It cannot be had now, and why.
pub(super) fn unavailable(failure: &Failure) -> Response<Body> {
    let status = match failure.kind {
        FailureKind::Upstream => StatusCode::GATEWAY_TIMEOUT,
        FailureKind::Here => StatusCode::SERVICE_UNAVAILABLE,
        FailureKind::Refused => StatusCode::BAD_GATEWAY,
    };
    let mut answer = plain(status, format!("not available now: {}\n", failure.why));
    answer.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS.into());
    answer
}

fn plain(status: StatusCode, words: String) -> Response<Body> {
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    fields.insert(CONTENT_LENGTH, words.len().into());
    with(status, fields, Body::Words(words.into()))
}

//! One request: from its path to its answer.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use netboot::site::{Arrival, FileRequest, ReportRequest, Source};
use proto::{event::Transport, plan::BlobRef};
use tracing::Instrument;

use super::{
    Limits,
    body::{self, Body, Reads},
    link::Line,
    path,
    reply::{File, Selected, method_not_allowed, not_found, not_now, plain},
    report,
    sending::Sending,
};
use crate::{
    desk::{Answered, Desk},
    images::Images,
};

/// What every request is answered with.
#[derive(Debug)]
pub(super) struct Shared<D> {
    pub(super) desk: Arc<D>,
    pub(super) images: Images,
    pub(super) limits: Arc<Limits>,
    pub(super) reads: Reads,
}

/// The requests of one connection.
#[derive(Debug)]
pub(super) struct Service<D> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) arrival: Arrival,
    pub(super) peer: IpAddr,
    pub(super) line: Arc<Line>,
}

impl<D> Clone for Service<D> {
    fn clone(&self) -> Self {
        let Self { shared, arrival, peer, line } = self;
        Self { shared: Arc::clone(shared), arrival: arrival.clone(), peer: *peer, line: Arc::clone(line) }
    }
}

impl<D: Desk> Service<D> {
    /// Answers a request. Never fails: what goes wrong has a status.
    pub(super) async fn call(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let busy = self.line.busy();
        let name = path::clean(request.uri().path());
        // Tokens are not shown (S2).
        let shown = name.as_deref().map_or("-", path::shown);
        let span = tracing::debug_span!("http", peer = %self.peer, method = %request.method(), name = shown);
        let answered = self.answer(name, request).instrument(span.clone()).await;
        span.in_scope(|| tracing::debug!(status = answered.status().as_u16(), "answered"));
        // The connection is busy until the body is gone.
        Ok(answered.map(|body| {
            let held = move |frame| {
                let _ = &busy;
                frame
            };
            body.map_frame(held).boxed_unsync()
        }))
    }

    async fn answer(&self, name: Option<String>, request: Request<Incoming>) -> Response<Body> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let Some(name) = name else { return not_found() };
        match (report::Path::read(&name), name.as_str()) {
            (Some(path), _) if report::METHODS.contains(request.method()) => self.report(path, request).await,
            (Some(_), _) => method_not_allowed(&report::METHODS),
            (None, _) if !is_read => method_not_allowed(&[Method::GET, Method::HEAD]),
            (None, "healthz") => plain(StatusCode::OK, "ok\n"),
            (None, _) => self.file(name, &request).await,
        }
    }

    /// Leases are IPv4's: nobody else has anything here.
    fn from(&self) -> Option<Ipv4Addr> {
        match self.peer.to_canonical() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    async fn report(&self, path: report::Path<'_>, request: Request<Incoming>) -> Response<Body> {
        let Some(from) = self.from() else { return not_found() };
        let callback = match report::read(path, request, &self.shared.limits).await {
            Ok(callback) => callback,
            Err(unread) => return report::refusal(unread),
        };
        let request = ReportRequest { ask: 0, from, token: path.token.to_owned(), callback };
        match self.shared.desk.report(request).await {
            Ok(answer) => report::answer(answer),
            Err(stopped) => self.failed(&stopped),
        }
    }

    async fn file(&self, name: String, request: &Request<Incoming>) -> Response<Body> {
        let since = Instant::now();
        let Some(from) = self.from() else { return not_found() };
        let (transport, arrival) = (Transport::Http, self.arrival.clone());
        let asked = FileRequest {
            ask: 0,
            transport,
            arrival,
            from,
            name: name.clone(),
            probe: request.method() == Method::HEAD,
        };
        let found = match self.shared.desk.file(asked).await {
            Ok(Answered { found: Some(found), .. }) => found,
            Ok(Answered { found: None, .. }) => return not_found(),
            Err(stopped) => return self.failed(&stopped),
        };
        let (desk, line) = (Arc::clone(&self.shared.desk), Arc::clone(&self.line));
        let sending = Sending::new(desk, line, found.ticket, since);
        match found.source {
            Source::Bytes(bytes) => memory(&name, bytes, request, &sending),
            Source::Blob(blob) => self.blob(&name, &blob, request, sending).await,
        }
    }

    async fn blob(
        &self,
        name: &str,
        blob: &BlobRef,
        request: &Request<Incoming>,
        sending: Arc<Sending<D>>,
    ) -> Response<Body> {
        let file = File { name, size: blob.size, digest: Some(blob.digest) };
        let selected = file.select(request.headers());
        let Selected::Bytes { range, .. } = &selected else {
            sending.nothing();
            return file.answer(&selected, body::none());
        };
        let opened = match self.shared.images.open(blob, self.shared.limits.blob_patience).await {
            Ok(opened) => opened,
            Err(unavailable) => {
                // Also for HEAD: firmware that asks first for the size ends here (QUIRKS 34), and its boot explains itself.
                sending.fail(unavailable.to_string());
                return self.failed(&unavailable);
            }
        };
        if request.method() == Method::HEAD {
            sending.nothing();
            return file.answer(&selected, body::none());
        }
        let body = body::file(opened, range.clone(), sending, self.shared.reads.clone());
        file.answer(&selected, body)
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) -> Response<Body> {
        tracing::debug!(error, "not answered now");
        not_now()
    }
}

fn memory<D: Desk>(
    name: &str,
    bytes: Bytes,
    request: &Request<Incoming>,
    sending: &Arc<Sending<D>>,
) -> Response<Body> {
    let file = File { name, size: bytes.len() as u64, digest: None };
    let selected = file.select(request.headers());
    let body = match (&selected, request.method() == Method::HEAD) {
        (Selected::Bytes { range, .. }, false) => body::memory(slice(&bytes, range), sending),
        (Selected::Bytes { .. } | Selected::Unchanged | Selected::Beyond, _) => {
            sending.nothing();
            body::none()
        }
    };
    file.answer(&selected, body)
}

/// The range is one of these bytes'.
fn slice(bytes: &Bytes, range: &std::ops::Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(range.start)..at(range.end))
}

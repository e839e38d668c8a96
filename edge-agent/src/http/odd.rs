//! Requests that are not for files, on hyper: what installers report, methods that do not suit, what is no HTTP.
//!
//! One request with all bytes that have come, and the connection ends: who reports does so now and then. No file is served
//! here.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use netboot::site::{ReportRequest, shown};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, field};

use super::{
    Shared, path,
    reply::{Plain, method_not_allowed, not_found, not_now},
    report,
    wire::Wire,
};
use crate::{
    core::ReportReply,
    desk::Desk,
    tap::{Tape, head_of},
};

/// Who asks, and who answers.
pub(super) struct Service<D> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) peer: IpAddr,
}

/// Answers the request that `came` begins with.
pub(super) async fn converse<D: Desk>(
    wire: Wire,
    came: Vec<u8>,
    service: Service<D>,
    stopping: CancellationToken,
) {
    let (limits, peer) = (Arc::clone(&service.shared.limits), service.peer);
    let mut protocol = http1::Builder::new();
    protocol.keep_alive(false).header_read_timeout(None);
    protocol.max_headers(limits.head_fields).max_buf_size(limits.head_bytes);
    // As in all other answers (QUIRKS 49).
    protocol.title_case_headers(true);
    let service = &service;
    let service = service_fn(|request| service.call(request));
    let (socket, tape) = wire.into_socket();
    let mut socket = Rewound { came: came.into(), socket, tape };
    let answered = async {
        let serving = protocol.serve_connection(TokioIo::new(&mut socket), service);
        serving.without_shutdown().await
    };
    // The longest that a report and its answer may take.
    let answered = tokio::time::timeout(limits.head + limits.report + limits.stall, answered).await;
    if let Ok(Err(error)) = answered {
        tracing::debug!(%peer, error = &error as &dyn std::error::Error, "connection broken");
    }
    Wire::new(socket.socket, limits.stall, stopping).linger().await;
}

impl<D: Desk> Service<D> {
    /// Answers a request. Never fails: what goes wrong has a status.
    async fn call(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let name = path::clean(request.uri().path());
        // Tokens are not shown (S2).
        let shown = name.as_deref().map_or_else(|| "-".into(), shown);
        let (boot, method) = (field::Empty, request.method());
        let span = tracing::debug_span!("http", boot, peer = %self.peer, %method, name = shown);
        let answered = self.answer(name, request).instrument(span.clone()).await;
        span.in_scope(|| tracing::debug!(status = answered.status().as_u16(), "answered"));
        Ok(answered.into())
    }

    async fn answer(&self, name: Option<String>, request: Request<Incoming>) -> Plain {
        let Some(name) = name else { return not_found() };
        match report::Path::read(&name) {
            Some(path) if report::METHODS.contains(request.method()) => self.report(path, request).await,
            Some(_) => method_not_allowed(&report::METHODS),
            None => method_not_allowed(&[Method::GET, Method::HEAD]),
        }
    }

    async fn report(&self, path: report::Path<'_>, request: Request<Incoming>) -> Plain {
        let Some(from) = self.from() else { return not_found() };
        let callback = match report::read(path, request, &self.shared.limits).await {
            Ok(callback) => callback,
            Err(unread) => return report::refusal(unread),
        };
        let request = ReportRequest { ask: 0, from, token: path.token.to_owned(), callback };
        match self.shared.desk.report(request).await {
            Ok(ReportReply { answer, boot }) => {
                Span::current().record("boot", boot.map(field::display));
                report::answer(answer)
            }
            Err(stopped) => {
                tracing::debug!(error = &stopped as &dyn std::error::Error, "not answered now");
                not_now()
            }
        }
    }

    /// Leases are IPv4's: nobody else has anything here.
    fn from(&self) -> Option<Ipv4Addr> {
        match self.peer.to_canonical() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

/// A socket of which some has been read already.
struct Rewound {
    came: Bytes,
    socket: TcpStream,
    /// Until the head of the answer has left.
    tape: Option<(Tape, u64)>,
}

impl AsyncRead for Rewound {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.came.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, into);
        }
        let length = this.came.len().min(into.remaining());
        into.put_slice(&this.came[..length]);
        this.came.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some((mut tape, sent)) = this.tape.take() {
            tape.said(head_of(bytes), sent);
        }
        Pin::new(&mut this.socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

//! Mirrors behind the HTTP server of the agent, as bytes on a socket.

use std::{net::TcpListener as StdListener, time::SystemTime};

use netboot::site::{Arrival, FileRequest, ReportAnswer, ReportRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    core::Stopped,
    desk::{Answered, Desk, Sent},
    disk::cache::Cache,
    http as server,
    images::Images,
};

/// Who knows no files.
struct Empty;

impl Desk for Empty {
    type Ticket = ();

    async fn file(&self, _: FileRequest) -> Result<Answered<()>, Stopped> {
        Ok(None.into())
    }

    async fn report(&self, _: ReportRequest) -> Result<ReportAnswer, Stopped> {
        Ok(ReportAnswer::NotFound)
    }

    fn told(&self, (): (), _: Sent) {}
}

async fn said(address: std::net::SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("answered");
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn a_file_without_a_length_is_chunked_for_http_1_1_alone() {
    let upstream = Upstream::start().await;
    upstream.say("dists/x", [chunked(&[b"abc", b"defg"])]);
    let site = Site::new(&mirror(&[&upstream]));
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = Cache::open(dir.path(), SystemTime::now(), LONG).expect("opens");
    let images = Images::new(Arc::new(cache), mpsc::channel(1).0);
    let limits = server::Limits::default();
    let server = server::Server::with_mirrors(Arc::new(Empty), images, site.mirrors.clone(), limits);
    let listener = StdListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let arrival =
        Arrival { interface: 0, server: [127, 0, 0, 1].into(), base_url: "http://127.0.0.1".into() };
    let serving = server.serve(listener, arrival, CancellationToken::new()).expect("it starts");
    let address = serving.address();

    let stranger =
        said(address, "GET /mirror/debian/dists/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(stranger.starts_with("HTTP/1.1 404"), "not of the site's subnets: {stranger}");
    assert_eq!(upstream.asked().len(), 0);

    site.plan.send_replace(Some(planned_for("127.0.0.0/8", Some(&mirror(&[&upstream])))));
    let new =
        said(address, "GET /mirror/debian/dists/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(new.contains("Transfer-Encoding: chunked") && !new.contains("Content-Length"), "{new}");
    assert!(new.contains("Bootlane-Mirror: fetched") && new.ends_with("0\r\n\r\n"), "{new}");
    let old = said(address, "GET /mirror/debian/dists/x HTTP/1.0\r\n\r\n").await;
    assert!(old.contains("Content-Length: 7") && old.ends_with("\r\n\r\nabcdefg"), "{old}");
    let whole = format!(
        "GET http://{address}/mirror/debian/dists/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    );
    assert!(said(address, &whole).await.starts_with("HTTP/1.1 404"), "no proxy");
}

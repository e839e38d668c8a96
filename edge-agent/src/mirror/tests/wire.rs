//! Mirrors behind the HTTP server of the agent, as bytes on a socket.

use std::{net::TcpListener as StdListener, time::SystemTime};

use netboot::site::{Arrival, FileRequest, ReportAnswer, ReportRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::{upstream::held_up, *};
use crate::{
    core::{ReportReply, Stopped},
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

    async fn report(&self, _: ReportRequest) -> Result<ReportReply, Stopped> {
        Ok(ReportAnswer::NotFound.into())
    }

    fn told(&self, (): (), _: Sent) {}
}

async fn said(address: std::net::SocketAddr, request: &str) -> String {
    String::from_utf8(answered(address, request).await).expect("text")
}

async fn answered(address: std::net::SocketAddr, request: &str) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    socket.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("answered");
    answer
}

/// What `GET path` is answered with, and what of it is the body.
async fn got(address: std::net::SocketAddr, path: &str, fields: &str) -> (String, Vec<u8>) {
    let request =
        format!("GET /mirror/debian/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n");
    let mut answer = answered(address, &request).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).expect("text"), body)
}

/// The site's mirrors behind a server on loopback, whose machines may read them.
fn serving(site: &Site, upstream: &Upstream, dir: &TempDir) -> server::Serving {
    site.plan.send_replace(Some(planned_for("127.0.0.0/8", Some(&mirror(&[upstream])))));
    serving_strangers(site, dir)
}

fn serving_strangers(site: &Site, dir: &TempDir) -> server::Serving {
    let (cache, _) = Cache::open(dir.path(), SystemTime::now(), LONG).expect("opens");
    let images = Images::new(Arc::new(cache), mpsc::channel(1).0);
    let limits = server::Limits::default();
    let server = server::Server::with_mirrors(Arc::new(Empty), images, site.mirrors.clone(), limits);
    let listener = StdListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let arrival =
        Arrival { interface: 0, server: [127, 0, 0, 1].into(), base_url: "http://127.0.0.1".into() };
    server.serve(listener, arrival, CancellationToken::new()).expect("it starts")
}

#[tokio::test]
async fn a_file_without_a_length_is_chunked_for_http_1_1_alone() {
    let upstream = Upstream::start().await;
    upstream.say("dists/x", [chunked(&[b"abc", b"defg"])]);
    let site = Site::new(&mirror(&[&upstream]));
    let dir = tempfile::tempdir().expect("tempdir");
    let serving = serving_strangers(&site, &dir);
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

#[tokio::test]
async fn what_is_held_what_arrives_and_ranges_leave_byte_for_byte() {
    let upstream = Upstream::start().await;
    let (body, gate) = (content(1_000_000), Arc::new(Notify::new()));
    upstream.say("pool/a", [held_up(TAGGED, &body, 300_000, &gate)]);
    let chunks: Vec<_> = body.chunks(70_000).collect();
    upstream.say("pool/chunked", [chunked(&chunks)]);
    let site = Site::new(&mirror(&[&upstream]));
    let dir = tempfile::tempdir().expect("tempdir");
    let serving = serving(&site, &upstream, &dir);
    let address = serving.address();
    let arriving = tokio::spawn(async move { got(address, "pool/a", "").await });
    let joined = tokio::spawn(async move { got(address, "pool/a", "Range: bytes=299990-300009\r\n").await });
    while site.status().joined == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    gate.notify_one();
    let (head, got_all) = arriving.await.expect("no panic");
    assert!(head.contains("Bootlane-Mirror: fetched") && got_all == body, "{head}");
    assert_eq!(joined.await.expect("no panic").1, &body[299_990..300_010]);
    site.settled().await;
    let (head, got_all) = got(address, "pool/a", "").await;
    assert!(head.contains("Bootlane-Mirror: held") && got_all == body, "{head}");
    let (head, part) = got(address, "pool/a", "Range: bytes=500000-799999\r\n").await;
    assert!(head.starts_with("HTTP/1.1 206") && part == body[500_000..800_000], "{head}");
    let (head, in_chunks) = got(address, "pool/chunked", "").await;
    assert!(head.contains("Transfer-Encoding: chunked") && unchunked(&in_chunks) == body, "{head}");
    assert_eq!(site.status().machine_bytes, 3_300_020);
}

/// The bytes of a chunked body (RFC 9112 §7.1), which ends as it should.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let line = body.windows(2).position(|two| two == b"\r\n").expect("a size");
        let size = std::str::from_utf8(&body[..line]).expect("text");
        let size = usize::from_str_radix(size, 16).expect("a number");
        let chunk = &body[line + 2..];
        all.extend(&chunk[..size]);
        assert_eq!(&chunk[size..size + 2], b"\r\n");
        body = &chunk[size + 2..];
        if size == 0 {
            assert!(body.is_empty());
            return all;
        }
    }
}

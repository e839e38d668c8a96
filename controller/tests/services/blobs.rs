//! Image bytes over HTTPS: ranges, and only what a plan of the caller's site names.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use proto::Digest;

use super::harness::{Agent, Controller, PATIENCE};

struct Answer {
    status: StatusCode,
    headers: hyper::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

async fn ask(agent: &Agent, method: Method, path: &str, range: Option<&str>) -> Answer {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(agent.http().await)).await.expect("HTTP/1.1");
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "controller");
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let request = request.body(Empty::<Bytes>::new()).expect("a legal request");
    let answer = tokio::time::timeout(PATIENCE, sender.send_request(request))
        .await
        .expect("in time")
        .expect("answered");
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    drop(sender);
    // The connection ends when its last user is gone.
    let _ = connection.await;
    Answer { status: head.status, headers: head.headers, body }
}

async fn put(controller: &Controller, bytes: &'static [u8]) -> String {
    let blobs = &controller.running.app.blobs;
    let mut upload = blobs.begin(Digest::of(bytes), bytes.len() as u64).await.expect("begun");
    upload.write(Bytes::from_static(bytes)).await.expect("taken");
    upload.finish().await.expect("right");
    format!("/blobs/sha256/{}", Digest::of(bytes))
}

#[tokio::test]
async fn a_blob_of_the_site_s_plan_in_whole_and_in_part() {
    let controller = Controller::with_lyon().await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let path = put(&controller, b"kernel").await;
    let mut plans = controller.running.app.planner.subscribe("lyon");
    let named = plans.wait_for(|plan| plan.as_ref().is_some_and(|plan| plan.blobs.len() == 1));
    drop(tokio::time::timeout(PATIENCE, named).await.expect("in time").expect("planned"));

    let whole = ask(&agent, Method::GET, &path, None).await;
    assert_eq!((whole.status, whole.body.as_ref()), (StatusCode::OK, b"kernel".as_slice()));
    assert_eq!((whole.header("accept-ranges"), whole.header("content-length")), ("bytes", "6"));
    let head = ask(&agent, Method::HEAD, &path, None).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (StatusCode::OK, "6", 0));
    let part = ask(&agent, Method::GET, &path, Some("bytes=1-3")).await;
    assert_eq!((part.status, part.body.as_ref()), (StatusCode::PARTIAL_CONTENT, b"ern".as_slice()));
    assert_eq!(part.header("content-range"), "bytes 1-3/6");
    let tail = ask(&agent, Method::GET, &path, Some("bytes=4-")).await;
    assert_eq!(tail.body.as_ref(), b"el");
    let parts = ask(&agent, Method::GET, &path, Some("bytes=0-1,3-3,5-")).await;
    assert_eq!(parts.status, StatusCode::PARTIAL_CONTENT);
    let boundary = Digest::of(b"kernel");
    assert_eq!(parts.header("content-type"), format!("multipart/byteranges; boundary={boundary}"));
    let part = |range: &str, content: &str| {
        let kind = "Content-Type: application/octet-stream";
        format!("\r\n--{boundary}\r\n{kind}\r\nContent-Range: bytes {range}/6\r\n\r\n{content}")
    };
    let expected =
        part("0-1", "ke") + &part("3-3", "n") + &part("5-5", "l") + &format!("\r\n--{boundary}--\r\n");
    assert_eq!(parts.header("content-length"), expected.len().to_string());
    assert_eq!(parts.body, expected);
    let beyond = ask(&agent, Method::GET, &path, Some("bytes=6-")).await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */6")
    );
}

#[tokio::test]
async fn nothing_else_exists() {
    let controller = Controller::with_lyon().await;
    let path = put(&controller, b"kernel").await;
    let unnamed = put(&controller, b"another site's").await;
    let agent = controller.agent("lyon", "lyon-1").await;
    let elsewhere = controller.agent("nice", "nice-1").await;
    for path in [unnamed.as_str(), "/blobs/sha256/abc", "/blobs/sha256/..%2f..%2fauthority", "/blobs/", "/"] {
        assert_eq!(ask(&agent, Method::GET, path, None).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        ask(&elsewhere, Method::GET, &path, None).await.status,
        StatusCode::NOT_FOUND,
        "another site's agent"
    );
    assert_eq!(ask(&agent, Method::PUT, &path, None).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

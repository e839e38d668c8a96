//! Streams: what is added is sent, a stream that was cut goes on where it was, and one whose session has ended is closed.

use std::time::Duration;

use super::*;

/// A stream of Server-Sent Events, as they come.
struct Stream {
    body: Body,
    text: String,
}

impl Stream {
    async fn open(lab: &Lab, path: &str, cookie: &str, last: Option<&str>) -> Self {
        let mut request = get(path, Some(cookie));
        if let Some(last) = last {
            request.headers_mut().insert("last-event-id", last.parse().expect("plain"));
        }
        let answer = lab.ask(request).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { body: answer.into_body(), text: String::new() }
    }

    /// The next message of this kind; None: the stream has ended.
    async fn next(&mut self, kind: &str) -> Option<String> {
        loop {
            while let Some((message, rest)) = self.text.split_once("\n\n") {
                let (message, rest) = (message.to_owned(), rest.to_owned());
                self.text = rest;
                if message.lines().any(|line| line == format!("event: {kind}")) {
                    return Some(message);
                }
            }
            let frame =
                tokio::time::timeout(Duration::from_secs(60), self.body.frame()).await.expect("in time")?;
            let bytes = frame.expect("not cut off").into_data().expect("data");
            self.text += std::str::from_utf8(&bytes).expect("UTF-8");
        }
    }
}

fn id(message: &str) -> &str {
    message.lines().find_map(|line| line.strip_prefix("id: ")).expect("it has one")
}

const LIVE: &str = "/boots/abababababababababababababababab/live";

#[tokio::test]
async fn a_timeline_grows_and_goes_on_where_it_was_cut() {
    let lab = Lab::new().await;
    let cookie = lab.log_in("admin").await;
    lab.report(1, vec![began("PXEClient"), progress("one")]).await;
    let mut stream = Stream::open(&lab, &format!("{LIVE}?after=1"), &cookie, None).await;
    let line = stream.next("line").await.expect("what the page did not have");
    assert!(id(&line) == "2" && line.contains("event-2") && line.contains("40% one"), "{line}");
    assert!(stream.next("part").await.expect("what changes").contains("summary"));
    lab.report(3, vec![progress("two"), progress("three")]).await;
    for (number, text) in [("3", "two"), ("4", "three")] {
        let line = stream.next("line").await.expect("it is told");
        assert!(id(&line) == number && line.contains(text), "{line}");
    }
    drop(stream);
    lab.report(5, vec![progress("four")]).await;
    let mut again = Stream::open(&lab, &format!("{LIVE}?after=1"), &cookie, Some("3")).await;
    for number in ["4", "5"] {
        assert_eq!(id(&again.next("line").await.expect("it is told")), number);
    }
}

#[tokio::test]
async fn a_stage_that_ends_is_told_as_a_part() {
    let lab = Lab::new().await;
    let cookie = lab.log_in("admin").await;
    lab.report(1, vec![began("PXEClient")]).await;
    let mut stream = Stream::open(&lab, LIVE, &cookie, None).await;
    let address = std::net::Ipv4Addr::new(10, 1, 0, 9);
    lab.report(2, vec![EventKind::Leased { address, until: Wall(NOW.0 + 60_000), client: Client::PxeRom }])
        .await;
    loop {
        let part = stream.next("part").await.expect("it is told");
        if part.contains(r#"id="stages""#) && part.contains("10.1.0.9") {
            break;
        }
    }
}

#[tokio::test]
async fn other_views_hear_that_something_has_changed_at_their_site() {
    let lab = Lab::new().await;
    let cookie = lab.log_in("admin").await;
    let mut here = Stream::open(&lab, "/live?site=lyon", &cookie, None).await;
    lab.report(1, vec![began("PXEClient")]).await;
    assert!(here.next("changed").await.is_some());
}

#[tokio::test]
async fn streams_are_bounded_and_end_with_their_session_and_the_controller() {
    let lab = Lab::new().await;
    lab.operator("ann", false).await;
    lab.report(1, vec![began("PXEClient")]).await;
    let (ann, admin) = (lab.log_in("ann").await, lab.log_in("admin").await);
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(Stream::open(&lab, LIVE, &ann, None).await);
    }
    assert_eq!(lab.ask(get(LIVE, Some(&ann))).await.status(), StatusCode::TOO_MANY_REQUESTS);
    let mut other = Stream::open(&lab, LIVE, &admin, None).await;
    lab.operator("ann", true).await;
    for mut stream in streams {
        while stream.next("line").await.is_some() {}
    }
    lab.report(2, vec![progress("on")]).await;
    while !other.next("line").await.expect("another's goes on").contains("40% on") {}
    lab.stop.cancel();
    assert_eq!(other.next("line").await, None);
}

#[tokio::test]
async fn a_boot_that_is_not_known_has_no_stream() {
    let lab = Lab::new().await;
    let cookie = lab.log_in("admin").await;
    for path in ["/boots/00000000000000000000000000000000/live", "/boots/x/live"] {
        assert_eq!(lab.get(path, Some(&cookie)).await.0, StatusCode::NOT_FOUND);
    }
}

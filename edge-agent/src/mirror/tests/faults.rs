//! Upstreams that fail in every way.

use proto::Digest;

use super::{
    upstream::{Part, Reply, announced, rest},
    *,
};

fn hung() -> Reply {
    vec![Part::Hang]
}

#[tokio::test]
async fn the_next_upstream_answers_for_one_that_does_not() {
    for wrong in [status("502 Oops", ""), status("503 Later", ""), status("429 Slow down", ""), vec![]] {
        let (first, second) = (Upstream::start().await, Upstream::start().await);
        first.say("pool/a", [wrong.clone()]);
        first.say("pool/b", [wrong]);
        second.say("pool/a", [ok(TAGGED, b"a")]);
        second.say("pool/b", [ok(TAGGED, b"b")]);
        let site = Site::new(&mirror(&[&first, &second]));
        fresh(site.whole("pool/a").await, "fetched", b"a");
        fresh(site.whole("pool/b").await, "fetched", b"b");
        // A connection that is closed without a word may be tried once more by the client itself.
        assert!(first.asked().len() <= 2, "it is left alone for a while: {:?}", first.asked());
        assert_eq!(second.asked().len(), 2);
    }
}

#[tokio::test]
async fn one_that_has_no_such_file_is_not_the_last_word() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    second.say("pool/a", [ok(TAGGED, b"a")]);
    let site = Site::new(&mirror(&[&first, &second]));
    fresh(site.whole("pool/a").await, "fetched", b"a");
    assert_eq!((first.asked().len(), second.asked().len()), (1, 1));
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_given_up() {
    let upstream = Upstream::start().await;
    upstream.say("dists/x", [hung()]);
    let limits = Limits { head: Duration::from_millis(100), ..limits() };
    let site = Site::at(Arc::new(tempfile::tempdir().expect("tempdir")), &mirror(&[&upstream]), limits);
    for _ in 0..3 {
        let (status, _, words) = site.whole("dists/x").await;
        assert_eq!(status, 504, "{}", String::from_utf8_lossy(&words));
    }
    assert_eq!(upstream.asked().len(), 1, "it is left alone for a while");
}

#[tokio::test]
async fn after_a_cut_the_rest_of_the_same_version_is_asked_for() {
    let upstream = Upstream::start().await;
    let body = content(500_000);
    let cut = announced(TAGGED, body.len(), &body[..200_000]);
    upstream.say("pool/a", [cut, status("500 Oops", ""), rest(TAGGED, &body, 200_000)]);
    let site = Site::new(&mirror(&[&upstream]));
    fresh(site.whole("pool/a").await, "fetched", &body);
    fresh(site.whole("pool/a").await, "held", &body);
    let asked = upstream.asked();
    assert_eq!(asked.len(), 3);
    let again = asked[2].to_ascii_lowercase();
    assert!(again.contains("range: bytes=200000-") && again.contains("if-range: \"1\""), "{again}");
    assert_eq!(site.status().wan_bytes, 500_000, "no byte twice");
}

/// Each of these ends the connection of who reads, keeps nothing, and lets the next one ask anew.
#[tokio::test]
async fn what_cannot_be_whole_is_neither_finished_nor_kept() {
    let (body, other) = (content(500_000), content(400_000));
    let cut = |fields: &str| announced(fields, body.len(), &body[..200_000]);
    let changed = "ETag: \"2\"\r\n";
    for (name, replies) in [
        ("changed", vec![cut(TAGGED), ok(changed, &other)]),
        ("another version's rest", vec![cut(TAGGED), rest(changed, &body, 200_000)]),
        ("another place", vec![cut(TAGGED), rest(TAGGED, &body, 200_001)]),
        ("another size", vec![cut(TAGGED), rest(TAGGED, &content(500_001), 200_000)]),
        ("no validator", vec![cut("")]),
    ] {
        let upstream = Upstream::start().await;
        let good = ok(changed, &other);
        upstream.say("pool/a", replies.into_iter().chain([good]));
        let site = Site::new(&mirror(&[&upstream]));
        let response = site.get("pool/a").await;
        assert_eq!(response.headers()["content-length"], "500000", "{name}");
        assert!(matches!(bytes(response).await, Err(Broken::Stopped)), "{name}");
        site.settled().await;
        let (status, _, got) = site.whole("pool/a").await;
        assert!(status == 200 && got == other, "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_taken() {
    let upstream = Upstream::start().await;
    let large = content((1 << 20) + 1);
    upstream.say("pool/announced", [ok(TAGGED, &large)]);
    upstream.say("pool/silent", [chunked(&[&large[..1 << 20], &large[1 << 20..]])]);
    let site = Site::new(&mirror(&[&upstream]));
    assert_eq!(site.whole("pool/announced").await.0, 502);
    let response = site.get("pool/silent").await;
    assert!(matches!(bytes(response).await, Err(Broken::Stopped)));
    site.settled().await;
    let store = &site.mirrors.kept("debian").await.expect("open").store;
    assert_eq!((store.files(), store.bytes()), (0, 0));
}

#[tokio::test]
async fn without_room_on_the_disk_nothing_is_fetched() {
    let upstream = Upstream::start().await;
    upstream.say("pool/a", [ok(TAGGED, b"a")]);
    certs::tls::install_provider();
    let (_plan, follower) = watch::channel(Some(planned(Some(&mirror(&[&upstream])))));
    let dir = Arc::new(tempfile::tempdir().expect("tempdir"));
    let folder = dir.path().join("mirrors");
    let options = Options {
        folder,
        plan: follower,
        low_disk_bytes: u64::MAX,
        proxy: Proxy::None,
        wan: Arc::default(),
        limits: limits(),
    };
    let site = Site { mirrors: Mirrors::new(options), dir, plan: watch::channel(None).0 };
    let (status, _, words) = site.whole("pool/a").await;
    assert_eq!((status, String::from_utf8_lossy(&words).contains("no room")), (503, true));
}

#[tokio::test]
async fn a_name_that_promises_a_digest_is_held_to_it() {
    let upstream = Upstream::start().await;
    let (good, bad) = (content(200_000), content(200_001));
    let path = format!("dists/sid/main/by-hash/SHA256/{}", Digest::of(&good));
    upstream.say(&path, [announced(TAGGED, 200_001, &bad), ok(TAGGED, &good)]);
    let site = Site::new(&mirror(&[&upstream]));
    let response = site.get(&path).await;
    let mut body = response.into_body();
    let mut got = 0;
    let fault = loop {
        match more(&mut body).await {
            Ok(some) => got += some.expect("it does not end").len(),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, Broken::Stopped) && got < bad.len(), "the end was given away");
    site.settled().await;
    fresh(site.whole(&path).await, "fetched", &good);
    fresh(site.whole(&path).await, "held", &good);
}

#[tokio::test]
async fn s8_redirections_lead_to_declared_hosts_alone() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    other.say("pool/a", [ok(TAGGED, b"elsewhere")]);
    let to = |path: &str| status("302 Found", &format!("Location: {path}\r\n"));
    upstream.say("pool/a", [to(&format!("{}pool/a", other.base))]);
    upstream.say("pool/b", [to("/base/pool/c")]);
    upstream.say("pool/c", [ok(TAGGED, b"c")]);
    upstream.say("pool/loop", [to("/base/pool/loop")]);
    let site = Site::new(&mirror(&[&upstream]));
    fresh(site.whole("pool/b").await, "fetched", b"c");
    let (status, _, words) = site.whole("pool/a").await;
    let words = String::from_utf8_lossy(&words).into_owned();
    assert!(status == 502 && words.contains("redirects_to"), "{words}");
    assert_eq!(other.asked().len(), 0);
    let declared = Site::new(&mirror(&[&upstream, &other]));
    fresh(declared.whole("pool/a").await, "fetched", b"elsewhere");
    let looping = Site::new(&mirror(&[&upstream]));
    assert_eq!(looping.whole("pool/loop").await.0, 502);
}

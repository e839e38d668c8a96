//! What is held outlives everything but the word of all upstreams.

use super::*;

/// A mirror whose index is held, and asked after each time.
async fn held(upstreams: &[&Upstream], giver: &Upstream) -> Site {
    giver.say("dists/x", [ok(TAGGED, b"held")]);
    let mut mirror = mirror(upstreams);
    mirror.fresh = Duration::ZERO;
    let site = Site::new(&mirror);
    fresh(site.whole("dists/x").await, "fetched", b"held");
    site
}

#[tokio::test]
async fn one_404_deletes_nothing_while_another_upstream_is_away() {
    let (mut source, partial) = (Upstream::start().await, Upstream::start().await);
    let site = held(&[&source, &partial], &source).await;
    source.stop().await;
    // In the first round it fails, in the second one it is left alone.
    for _ in 0..2 {
        fresh(site.whole("dists/x").await, "stale", b"held");
    }
    assert_eq!(partial.asked().len(), 2, "and that it is not there is not remembered");
    let (status, _, words) = site.whole("dists/never").await;
    let words = String::from_utf8_lossy(&words).into_owned();
    assert!(status == 504 && words.contains("not all upstreams answer"), "{status} {words}");
}

#[tokio::test]
async fn a_file_is_gone_when_all_upstreams_say_so() {
    for gone in ["404 Not Found", "410 Gone"] {
        let (first, second) = (Upstream::start().await, Upstream::start().await);
        let site = held(&[&first, &second], &second).await;
        second.say("dists/x", [status(gone, "")]);
        assert_eq!(site.whole("dists/x").await.0, 404);
        assert_eq!(site.mirrors.kept("debian").await.expect("open").store.files(), 0);
    }
}

#[tokio::test]
async fn a_refusal_is_no_word_on_what_there_is() {
    for refusal in [
        "401 Unauthorized",
        "403 Forbidden",
        "407 Proxy Authentication Required",
        "451 Unavailable",
        "500 Oops",
    ] {
        let upstream = Upstream::start().await;
        let site = held(&[&upstream], &upstream).await;
        upstream.say("pool/other", [ok(TAGGED, b"other")]);
        for path in ["dists/x", "pool/a"] {
            upstream.say(path, [status(refusal, "")]);
        }
        for _ in 0..3 {
            fresh(site.whole("dists/x").await, "stale", b"held");
            let (status, _, words) = site.whole("pool/a").await;
            let words = String::from_utf8_lossy(&words).into_owned();
            assert!(status == 502 && words.contains("refuses") && words.contains(&refusal[..3]), "{words}");
        }
        assert_eq!(upstream.asked().len(), 3, "a refusal is remembered for a while: {:?}", upstream.asked());
        fresh(site.whole("pool/other").await, "fetched", b"other");
        assert!(site.status().away.is_empty());
    }
}

#[tokio::test]
async fn the_next_upstream_is_asked_after_a_refusal() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    first.say("pool/a", [status("403 Forbidden", "")]);
    second.say("pool/a", [ok(TAGGED, b"a")]);
    let site = Site::new(&mirror(&[&first, &second]));
    fresh(site.whole("pool/a").await, "fetched", b"a");
}

#[tokio::test]
async fn who_is_away_is_told() {
    let mut upstream = Upstream::start().await;
    let site = held(&[&upstream], &upstream).await;
    let base = upstream.base.clone();
    upstream.stop().await;
    fresh(site.whole("dists/x").await, "stale", b"held");
    let status = site.status();
    assert_eq!((status.away, status.held_bytes, status.held_files, status.stale), (vec![base], 4, 1, 1));
}

#[tokio::test]
async fn s8_an_address_is_looked_at_before_it_is_called() {
    let upstream = Upstream::start().await;
    upstream.say("pool/a", [status("302 Found", "Location: http://169.254.169.254/latest\r\n")]);
    let mut mirror = mirror(&[&upstream]);
    mirror.redirects_to = vec!["169.254.169.254".parse().expect("a host")];
    let site = Site::new(&mirror);
    let (status, _, words) = site.whole("pool/a").await;
    let words = String::from_utf8_lossy(&words).into_owned();
    assert!(status == 502 && words.contains("169.254.169.254 is an address of this machine"), "{words}");
}

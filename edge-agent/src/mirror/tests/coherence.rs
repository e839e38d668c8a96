//! A machine never gets a new release with an old index.

use super::*;

const RELEASE: &str = "dists/sid/InRelease";
const PACKAGES: &str = "dists/sid/main/binary-amd64/Packages.xz";

/// A site that has served both files, and whose release is asked after each time from now on.
async fn served(upstream: &Upstream) -> Site {
    let mut mirror = mirror(&[upstream]);
    let site = Site::new(&mirror);
    fresh(site.whole(RELEASE).await, "fetched", b"release 1");
    fresh(site.whole(PACKAGES).await, "fetched", b"packages 1");
    fresh(site.whole(PACKAGES).await, "held", b"packages 1");
    mirror.fresh = Duration::ZERO;
    site.plan.send_replace(Some(planned(Some(&mirror))));
    site
}

/// Indices are given away for a minute without asking again.
fn relax(site: &Site, upstream: &Upstream) {
    site.plan.send_replace(Some(planned(Some(&mirror(&[upstream])))));
}

async fn changed(upstream: &Upstream) -> Site {
    upstream.say(RELEASE, [ok(TAGGED, b"release 1"), ok(TAGGED, b"release 2")]);
    upstream.say(PACKAGES, [ok(TAGGED, b"packages 1"), ok(TAGGED, b"packages 2")]);
    let site = served(upstream).await;
    fresh(site.whole(RELEASE).await, "fetched", b"release 2");
    relax(&site, upstream);
    site
}

#[tokio::test]
async fn an_index_is_asked_after_again_once_its_release_has_changed() {
    let upstream = Upstream::start().await;
    let site = changed(&upstream).await;
    fresh(site.whole(PACKAGES).await, "fetched", b"packages 2");
    fresh(site.whole(PACKAGES).await, "held", b"packages 2");
    fresh(site.whole(RELEASE).await, "held", b"release 2");
}

#[tokio::test]
async fn the_same_release_again_is_no_new_one() {
    let upstream = Upstream::start().await;
    upstream.say(RELEASE, [ok("", b"release 1")]);
    upstream.say(PACKAGES, [ok(TAGGED, b"packages 1")]);
    let site = served(&upstream).await;
    fresh(site.whole(RELEASE).await, "fetched", b"release 1");
    relax(&site, &upstream);
    fresh(site.whole(PACKAGES).await, "held", b"packages 1");
}

#[tokio::test]
async fn without_an_upstream_an_index_that_is_older_than_its_release_is_not_given() {
    let mut upstream = Upstream::start().await;
    let site = changed(&upstream).await;
    upstream.stop().await;
    let (status, _, words) = site.whole(PACKAGES).await;
    let words = String::from_utf8(words).expect("text");
    assert!(status == 504 && words.contains("older than the release"), "{status} {words}");
    fresh(site.whole(RELEASE).await, "held", b"release 2");
}

#[tokio::test]
async fn without_an_upstream_what_fits_together_is_given_stale_and_says_so() {
    let mut upstream = Upstream::start().await;
    upstream.say(RELEASE, [ok(TAGGED, b"release 1")]);
    upstream.say(PACKAGES, [ok(TAGGED, b"packages 1")]);
    upstream.say("pool/a", [ok(TAGGED, b"a")]);
    let site = served(&upstream).await;
    fresh(site.whole("pool/a").await, "fetched", b"a");
    upstream.stop().await;
    for (path, body) in [(RELEASE, &b"release 1"[..]), (PACKAGES, b"packages 1")] {
        let response = site.get(path).await;
        assert_eq!(response.headers()["warning"], "110 - \"Response is Stale\"");
        assert!(response.headers().contains_key("age"));
        assert_eq!(from(response.headers()), "stale");
        assert_eq!(bytes(response).await.expect("whole"), body);
    }
    fresh(site.whole("pool/a").await, "held", b"a");
    let (status, _, _) = site.whole("pool/never-fetched").await;
    assert_eq!(status, 504);
    assert_eq!((site.status().stale, site.status().unavailable), (2, 1));
}

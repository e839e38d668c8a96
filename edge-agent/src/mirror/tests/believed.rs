//! What is kept for good, and how a machine gets rid of what is wrong.

use super::{upstream::unbounded, *};

const NO_CACHE: [(&str, &str); 1] = [("cache-control", "no-cache")];

async fn insisting(site: &Site, path: &str) -> (u16, String, Vec<u8>) {
    let response = site.ask(Method::GET, Version::HTTP_11, path, &NO_CACHE).await;
    let (status, how) = (response.status().as_u16(), from(response.headers()));
    let bytes = bytes(response).await.expect("whole");
    site.settled().await;
    (status, how, bytes)
}

#[tokio::test]
async fn a_file_whose_end_nobody_tells_is_passed_on_and_not_kept() {
    let upstream = Upstream::start().await;
    let body = content(100_000);
    upstream.say("pool/a", [unbounded(TAGGED, &body[..60_000]), unbounded(TAGGED, &body), ok(TAGGED, &body)]);
    let site = Site::new(&mirror(&[&upstream]));
    // It was a cut, which nobody could know.
    fresh(site.whole("pool/a").await, "fetched", &body[..60_000]);
    fresh(site.whole("pool/a").await, "fetched", &body);
    assert_eq!(site.status().held_files, 0);
    fresh(site.whole("pool/a").await, "fetched", &body);
    fresh(site.whole("pool/a").await, "held", &body);
}

#[tokio::test]
async fn a_promised_digest_tells_the_end_as_well() {
    let upstream = Upstream::start().await;
    let body = content(100_000);
    let path = format!("dists/sid/by-hash/SHA256/{}", proto::Digest::of(&body));
    upstream.say(&path, [unbounded(TAGGED, &body)]);
    let site = Site::new(&mirror(&[&upstream]));
    fresh(site.whole(&path).await, "fetched", &body);
    fresh(site.whole(&path).await, "held", &body);
}

#[tokio::test]
async fn a_machine_that_insists_has_what_never_changes_asked_after() {
    let upstream = Upstream::start().await;
    let right = "ETag: \"2\"\r\n";
    upstream.say("pool/a", [ok(TAGGED, b"<html>sign in</html>"), ok(right, b"a package")]);
    let mut mirror = mirror(&[&upstream]);
    let site = Site::new(&mirror);
    fresh(site.whole("pool/a").await, "fetched", b"<html>sign in</html>");
    fresh(insisting(&site, "pool/a").await, "held", b"<html>sign in</html>");
    assert_eq!(upstream.asked().len(), 1, "not before `fresh` is over");
    mirror.fresh = Duration::ZERO;
    site.plan.send_replace(Some(planned(Some(&mirror))));
    fresh(site.whole("pool/a").await, "held", b"<html>sign in</html>");
    fresh(insisting(&site, "pool/a").await, "fetched", b"a package");
    fresh(site.whole("pool/a").await, "held", b"a package");
    upstream.say("pool/a", [status("304 Not Modified", "")]);
    fresh(insisting(&site, "pool/a").await, "checked", b"a package");
}

#[tokio::test]
async fn what_its_name_promises_is_believed_whoever_insists() {
    let upstream = Upstream::start().await;
    let path = format!("dists/sid/by-hash/SHA256/{}", proto::Digest::of(b"index"));
    upstream.say(&path, [ok(TAGGED, b"index")]);
    let mut mirror = mirror(&[&upstream]);
    mirror.fresh = Duration::ZERO;
    let site = Site::new(&mirror);
    fresh(site.whole(&path).await, "fetched", b"index");
    fresh(insisting(&site, &path).await, "held", b"index");
    assert_eq!(upstream.asked().len(), 1);
}

//! Mirrors against an upstream on loopback that does what it is told.

mod believed;
mod coherence;
mod faults;
mod kill;
mod refused;
mod shares;
mod sharing;
pub(super) mod upstream;
mod wire;

use std::{os::unix::fs::FileExt, sync::Arc, time::Duration};

use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use proto::{
    Generation,
    mirror::MirrorFamily,
    plan::{MirrorPlan, Network, PlanDocument, SitePlan, Subnet, mirror_entry, network_entry},
};
use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use upstream::{Upstream, chunked, ok, status};

const LONG: Duration = Duration::from_secs(60);
const TAGGED: &str = "ETag: \"1\"\r\nLast-Modified: Sat, 10 Feb 2024 11:07:25 GMT\r\n";
const MACHINE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);

/// Mirrors, their folder and what they obey.
struct Site {
    mirrors: Mirrors,
    dir: Arc<TempDir>,
    plan: watch::Sender<Option<Arc<SitePlan>>>,
}

fn limits() -> Limits {
    Limits { head: Duration::from_secs(20), stall: LONG, ..Limits::default() }
}

fn mirror(upstreams: &[&Upstream]) -> MirrorPlan {
    MirrorPlan {
        name: "debian".into(),
        family: MirrorFamily::Debian,
        upstreams: upstreams.iter().map(|one| one.base.parse().expect("an upstream")).collect(),
        redirects_to: vec![],
        index: vec![],
        immutable: vec![],
        fresh: LONG,
        budget_bytes: 1 << 20,
        max_object_bytes: 1 << 20,
    }
}

fn planned(mirror: Option<&MirrorPlan>) -> Arc<SitePlan> {
    planned_for("10.1.0.0/24", mirror)
}

/// For the machines of this network.
fn planned_for(network: &str, mirror: Option<&MirrorPlan>) -> Arc<SitePlan> {
    let subnet = Subnet {
        network: network.parse().expect("a network"),
        pools: vec![],
        router: None,
        dns: vec![],
        ntp: vec![],
        domain: None,
        lease: LONG,
        shared: None,
    };
    let network = network_entry(&Network { subnets: vec![subnet], ..Network::default() });
    let entries = std::iter::once(network).chain(mirror.map(mirror_entry));
    let document = PlanDocument::assemble("acme", "lyon", Generation { epoch: 1, revision: 1 }, 1, entries);
    Arc::new(SitePlan::decode(&document).expect("a plan"))
}

impl Site {
    fn new(mirror: &MirrorPlan) -> Self {
        Self::limited(mirror, limits())
    }

    fn limited(mirror: &MirrorPlan, limits: Limits) -> Self {
        Self::at(Arc::new(tempfile::tempdir().expect("tempdir")), mirror, limits)
    }

    fn at(dir: Arc<TempDir>, mirror: &MirrorPlan, limits: Limits) -> Self {
        Self::within(Arc::default(), dir, mirror, limits)
    }

    /// On a WAN that carries so much.
    fn within(wan: Arc<Budget>, dir: Arc<TempDir>, mirror: &MirrorPlan, limits: Limits) -> Self {
        certs::tls::install_provider();
        let (plan, follower) = watch::channel(Some(planned(Some(mirror))));
        let options = Options {
            folder: dir.path().join("mirrors"),
            plan: follower,
            low_disk_bytes: 0,
            proxy: Proxy::None,
            wan,
            limits,
        };
        Self { mirrors: Mirrors::new(options), dir, plan }
    }

    /// As after a restart of the agent.
    fn again(self, mirror: &MirrorPlan) -> Self {
        Self::at(self.dir, mirror, limits())
    }

    async fn get(&self, path: &str) -> Response<Body> {
        self.ask(Method::GET, Version::HTTP_11, path, &[]).await
    }

    async fn ask(
        &self,
        method: Method,
        version: Version,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Response<Body> {
        self.ask_from(MACHINE, method, version, path, fields).await
    }

    async fn ask_from(
        &self,
        machine: Ipv4Addr,
        method: Method,
        version: Version,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Response<Body> {
        let request =
            Request::builder().method(method).version(version).uri(format!("/mirror/debian/{path}"));
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let claimed = self.mirrors.claim(&parts.uri, machine).expect("a mirror's path");
        self.mirrors.answer(claimed, &parts).await
    }

    /// Its status, where it came from, and its bytes; what was fetched is kept when this returns.
    async fn whole(&self, path: &str) -> (u16, String, Vec<u8>) {
        let response = self.get(path).await;
        let (status, how) = (response.status().as_u16(), from(response.headers()));
        let bytes = bytes(response).await.expect("whole");
        self.settled().await;
        (status, how, bytes)
    }

    /// Nothing is being asked any more.
    async fn settled(&self) {
        let kept = self.mirrors.kept("debian").await.expect("open");
        while kept.under_way() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn status(&self) -> v1::MirrorStatus {
        self.mirrors.status().into_iter().find(|status| status.name == "debian").unwrap_or_default()
    }
}

fn from(fields: &HeaderMap) -> String {
    fields.get("bootlane-mirror").map_or(String::new(), |how| how.to_str().expect("text").to_owned())
}

async fn bytes(response: Response<Body>) -> Result<Vec<u8>, Broken> {
    let (mut body, mut all) = (response.into_body(), Vec::new());
    while let Some(some) = more(&mut body).await? {
        all.extend(some);
    }
    Ok(all)
}

/// What of the body is there next, as who sends it would read it.
async fn more(body: &mut Body) -> Result<Option<Vec<u8>>, Broken> {
    let pieces = match body {
        Body::Words(words) => {
            let words = std::mem::take(words);
            return Ok((!words.is_empty()).then(|| words.to_vec()));
        }
        Body::File(pieces) => pieces,
    };
    let Some(range) = pieces.next().await? else { return Ok(None) };
    let mut read = vec![0; usize::try_from(range.end - range.start).expect("small")];
    pieces.file().read_exact_at(&mut read, range.start).expect("it is there");
    pieces.sent(read.len() as u64);
    Ok(Some(read))
}

/// Bytes in which every position can be told from its neighbours.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at * 31 + at / 251) % 256).expect("below 256")).collect()
}

fn fresh(result: (u16, String, Vec<u8>), how: &str, body: &[u8]) {
    let (status, from, bytes) = result;
    assert_eq!((status, from.as_str(), bytes.len()), (200, how, body.len()));
    assert!(bytes == body, "other bytes");
}

#[tokio::test]
async fn what_never_changes_is_fetched_once_and_outlives_a_restart() {
    let upstream = Upstream::start().await;
    let body = content(300_000);
    upstream.say("pool/a+b.deb", [status("404 Not Found", "")]);
    upstream.say("pool/a%2Bb.deb", [ok(TAGGED, &body)]);
    let mirror = mirror(&[&upstream]);
    let site = Site::new(&mirror);
    fresh(site.whole("pool/a+b.deb").await, "fetched", &body);
    fresh(site.whole("pool/a%2bb.deb").await, "held", &body);
    let status = site.status();
    assert_eq!((status.wan_bytes, status.machine_bytes), (300_000, 600_000));
    assert_eq!((status.questions, status.fetched, status.held), (1, 1, 1));
    let site = site.again(&mirror);
    fresh(site.whole("pool/a+b.deb").await, "held", &body);
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn an_index_is_fresh_for_a_while_and_asked_after_then() {
    let upstream = Upstream::start().await;
    upstream
        .say("dists/sid/InRelease", [ok(TAGGED, b"one"), status("304 Not Modified", ""), ok("", b"two!")]);
    let mut mirror = mirror(&[&upstream]);
    let site = Site::new(&mirror);
    fresh(site.whole("dists/sid/InRelease").await, "fetched", b"one");
    fresh(site.whole("dists/sid/InRelease").await, "held", b"one");
    mirror.fresh = Duration::ZERO;
    site.plan.send_replace(Some(planned(Some(&mirror))));
    fresh(site.whole("dists/sid/InRelease").await, "checked", b"one");
    fresh(site.whole("dists/sid/InRelease").await, "fetched", b"two!");
    let asked = upstream.asked();
    assert_eq!(asked.len(), 3);
    let lower = asked[1].to_ascii_lowercase();
    assert!(
        lower.contains("if-none-match: \"1\"") && lower.contains("if-modified-since: sat, 10 feb"),
        "{lower}"
    );
    assert!(!asked[0].to_ascii_lowercase().contains("if-"), "{}", asked[0]);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_asked_for_once_in_a_while_and_forgotten_if_it_was_held() {
    let upstream = Upstream::start().await;
    upstream.say("dists/x", [ok(TAGGED, b"one"), status("404 Not Found", "")]);
    let mut mirror = mirror(&[&upstream]);
    mirror.fresh = Duration::ZERO;
    let site = Site::new(&mirror);
    assert_eq!(site.whole("dists/x").await.0, 200);
    for _ in 0..3 {
        assert_eq!(site.whole("dists/x").await.0, 404);
        assert_eq!(site.whole("dists/never").await.0, 404);
    }
    assert_eq!(upstream.asked().len(), 3, "{:?}", upstream.asked());
    assert_eq!(site.status().absent, 6);
}

#[tokio::test]
async fn nothing_that_a_machine_says_goes_upstream_but_the_path() {
    let upstream = Upstream::start().await;
    upstream.say("pool/a", [ok("Set-Cookie: a=b\r\nContent-Type: text/plain\r\n", b"a")]);
    let site = Site::new(&mirror(&[&upstream]));
    let fields =
        [("authorization", "Basic x"), ("cookie", "c=d"), ("x-secret", "s"), ("cache-control", "no-cache")];
    let response = site.ask(Method::GET, Version::HTTP_11, "pool/a", &fields).await;
    assert_eq!(response.headers().get("content-type").expect("passed on"), "text/plain");
    assert!(!response.headers().contains_key("set-cookie"));
    let asked = upstream.asked()[0].to_ascii_lowercase();
    for word in ["authorization", "cookie", "x-secret", "no-cache"] {
        assert!(!asked.contains(word), "{asked}");
    }
    assert!(
        asked.starts_with("get /base/pool/a http/1.1") && asked.contains("accept-encoding: identity"),
        "{asked}"
    );
}

#[tokio::test]
async fn s8_this_is_no_proxy() {
    let upstream = Upstream::start().await;
    let site = Site::new(&mirror(&[&upstream]));
    let claim = |uri: &str, from: Ipv4Addr| site.mirrors.claim(&uri.parse().expect("a URI"), from).is_some();
    assert!(claim("/mirror/debian/pool/a.deb", MACHINE));
    assert!(!claim("/mirror/debian/pool/a.deb", [192, 0, 2, 1].into()), "from elsewhere");
    for uri in [
        "/mirror/ubuntu/pool/a.deb",
        "/mirror/debian/../../x",
        "/mirror/debian/%2e%2e/x",
        "/mirror/debian/a%2fb",
        "/mirror/debian/a?b=c",
        "http://evil.example/mirror/debian/pool/a.deb",
        "/mirror/debian/",
        "/mirror/",
        "/x",
    ] {
        assert!(!claim(uri, MACHINE), "{uri}");
    }
    let response = site.get("http://evil.example/x").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(upstream.asked()[0].starts_with("GET /base/http:/evil.example/x "), "{:?}", upstream.asked());
    let post = site.ask(Method::POST, Version::HTTP_11, "pool/a", &[]).await;
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn heads_ranges_and_what_the_machine_has() {
    let upstream = Upstream::start().await;
    let body = content(1_000);
    upstream.say("pool/a", [ok(TAGGED, &body)]);
    let site = Site::new(&mirror(&[&upstream]));
    for turn in ["arriving", "held"] {
        let ask =
            |method, fields: &'static [(&str, &str)]| site.ask(method, Version::HTTP_11, "pool/a", fields);
        let head = ask(Method::HEAD, &[]).await;
        assert_eq!(head.headers()["content-length"], "1000", "{turn}");
        assert_eq!(bytes(head).await.expect("empty"), b"", "{turn}");
        let part = ask(Method::GET, &[("range", "bytes=10-19")]).await;
        assert_eq!(
            (part.status().as_u16(), &part.headers()["content-range"]),
            (206, &"bytes 10-19/1000".parse().expect("legal"))
        );
        assert_eq!(bytes(part).await.expect("whole"), &body[10..20], "{turn}");
        let beyond = ask(Method::GET, &[("range", "bytes=1000-")]).await;
        assert_eq!(
            (beyond.status().as_u16(), &beyond.headers()["content-range"]),
            (416, &"bytes */1000".parse().expect("legal"))
        );
        let other = ask(Method::GET, &[("range", "bytes=10-19"), ("if-range", "\"2\"")]).await;
        assert_eq!(other.status(), StatusCode::OK, "{turn}");
        for known in [("if-none-match", "\"1\""), ("if-modified-since", "Sat, 10 Feb 2024 11:07:25 GMT")] {
            let fields: &'static [(&str, &str)] = Vec::leak(vec![known]);
            let same = ask(Method::GET, fields).await;
            assert_eq!(same.status(), StatusCode::NOT_MODIFIED, "{turn}");
            assert_eq!(same.headers()["etag"], "\"1\"");
        }
        site.settled().await;
    }
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn a_length_that_the_upstream_does_not_say_is_told_to_http_1_0_alone() {
    let upstream = Upstream::start().await;
    upstream.say("dists/x", [chunked(&[b"abc", b"defg"])]);
    let mut mirror = mirror(&[&upstream]);
    mirror.fresh = Duration::ZERO;
    let site = Site::new(&mirror);
    let response = site.get("dists/x").await;
    assert!(!response.headers().contains_key("content-length"));
    assert_eq!(bytes(response).await.expect("whole"), b"abcdefg");
    site.settled().await;
    let old = site.ask(Method::GET, Version::HTTP_10, "dists/x", &[]).await;
    assert_eq!(old.headers()["content-length"], "7");
    assert_eq!(bytes(old).await.expect("whole"), b"abcdefg");
    site.settled().await;
    let head = site.ask(Method::HEAD, Version::HTTP_11, "dists/x", &[]).await;
    assert_eq!(head.headers()["content-length"], "7");
}

#[tokio::test]
async fn the_budget_is_kept_by_the_longest_unused() {
    let upstream = Upstream::start().await;
    for name in ["a", "b", "c"] {
        upstream.say(&format!("pool/{name}"), [ok(TAGGED, &content(400_000))]);
    }
    let site = Site::new(&mirror(&[&upstream]));
    for (name, how) in [("a", "fetched"), ("b", "fetched"), ("a", "held"), ("c", "fetched")] {
        fresh(site.whole(&format!("pool/{name}")).await, how, &content(400_000));
    }
    for (name, how) in [("a", "held"), ("c", "held"), ("b", "fetched")] {
        fresh(site.whole(&format!("pool/{name}")).await, how, &content(400_000));
    }
}

#[tokio::test]
async fn what_came_from_an_upstream_that_is_declared_no_more_is_not_given() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    first.say("pool/a", [ok(TAGGED, b"of the first")]);
    second.say("pool/a", [ok(TAGGED, b"of the second")]);
    let site = Site::new(&mirror(&[&first, &second]));
    fresh(site.whole("pool/a").await, "fetched", b"of the first");
    site.plan.send_replace(Some(planned(Some(&mirror(&[&second, &first])))));
    fresh(site.whole("pool/a").await, "held", b"of the first");
    site.plan.send_replace(Some(planned(Some(&mirror(&[&second])))));
    fresh(site.whole("pool/a").await, "fetched", b"of the second");
}

#[tokio::test]
async fn what_is_left_of_a_mirror_goes_with_it() {
    let upstream = Upstream::start().await;
    upstream.say("pool/a", [ok(TAGGED, b"a")]);
    let site = Site::new(&mirror(&[&upstream]));
    fresh(site.whole("pool/a").await, "fetched", b"a");
    let folder = site.dir.path().join("mirrors/debian");
    assert!(folder.is_dir());
    let tending = tokio::spawn(site.mirrors.clone().tend());
    site.plan.send_replace(Some(planned(None)));
    while folder.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(site.mirrors.claim(&"/mirror/debian/pool/a".parse().expect("a URI"), MACHINE).is_none());
    drop(site.plan);
    tending.await.expect("it ends with the plan's sender");
}

//! Nobody has more than his share: of turns to fetch, of time, of room, of the WAN.

use netboot::cache::need::Need;
use proto::{RateLimit, plan::Wan};
use tokio::sync::Notify;

use super::{
    upstream::{dripping, held_up},
    *,
};

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
const NOW: Duration = Duration::from_millis(100);

#[tokio::test]
async fn an_upstream_that_drips_is_given_up_and_the_next_one_asked() {
    let (first, second) = (Upstream::start().await, Upstream::start().await);
    let body = content(2_000);
    first.say("pool/a", [dripping("", &body, 1, NOW / 10)]);
    second.say("pool/a", [ok(TAGGED, &body)]);
    // It says something again and again, and so it is not silent.
    let limits = Limits { silence: 10 * NOW, ..limits() };
    let site = Site::limited(&mirror(&[&first, &second]), limits);
    let broken = bytes(site.get("pool/a").await).await;
    assert!(matches!(broken, Err(Broken::Stopped)), "its bytes do not come in time");
    site.settled().await;
    fresh(site.whole("pool/a").await, "fetched", &body);
}

#[tokio::test]
async fn a_file_that_would_take_for_ever_is_given_up() {
    let upstream = Upstream::start().await;
    let body = content(1_000_000);
    upstream.say("pool/a", [dripping(TAGGED, &body, 20_000, NOW / 10)]);
    // Fast enough within an answer, too slow as a whole.
    let limits = Limits { grace: NOW, least_rate: 1 << 40, ..limits() };
    let site = Site::limited(&mirror(&[&upstream]), limits);
    let broken = bytes(site.get("pool/a").await).await;
    assert!(matches!(broken, Err(Broken::Stopped)));
    site.settled().await;
    assert_eq!((site.status().held_files, upstream.asked().len()), (0, 1), "no more of it is asked for");
}

/// Files that have begun to arrive, and do not go on.
async fn hold_up(site: &Site, upstream: &Upstream, machine: Ipv4Addr, names: std::ops::Range<usize>) {
    for name in names {
        let path = format!("pool/{name}");
        upstream.say(&path, [held_up(TAGGED, &content(1_000), 10, &Arc::new(Notify::new()))]);
        let response = site.ask_from(machine, Method::GET, Version::HTTP_11, &path, &[]).await;
        assert_eq!(response.status(), 200);
        // It closes its connection: the fetch goes on.
    }
}

#[tokio::test]
async fn one_machine_cannot_take_all_turns_to_fetch() {
    let upstream = Upstream::start().await;
    upstream.say("pool/a", [ok(TAGGED, b"a")]);
    upstream.say("pool/b", [ok(TAGGED, b"b")]);
    let limits = Limits { fetches: 3, fetches_of_one: 2, patience: NOW, ..limits() };
    let site = Site::limited(&mirror(&[&upstream]), limits);
    hold_up(&site, &upstream, MACHINE, 0..2).await;
    assert_eq!(site.get("pool/b").await.status(), 503, "it has its share");
    let other = site.ask_from(OTHER, Method::GET, Version::HTTP_11, "pool/a", &[]).await;
    assert_eq!(bytes(other).await.expect("whole"), b"a");
}

#[tokio::test]
async fn one_machine_cannot_fill_the_list_of_questions() {
    let upstream = Upstream::start().await;
    upstream.say("pool/a", [ok(TAGGED, b"a")]);
    let limits = Limits { fetches_of_one: 1, patience: LONG, ..limits() };
    let site = Arc::new(Site::limited(&mirror(&[&upstream]), limits));
    hold_up(&site, &upstream, MACHINE, 0..1).await;
    for name in 1..64 {
        let site = Arc::clone(&site);
        tokio::spawn(async move { site.get(&format!("pool/waits/{name}")).await });
    }
    let kept = site.mirrors.kept("debian").await.expect("open");
    while kept.under_way() < 64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(site.get("pool/a").await.status(), 503, "it has asked for enough");
    let other = site.ask_from(OTHER, Method::GET, Version::HTTP_11, "pool/a", &[]).await;
    assert_eq!(bytes(other).await.expect("whole"), b"a");
}

#[tokio::test]
async fn files_on_their_way_keep_within_the_budget_and_evict_nothing_in_vain() {
    let upstream = Upstream::start().await;
    let body = content(600_000);
    upstream.say("pool/held", [ok(TAGGED, &content(100_000))]);
    upstream.say("pool/first", [held_up(TAGGED, &body, 10, &Arc::new(Notify::new()))]);
    upstream.say("pool/second", [ok(TAGGED, &body)]);
    let site = Site::new(&mirror(&[&upstream]));
    fresh(site.whole("pool/held").await, "fetched", &content(100_000));
    let first = site.get("pool/first").await;
    assert_eq!(first.status(), 200);
    let second = site.get("pool/second").await;
    assert_eq!(second.status(), 503);
    let words = String::from_utf8(bytes(second).await.expect("words")).expect("text");
    assert!(words.contains("files on their way take the mirror's budget"), "{words}");
    assert_eq!(site.status().held_files, 1);
}

/// A byte a second.
fn hardly_anything() -> Wan {
    Wan { usual: RateLimit::bits(8), ..Wan::default() }
}

#[tokio::test]
async fn what_images_have_taken_of_the_wan_mirrors_wait_for() {
    let upstream = Upstream::start().await;
    upstream.say("pool/a", [ok(TAGGED, b"a")]);
    let wan = Arc::new(Budget::default());
    wan.obey(hardly_anything());
    wan.spend(1 << 30);
    let dir = Arc::new(tempfile::tempdir().expect("tempdir"));
    let site = Site::within(Arc::clone(&wan), dir, &mirror(&[&upstream]), limits());
    let mut response = site.get("pool/a").await;
    assert_eq!(response.status(), 200, "the question costs next to nothing");
    let waiting = tokio::time::timeout(NOW, more(response.body_mut())).await;
    assert!(waiting.is_err() && site.status().wan_bytes == 0);
    wan.obey(Wan::default());
    assert_eq!(bytes(response).await.expect("whole"), b"a");
}

#[tokio::test]
async fn what_mirrors_take_of_the_wan_images_wait_for() {
    let upstream = Upstream::start().await;
    upstream.say("pool/a", [ok(TAGGED, &content(1_000))]);
    let wan = Arc::new(Budget::default());
    wan.obey(hardly_anything());
    let dir = Arc::new(tempfile::tempdir().expect("tempdir"));
    let site = Site::within(Arc::clone(&wan), dir, &mirror(&[&upstream]), limits());
    fresh(site.whole("pool/a").await, "fetched", &content(1_000));
    assert!(wan.wait(Need::Waiting).is_some(), "1,000 bytes take a while");
}

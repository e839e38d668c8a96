//! A child process that fetches and publishes is killed at odd moments, again and again; then the store is judged: each file
//! that is held is whole and the one of its path, and nothing else is left over.

use std::{io::Write, path::Path};

use proto::Digest;

use super::{upstream::Reply, *};
use crate::disk::killed;

const CHILD: &str = "mirror::tests::kill::child_that_fetches_until_killed";
/// Files of the round.
const FILES: usize = 30;
/// Each is fetched in so many versions.
const VERSIONS: usize = 3;

fn path(number: usize) -> String {
    format!("dists/{number}")
}

/// Of a version of a file: of any size, and unlike all others.
fn content_of(number: usize, version: usize) -> Vec<u8> {
    let mut body = content(1_000 + 37_003 * (number % 7));
    body.extend(format!("{number} {version}").bytes());
    body
}

fn replies(number: usize) -> Vec<Reply> {
    let reply = |version| match number % 2 {
        0 => ok("", &content_of(number, version)),
        _ => chunked(&content_of(number, version).chunks(9_000).collect::<Vec<_>>()),
    };
    (0..VERSIONS).map(reply).collect()
}

/// Asked after each time, with room for about half of the files.
fn mirror_of(upstreams: &[&Upstream]) -> MirrorPlan {
    MirrorPlan { fresh: Duration::ZERO, budget_bytes: 2 << 20, ..mirror(upstreams) }
}

/// Not a test of its own: does nothing unless the test below started it.
#[tokio::test]
async fn child_that_fetches_until_killed() {
    let Some(directory) = killed::directory() else { return };
    let upstream = Upstream::start().await;
    let dir = Arc::new(tempfile::tempdir().expect("tempdir"));
    let mut site = Site::at(Arc::clone(&dir), &mirror_of(&[&upstream]), limits());
    let (folder, plan) = (directory, site.plan.subscribe());
    let (proxy, wan) = (Proxy::None, Arc::default());
    site.mirrors = Mirrors::new(Options { folder, plan, low_disk_bytes: 0, proxy, wan, limits: limits() });
    let step = |what: &str| writeln!(std::io::stdout().lock(), "step: {what}").expect("the parent reads");
    for round in (0..FILES).cycle() {
        upstream.say(&path(round), replies(round));
        for version in 0..VERSIONS {
            let mut response = site.get(&path(round)).await;
            step("begun");
            while more(response.body_mut()).await.expect("comes").is_some() {
                step("comes");
            }
            site.settled().await;
            step("published");
            assert_eq!(from(response.headers()), "fetched", "{round} {version}");
        }
    }
}

/// What is wrong with a store that a kill has left.
fn judge(folder: &Path) -> Vec<String> {
    let store = Store::open(folder).expect("opens");
    let mut faults = Vec::new();
    let (mut files, mut bytes) = (0, 0);
    for number in 0..FILES {
        let Some(held) = store.get(&path(number)).expect("readable") else { continue };
        let mut content = vec![0; usize::try_from(held.known.size).expect("small")];
        held.file.read_exact_at(&mut content, 0).expect("all of it is there");
        (files, bytes) = (files + 1, bytes + held.known.size);
        let is_a_version = (0..VERSIONS).any(|version| content == content_of(number, version));
        if !is_a_version || held.known.sha256 != Digest::of(&content) {
            faults.push(format!("{} is held and wrong", path(number)));
        }
    }
    if (store.files(), store.bytes()) != (files, bytes) {
        faults.push(format!("{} files are counted and {files} are there", store.files()));
    }
    let left = std::fs::read_dir(folder.join("arriving")).expect("listed").count();
    if left > 0 {
        faults.push(format!("{left} files that did not arrive are left"));
    }
    faults
}

#[test]
fn kill_9_leaves_whole_files_and_nothing_else() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut published = 0;
    for round in 0..killed::rounds() {
        let (steps, longer) = killed::moment(round);
        let told = killed::run_and_kill(CHILD, dir.path(), ("step: ", steps), longer);
        published += told.iter().filter(|line| line.contains("published")).count();
        let faults = judge(&dir.path().join("debian"));
        assert!(faults.is_empty(), "round {round}: {faults:?}");
    }
    assert!(published > 0, "no child published anything");
}

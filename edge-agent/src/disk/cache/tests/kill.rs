//! A child process that fills, publishes and evicts is killed at odd moments, again and again; then the cache is judged
//! from outside: every published blob is what its name says, what was cut is resumed, and nothing else is left over.

use std::io::Write;

use super::*;
use crate::disk::killed;

const CHILD: &str = "disk::cache::tests::kill::child_that_fills_until_killed";
/// Blobs of the round, of one to seven pieces each.
const BLOBS: u64 = 40;
const PIECE: usize = 20_000;
/// What the child evicts down to: some fourteen blobs.
const BUDGET: u64 = 14 * 4 * PIECE as u64;

fn content(number: u64) -> Vec<u8> {
    let length = PIECE * (1 + (number % 7) as usize);
    (0..length as u64).map(|at| (at.wrapping_mul(number + 1) >> 3) as u8).collect()
}

/// Not a test of its own: does nothing unless the test below started it.
#[test]
fn child_that_fills_until_killed() {
    let Some(directory) = killed::directory() else { return };
    let (cache, _) = open(&directory);
    let mut out = std::io::stdout().lock();
    writeln!(out, "opened").expect("the parent reads");
    let mut step = |what| writeln!(out, "step: {what}").expect("the parent reads");
    for number in (0..BLOBS).cycle() {
        let content = content(number);
        let digest = Digest::of(&content);
        let Ok(mut fill) = cache.fill(digest, content.len() as u64) else { continue };
        for piece in content[fill.offset() as usize..].chunks(PIECE / 3) {
            step("write");
            fill.write(piece).expect("writes");
        }
        step("publish");
        fill.finish().expect("publishes");
        step("published");
        cache.evict_to(BUDGET, |other| (*other != digest).then_some(())).expect("evicts");
        assert_eq!(content_of(&cache, &digest).as_deref(), Some(&content[..]));
    }
}

/// What is wrong with a cache that a kill has left.
fn judge(directory: &Path) -> Vec<String> {
    let (cache, scanned) = open(directory);
    let mut faults = Vec::new();
    if scanned.strangers > 0 {
        faults.push(format!("{} files are no blobs", scanned.strangers));
    }
    let expected: Vec<_> = (0..BLOBS).map(content).collect();
    let known: std::collections::HashMap<Digest, &Vec<u8>> =
        expected.iter().map(|content| (Digest::of(content), content)).collect();
    for digest in cache.digests() {
        if !matches!(verify(&cache, &digest), Some(Verdict::Sound { .. })) {
            faults.push(format!("{digest} is published and wrong"));
        }
    }
    for entry in fs::read_dir(directory.join("partial")).expect("list").flatten() {
        let name = entry.file_name().into_string().expect("a name");
        let whole = name.parse::<Digest>().ok().and_then(|digest| known.get(&digest));
        let found = fs::read(entry.path()).expect("readable");
        if !whole.is_some_and(|whole| whole.starts_with(&found)) {
            faults.push(format!("{name} is no beginning of a blob"));
        }
    }
    if fs::read_dir(directory.join("corrupt")).expect("list").count() > 0 {
        faults.push("something was set aside".into());
    }
    faults
}

#[test]
fn kill_9_leaves_whole_blobs_and_beginnings_of_blobs_and_nothing_else() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut published = 0;
    for round in 0..killed::rounds() {
        let (steps, longer) = killed::moment(round);
        let told = killed::run_and_kill(CHILD, dir.path(), ("step: ", steps), longer);
        published += told.iter().filter(|line| line.contains("published")).count();
        let faults = judge(dir.path());
        assert!(faults.is_empty(), "round {round}: {faults:?}");
    }
    assert!(published > 0, "no child published anything");
    go_on_with_all(dir.path());
}

/// Every fill that was cut is resumed where it was cut, and nothing is left over then.
fn go_on_with_all(directory: &Path) {
    let (cache, _) = open(directory);
    for content in (0..BLOBS).map(content) {
        let digest = Digest::of(&content);
        let left = fs::metadata(cache.places.partial(&digest)).map_or(0, |left| left.len());
        let Ok(mut fill) = cache.fill(digest, content.len() as u64) else { continue };
        assert_eq!(fill.offset(), left);
        fill.write(&content[fill.offset() as usize..]).expect("writes");
        fill.finish().expect("publishes");
    }
    assert_eq!(partials(directory), 0);
}

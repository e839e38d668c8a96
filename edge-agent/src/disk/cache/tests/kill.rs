//! A child process that fills, publishes and evicts is killed at odd moments, again and again; then the cache is judged
//! from outside: every published blob is what its name says, what was cut is resumed, and nothing else is left over.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;

const DIRECTORY: &str = "BOOTLANE_CACHE_KILL_DIR";
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
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let (cache, _) = open(Path::new(&directory));
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

/// Runs one child for so many steps, and a little longer. Returns how many blobs it published.
fn run_and_kill(directory: &Path, steps: usize, longer: Duration) -> usize {
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let is_step = |line: &String| line.contains("step: ");
    let seen: Vec<_> = lines.by_ref().filter(is_step).take(steps).collect();
    assert_eq!(seen.len(), steps, "the child did not go on with the cache that its predecessor left");
    std::thread::sleep(longer);
    child.kill().expect("kill -9");
    let published = seen.into_iter().chain(lines).filter(|line| line.contains("published")).count();
    child.wait().expect("reaped");
    published
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
    let rounds: u64 = std::env::var("BOOTLANE_KILLS").ok().map_or(5, |n| n.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("tempdir");
    let mut published = 0;
    for round in 0..rounds {
        // Odd moments, so that kills fall on different steps and into different parts of them.
        let (steps, longer) = (5 + (round * 37) % 190, Duration::from_micros((round * 331) % 2_000));
        published += run_and_kill(dir.path(), usize::try_from(steps).expect("few"), longer);
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

//! The cache as its callers see it.

mod full;
mod kill;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proto::{Digest, plan::BlobRef};

use super::*;
use crate::disk::tiny_tmpfs;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn open(root: &Path) -> (Arc<Cache>, Scanned) {
    let (cache, scanned) = Cache::open(root, SystemTime::now(), WEEK).expect("opens");
    (Arc::new(cache), scanned)
}

/// As if it had been fetched.
pub(crate) fn put_blob(cache: &Arc<Cache>, content: &[u8]) -> BlobRef {
    let blob = BlobRef { digest: Digest::of(content), size: content.len() as u64 };
    let mut fill = cache.fill(blob.digest, blob.size).expect("begins");
    fill.write(content).expect("writes");
    fill.finish().expect("publishes");
    blob
}

fn put(cache: &Arc<Cache>, content: &[u8]) -> Digest {
    put_blob(cache, content).digest
}

fn content_of(cache: &Cache, digest: &Digest) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut blob = cache.get(digest).expect("readable")?;
    let mut content = Vec::new();
    blob.file.read_to_end(&mut content).expect("read");
    assert_eq!(blob.size, content.len() as u64);
    Some(content)
}

/// Reads a blob again, to its end. None: it is not here.
fn verify(cache: &Cache, digest: &Digest) -> Option<Verdict> {
    let mut verification = cache.verification(digest).expect("opens")?;
    loop {
        match verification.step(cache).expect("readable") {
            Step::Read(_) => {}
            Step::Done(verdict) => return Some(verdict),
        }
    }
}

fn partials(root: &Path) -> usize {
    fs::read_dir(root.join("partial")).expect("list").count()
}

#[test]
fn a_blob_is_there_whole_also_after_a_restart() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, scanned) = open(dir.path());
    assert_eq!(scanned, Scanned::default());
    let digest = put(&cache, b"a kernel");
    let empty = put(&cache, b"");
    drop(cache);
    let (cache, scanned) = open(dir.path());
    assert_eq!((scanned.blobs, scanned.bytes, scanned.strangers), (2, 8, 0));
    assert_eq!(content_of(&cache, &digest).as_deref(), Some(&b"a kernel"[..]));
    assert_eq!(content_of(&cache, &empty).as_deref(), Some(&b""[..]));
    assert_eq!(content_of(&cache, &Digest::of(b"another")), None);
    let mode = fs::metadata(cache.places.blob(&digest)).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert_eq!(partials(dir.path()), 0);
}

#[test]
fn wrong_bytes_are_named_and_removed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let (expected, actual) = (Digest::of(b"good"), Digest::of(b"evil"));
    let mut fill = cache.fill(expected, 4).expect("begins");
    fill.write(b"evil").expect("writes");
    let progress = fill.progress().clone();
    let error = fill.finish().expect_err("wrong digest");
    assert_eq!(error.to_string(), format!("the bytes have digest {actual} instead of {expected}"));
    assert_eq!(progress.now(), (0, FillState::Refused));
    assert_eq!(partials(dir.path()), 0);
    assert_eq!(content_of(&cache, &expected), None);
    assert_eq!(put(&cache, b"good"), expected, "it can be filled anew");
}

#[test]
fn wrong_sizes_are_named() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let digest = Digest::of(b"12345");
    let mut fill = cache.fill(digest, 5).expect("begins");
    fill.write(b"123").expect("writes");
    let error = fill.finish().expect_err("too short");
    assert_eq!(error.to_string(), format!("the blob {digest} has 3 bytes instead of 5"));
    assert_eq!(partials(dir.path()), 1, "the rest may still come");
    let mut fill = cache.fill(digest, 5).expect("resumes");
    assert_eq!(fill.offset(), 3);
    let error = fill.write(b"456").expect_err("too long");
    assert_eq!(error.to_string(), format!("the blob {digest} has 6 bytes instead of 5"));
    drop(fill);
    assert_eq!(partials(dir.path()), 0);
}

#[test]
fn nothing_more_is_taken_after_a_refusal() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let mut fill = cache.fill(Digest::of(b"12345"), 5).expect("begins");
    fill.write(b"123456").expect_err("too long");
    assert!(matches!(fill.write(b"12345"), Err(FillError::Over(_))));
    assert!(matches!(fill.finish(), Err(FillError::Over(_))));
    assert_eq!(content_of(&cache, &Digest::of(b"12345")), None);
}

#[test]
fn a_fill_is_resumed_after_a_restart_at_every_offset() {
    let content = b"an initrd that arrives in two parts";
    let digest = Digest::of(content);
    for cut in 0..=content.len() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (cache, _) = open(dir.path());
        let mut fill = cache.fill(digest, content.len() as u64).expect("begins");
        fill.write(&content[..cut]).expect("writes");
        drop(fill);
        drop(cache);
        let (cache, _) = open(dir.path());
        let mut fill = cache.fill(digest, content.len() as u64).expect("resumes");
        assert_eq!(fill.offset(), cut as u64);
        fill.write(&content[cut..]).expect("writes");
        fill.finish().expect("publishes");
        assert_eq!(content_of(&cache, &digest).as_deref(), Some(&content[..]));
    }
}

#[test]
fn one_fill_at_a_time_and_none_of_what_is_there() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let digest = Digest::of(b"once");
    let mut fill = cache.fill(digest, 4).expect("begins");
    assert!(matches!(cache.fill(digest, 4), Err(FillError::Busy(_))));
    fill.write(b"once").expect("writes");
    fill.finish().expect("publishes");
    assert!(matches!(cache.fill(digest, 4), Err(FillError::Present(_))));
}

#[test]
fn a_reader_follows_an_arriving_blob_to_its_end() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let content: Vec<u8> = (0..WITHHELD_BYTES * 3).map(|n| (n % 251) as u8).collect();
    let digest = Digest::of(&content);
    assert!(cache.follow(&digest).expect("no error").is_none());
    let mut fill = cache.fill(digest, content.len() as u64).expect("begins");
    let (file, progress) = cache.follow(&digest).expect("opens").expect("under way");
    fill.write(&content[..WITHHELD_BYTES as usize]).expect("writes");
    assert_eq!(progress.now(), (WITHHELD_BYTES, FillState::Arriving));
    fill.write(&content[WITHHELD_BYTES as usize..]).expect("writes");
    assert_eq!(progress.now(), (WITHHELD_BYTES * 2, FillState::Arriving));
    fill.finish().expect("publishes");
    assert_eq!(progress.now(), (WITHHELD_BYTES * 3, FillState::Published));
    let mut read = vec![0; content.len()];
    file.read_exact_at(&mut read, 0).expect("the same file after its publication");
    assert_eq!(read, content);
    assert!(cache.follow(&digest).expect("no error").is_none());
}

#[test]
fn leftovers_are_kept_for_their_time() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let mut fill = cache.fill(Digest::of(b"12345"), 5).expect("begins");
    fill.write(b"123").expect("writes");
    drop(fill);
    drop(cache);
    fs::write(dir.path().join("partial/junk"), b"no digest").expect("junk");
    let now = SystemTime::now();
    let (_, scanned) = Cache::open(dir.path(), now + WEEK / 2, WEEK).expect("opens");
    assert_eq!((scanned.removed_partials, partials(dir.path())), (1, 1), "the junk alone");
    let (_, scanned) = Cache::open(dir.path(), now + WEEK * 2, WEEK).expect("opens");
    assert_eq!((scanned.removed_partials, partials(dir.path())), (1, 0));
}

#[test]
fn the_longest_unused_goes_first_and_the_kept_never() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let [a, b, c, d] = [b"aaaa", b"bbbb", b"cccc", b"dddd"].map(|content| put(&cache, content));
    content_of(&cache, &a).expect("used");
    let reader = cache.get(&c).expect("opens").expect("there");
    let evicted = cache.evict_to(8, |digest| (*digest != b).then_some(())).expect("evicts");
    assert_eq!(evicted, Evicted { blobs: 2, bytes: 8, excess_bytes: 0 });
    let left = [a, b, c, d].map(|digest| cache.size_of(&digest).is_some());
    assert_eq!(left, [false, true, true, false], "d and then a were unused longer than c");
    let evicted = cache.evict_to(0, |_| None::<()>).expect("evicts");
    assert_eq!(evicted, Evicted { blobs: 0, bytes: 0, excess_bytes: 8 });
    cache.evict_to(0, |_| Some(())).expect("evicts");
    assert_eq!(cache.total_bytes(), 0);
    assert_eq!(reader.file.metadata().expect("open").len(), 4, "an open blob stays readable");
    drop(cache);
    assert_eq!(open(dir.path()).1.blobs, 0);
}

#[test]
fn a_corrupt_blob_is_found_and_never_served_again() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let (bad, sound) = (put(&cache, b"rots"), put(&cache, b"sound"));
    fs::write(cache.places.blob(&bad), b"rotS").expect("rot");
    assert_eq!(verify(&cache, &sound), Some(Verdict::Sound { size: 5 }));
    assert_eq!(verify(&cache, &bad), Some(Verdict::Corrupt { actual: Digest::of(b"rotS") }));
    assert_eq!(verify(&cache, &bad), None);
    assert_eq!(content_of(&cache, &bad), None);
    let kept = dir.path().join("corrupt").join(bad.to_string());
    assert_eq!(fs::read(kept).expect("kept for a look"), b"rotS");
    drop(cache);
    let (cache, _) = open(dir.path());
    assert_eq!(content_of(&cache, &bad), None);
    put(&cache, b"rots");
    assert_eq!(content_of(&cache, &bad).as_deref(), Some(&b"rots"[..]));
}

#[test]
fn what_is_kept_of_corruption_is_bounded() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    for n in 0..MAX_CORRUPT_KEPT as u8 + 3 {
        let digest = put(&cache, &[n; 100]);
        fs::write(cache.places.blob(&digest), [255; 100]).expect("rot");
        verify(&cache, &digest);
    }
    assert_eq!(fs::read_dir(dir.path().join("corrupt")).expect("list").count(), MAX_CORRUPT_KEPT);
}

#[test]
fn a_blob_of_another_size_or_none_is_not_served() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let (short, gone) = (put(&cache, b"short"), put(&cache, b"gone"));
    fs::write(cache.places.blob(&short), b"shor").expect("cut");
    fs::remove_file(cache.places.blob(&gone)).expect("remove");
    assert_eq!(content_of(&cache, &short), None);
    assert_eq!(content_of(&cache, &gone), None);
    assert_eq!(cache.total_bytes(), 0);
}

#[test]
fn what_a_fill_that_stopped_had_claimed_is_given_back() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let digest = Digest::of(b"never comes");
    let mut fill = cache.fill(digest, 8 << 20).expect("begins");
    fill.write(&[1; 4096]).expect("writes");
    assert_eq!(cache.filling_bytes(), 8 << 20);
    drop(fill);
    let left = fs::metadata(cache.places.partial(&digest)).expect("it can be resumed");
    assert!(left.len() == 4096 && left.blocks() * 512 <= 64 << 10, "{} blocks", left.blocks());
    assert_eq!(cache.filling_bytes(), 0);
}

#[test]
fn leftovers_that_nobody_goes_on_with_are_removed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let [kept, left, running] = [b"kept1", b"left1", b"runs1"].map(|name| Digest::of(name));
    for digest in [kept, left] {
        cache.fill(digest, 5).expect("begins").write(b"abc").expect("writes");
    }
    let fill = cache.fill(running, 5).expect("begins");
    assert_eq!(cache.remove_partials(&|digest| *digest == kept).expect("removes"), 1);
    assert_eq!(partials(dir.path()), 2);
    drop(fill);
    assert_eq!(cache.remove_partials(&|_| false).expect("removes"), 2);
}

#[tokio::test]
async fn who_waits_hears_of_a_fill_that_begins_after_the_look() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let begun = cache.begun();
    assert!(cache.follow(&Digest::of(b"x")).expect("no error").is_none());
    let _fill = cache.fill(Digest::of(b"x"), 1).expect("begins");
    begun.await;
    assert!(cache.follow(&Digest::of(b"x")).expect("no error").is_some());
}

#[test]
fn strangers_in_the_cache_are_left_alone() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let digest = put(&cache, b"known");
    let shelf = cache.places.shelf(&digest);
    fs::write(shelf.join("README"), b"").expect("a stranger");
    fs::write(shelf.join(digest.to_string().to_uppercase()), b"").expect("another spelling");
    let elsewhere = cache.places.blobs().join("zz");
    fs::create_dir(&elsewhere).expect("shelf");
    fs::write(elsewhere.join(digest.to_string()), b"").expect("wrong shelf");
    fs::write(cache.places.blobs().join("file"), b"").expect("no shelf");
    drop(cache);
    let (cache, scanned) = open(dir.path());
    assert_eq!((scanned.blobs, scanned.strangers), (1, 4));
    assert_eq!(content_of(&cache, &digest).as_deref(), Some(&b"known"[..]));
    assert!(shelf.join("README").exists());
}

/// How long this thread has run so far, in hundredths of a second: fields 14 and 15 of proc(5)'s `stat`. On a busy machine
/// the time on the wall tells mostly how long it did not run.
fn processor_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

/// 20,000 by default, since making them takes longer than listing them; `BOOTLANE_BLOBS=100000` for more.
#[test]
fn start_up_lists_the_blobs_within_a_second() {
    let count: u32 = std::env::var("BOOTLANE_BLOBS").map_or(20_000, |n| n.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("tempdir");
    drop(open(dir.path()));
    let blobs = dir.path().join("blobs/sha256");
    (0..=255_u8).for_each(|n| fs::create_dir(blobs.join(format!("{n:02x}"))).expect("shelf"));
    for n in 0..count {
        let digest = Digest::of(&n.to_le_bytes());
        let shelf = blobs.join(format!("{:02x}", digest.0[0]));
        fs::File::create(shelf.join(digest.to_string())).expect("blob");
    }
    let before = processor_ticks();
    let (_, scanned) = open(dir.path());
    let took = processor_ticks() - before;
    assert_eq!(scanned.blobs, u64::from(count));
    assert!(took < 100, "{count} blobs took {took} hundredths of a second");
}

const FULL: &str = "disk::cache::tests::child_on_a_tiny_tmpfs";

#[test]
fn a_full_disk_is_said_before_the_bytes_are_fetched() {
    tiny_tmpfs::run(FULL);
}

/// Not a test of its own: the test above runs it.
#[test]
fn child_on_a_tiny_tmpfs() {
    let Some(mount) = tiny_tmpfs::mounted() else { return };
    let (cache, _) = open(&mount);
    let small = put(&cache, &[1; 1000]);
    let large = vec![2; 2 << 20];
    let digest = Digest::of(&large);
    let error = cache.fill(digest, large.len() as u64).expect_err("no room");
    assert!(matches!(&error, FillError::Disk(disk) if disk.is_full()), "{error:?}");
    assert!(error.to_string().contains("disk full"), "{error}");
    assert_eq!(content_of(&cache, &small).as_deref(), Some(&[1; 1000][..]));
    put(&cache, &[3; 1000]);
    tiny_tmpfs::passed();
}

#[test]
fn what_has_its_turn_earlier_goes_first_whenever_it_was_used() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = open(dir.path());
    let [first, second, third] = [b"aaaa", b"bbbb", b"cccc"].map(|content| put(&cache, content));
    content_of(&cache, &third);
    let turns = [(first, Some(2)), (second, None), (third, Some(1))];
    let turn = |digest: &Digest| turns.iter().find(|(of, _)| of == digest).and_then(|(_, turn)| *turn);
    let evicted = cache.evict_to(8, turn).expect("evicts");
    assert_eq!((evicted.blobs, evicted.excess_bytes), (1, 0));
    assert_eq!(cache.holds([&first, &second, &third]), [true, true, false]);
    let evicted = cache.evict_to(0, turn).expect("evicts");
    assert_eq!((evicted.blobs, evicted.excess_bytes), (1, 4));
    assert_eq!(cache.holds([&first, &second, &third]), [false, true, false]);
}

//! The cache on a disk that is full.

use super::*;

const DURING_A_FILL: &str = "disk::cache::tests::full::child_fills_while_others_fill_the_disk";
const EVICTION: &str = "disk::cache::tests::full::child_evicts_on_a_full_disk";

/// Writes until there is no room left; what it wrote.
fn fill_up(mount: &Path) -> std::path::PathBuf {
    use std::io::Write;
    let path = mount.join("others");
    let mut file = fs::File::create(&path).expect("made");
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
    path
}

#[test]
fn a_fill_that_has_begun_has_its_room_whatever_others_do() {
    tiny_tmpfs::run(DURING_A_FILL);
}

/// Not a test of its own: the test above runs it.
#[test]
fn child_fills_while_others_fill_the_disk() {
    let Some(mount) = tiny_tmpfs::mounted() else { return };
    let (cache, _) = open(&mount);
    let content: Vec<u8> = (0..400_000_u32).map(|n| (n % 251) as u8).collect();
    let digest = Digest::of(&content);
    let mut fill = cache.fill(digest, content.len() as u64).expect("there is room");
    fill.write(&content[..100_000]).expect("writes");
    let others = fill_up(&mount);
    fill.write(&content[100_000..]).expect("its room is its own");
    let progress = fill.progress().clone();
    let finished = fill.finish();
    assert_eq!(
        progress.now(),
        (400_000, FillState::Published),
        "who follows has all of it, whatever the disk says"
    );
    if let Err(error) = finished {
        assert!(matches!(&error, FillError::Disk(disk) if disk.is_full()), "{error:?}");
        fs::remove_file(others).expect("removed");
        cache.fill(digest, 400_000).expect("it is gone on with").finish().expect("publishes");
    }
    assert_eq!(content_of(&cache, &digest).as_deref(), Some(&content[..]));
    tiny_tmpfs::passed();
}

#[test]
fn a_full_disk_is_no_obstacle_to_eviction() {
    tiny_tmpfs::run(EVICTION);
}

/// Not a test of its own: the test above runs it.
#[test]
fn child_evicts_on_a_full_disk() {
    let Some(mount) = tiny_tmpfs::mounted() else { return };
    let (cache, _) = open(&mount);
    let (kept, old) = (put(&cache, &[1; 50_000]), put(&cache, &[2; 300_000]));
    fill_up(&mount);
    let next = vec![3; 200_000];
    let digest = Digest::of(&next);
    let error = cache.fill(digest, 200_000).expect_err("no room");
    assert!(matches!(&error, FillError::Disk(disk) if disk.is_full()), "{error:?}");
    let evicted = cache.evict_to(100_000, |digest| (*digest != kept).then_some(())).expect("evicts");
    assert_eq!((evicted.blobs, evicted.bytes), (1, 300_000));
    assert_eq!((put(&cache, &next), content_of(&cache, &old)), (digest, None));
    let whole = content_of(&cache, &kept);
    assert_eq!(whole.as_deref(), Some(&[1; 50_000][..]));
    tiny_tmpfs::passed();
}

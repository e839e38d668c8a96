//! What the medium does when disks fail, power goes, or files are damaged.

use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::*;
use crate::database::watched;
use crate::store::{
    Health, Key, LocalStore, ReopenError, Revision, Scan, Store, Tuning, Txn, TxnError, Versioned,
};

fn key(text: &str) -> Key {
    Key::parse(text).expect("tests use good keys")
}

fn put(text: &str, value: &'static str) -> Txn {
    Txn::new().put(key(text), value)
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("the temporary folder is writable")
}

fn open(path: &Path) -> LocalStore {
    LocalStore::open(path, Tuning::default()).expect("the folder is ours")
}

fn open_with(path: &Path, sync: Sync) -> LocalStore {
    let (disk, state) = Disk::open_with(path, sync).expect("the folder is ours");
    LocalStore::start(state, Box::new(disk), Tuning::default())
}

async fn value(store: &LocalStore, text: &str) -> Option<Versioned> {
    store.get(&key(text)).await.expect("local reads pass")
}

#[tokio::test]
async fn a_full_disk_turns_the_store_read_only_until_reopened() {
    let folder = folder();
    let full = Arc::new(AtomicBool::new(false));
    let disk_is_full = Arc::clone(&full);
    let store = open_with(
        folder.path(),
        Box::new(move |file| match disk_is_full.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => file.sync_data(),
        }),
    );
    assert_eq!(store.txn(put("/a", "kept")).await, Ok(Revision(1)));

    full.store(true, Ordering::Relaxed);
    let cause = io::Error::from(io::ErrorKind::StorageFull).to_string();
    assert_eq!(store.txn(put("/b", "lost")).await, Err(TxnError::Unknown { cause: cause.clone() }));
    assert_eq!(store.health(), Health::ReadOnly { cause: cause.clone() });
    assert_eq!(store.txn(put("/c", "refused")).await, Err(TxnError::ReadOnly { cause }));
    // Reads go on, and never show what is not durable.
    assert!(value(&store, "/a").await.is_some());
    assert_eq!(value(&store, "/b").await, None);
    assert_eq!(store.revision().await, Ok(Revision(1)));

    // A file in the way keeps the database from being written anew.
    let in_the_way = folder.path().join("db-00000002.partial");
    fs::write(&in_the_way, "").expect("the folder is ours");
    assert!(matches!(store.reopen().await, Err(ReopenError::StillFailing { .. })));
    assert!(matches!(store.health(), Health::ReadOnly { .. }));

    fs::remove_file(&in_the_way).expect("it is there");
    full.store(false, Ordering::Relaxed);
    assert_eq!(store.reopen().await, Ok(()));
    assert_eq!(store.health(), Health::Writable);
    assert_eq!(store.txn(put("/c", "kept")).await, Ok(Revision(2)));
    store.close().await;

    let store = open(folder.path());
    let page = store.scan(Scan::prefix("/")).await.expect("local reads pass");
    let keys: Vec<&str> = page.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!((keys, page.revision), (vec!["/a", "/c"], Revision(2)));
    store.close().await;
}

#[tokio::test]
async fn a_panic_in_the_engine_is_a_failure_of_the_medium() {
    let folder = folder();
    let store = open_with(folder.path(), Box::new(|_| panic!("as sled does")));
    assert!(matches!(store.txn(put("/a", "1")).await, Err(TxnError::Unknown { .. })));
    assert!(matches!(store.health(), Health::ReadOnly { .. }));
    assert_eq!(value(&store, "/a").await, None);
    store.close().await;
}

#[tokio::test]
async fn a_folder_is_open_once() {
    let folder = folder();
    let store = open(folder.path());
    let error = Disk::open(folder.path()).err().expect("the folder is locked");
    assert!(matches!(&error, OpenError::Locked { path } if path == folder.path()), "{error}");
    store.close().await;
    open(folder.path()).close().await;
}

#[tokio::test]
async fn a_damaged_database_is_named_and_stays() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 3] = [
        ("file gone", |db| fs::remove_file(db).expect("it is there")),
        ("file empty", |db| fs::write(db, "").expect("it is ours")),
        ("file overwritten", |db| fs::write(db, vec![0xa5; 1 << 20]).expect("it is ours")),
    ];
    for (what, harm) in harms {
        let folder = folder();
        let store = open(folder.path());
        store.txn(put("/a", "1")).await.expect("the write passes");
        store.close().await;

        let database = folder.path().join("db-00000001");
        harm(&database.join("db"));
        let error = Disk::open(folder.path()).err().unwrap_or_else(|| panic!("opened: {what}"));
        assert!(matches!(&error, OpenError::Damaged { path, .. } if *path == database), "{what}: {error}");
        assert!(error.to_string().contains("restore the last backup"), "{what}: {error}");
        assert!(database.exists(), "{what}");
    }
}

/// A full disk, or the end of the process, while sled writes a snapshot.
#[tokio::test]
async fn an_unfinished_snapshot_of_sled_does_not_count() {
    let folder = folder();
    let store = open(folder.path());
    store.txn(put("/a", "kept")).await.expect("writable");
    store.close().await;
    drop(store);
    let unfinished = folder.path().join("db-00000001/snap.FFFFFFFFFFFFFFFF.generating");
    fs::write(&unfinished, "").expect("the folder is ours");
    let store = open(folder.path());
    assert!(value(&store, "/a").await.is_some());
    assert!(!unfinished.exists());
    store.close().await;
}

#[tokio::test]
async fn a_revision_missing_from_the_log_is_noticed() {
    let folder = folder();
    let store = open(folder.path());
    for _ in 0..3 {
        store.txn(put("/a", "1")).await.expect("the write passes");
    }
    store.close().await;
    let db = crate::database::open(&folder.path().join("db-00000001")).expect("it opens");
    db.remove([b"l".as_slice(), &2u64.to_be_bytes(), &[0, 0]].concat())
        .expect("it is there")
        .expect("it was there");
    db.flush().expect("the disk has space");
    drop(db);
    let error = Disk::open(folder.path()).err().expect("the log has a gap");
    assert!(
        matches!(&error, OpenError::Damaged { cause, .. } if cause.contains("revision 3 follows 1")),
        "{error}"
    );
}

#[tokio::test]
async fn a_database_that_was_being_written_does_not_count() {
    let folder = folder();
    let store = open(folder.path());
    store.txn(put("/a", "1")).await.expect("the write passes");
    store.close().await;
    let partial = folder.path().join("db-00000002.partial");
    fs::create_dir(&partial).expect("the folder is ours");
    fs::write(partial.join("db"), "half").expect("the folder is ours");

    let store = open(folder.path());
    assert!(value(&store, "/a").await.is_some());
    assert!(!partial.exists());
    store.close().await;
}

/// sled writes items of 128 KiB and more to files of their own, and never syncs those.
#[tokio::test]
async fn nothing_is_large_enough_for_files_that_sled_does_not_sync() {
    let folder = folder();
    let store = open(folder.path());
    let long = "x".repeat(1000);
    for n in 0..600 {
        let size = [10, 5000, 130_000][n % 3];
        let txn = Txn::new().put(key(&format!("/{long}/{n}")), vec![7; size]);
        store.txn(txn).await.expect("the write passes");
    }
    store.txn(Txn::new().put(key("/large"), vec![7; 1_500_000])).await.expect("the write passes");
    store.compact(Revision(500)).await.expect("the compaction passes");
    store.close().await;
    let blobs = fs::read_dir(folder.path().join("db-00000001/blobs")).expect("sled makes the folder");
    assert_eq!(blobs.count(), 0);
}

#[test]
fn a_file_far_larger_than_its_content_is_written_anew_at_start() {
    let folder = folder();
    let (mut disk, mut state) = Disk::open(folder.path()).expect("the folder is ours");
    let before = disk.open.path.clone();
    let (_, writes) = state_with(&mut state, "/a", b"kept");
    disk.append(&writes).expect("the disk has space");
    // As large as a file gets that is mostly garbage, without the work of making garbage.
    File::options()
        .write(true)
        .open(before.join("db"))
        .and_then(|file| file.set_len(SHRINK_FLOOR_BYTES + 1))
        .expect("it is ours");
    disk.shrink(&state).expect("the disk has space");
    assert_ne!(disk.open.path, before);
    assert!(!before.exists());
    drop(disk);
    let (_, reread) = Disk::open(folder.path()).expect("the folder is ours");
    assert_eq!(reread.get(&key("/a")), state.get(&key("/a")));
}

/// Puts one key into a state; returns the batch that a medium would get.
fn state_with(state: &mut State, text: &str, value: &[u8]) -> (Revision, Vec<Arc<Batch>>) {
    let mut group = crate::store::group::Group::new(state, u64::MAX);
    let revision = group.admit(Txn::new().put(key(text), value.to_vec())).expect("nothing is compared");
    let batches = group.into_batches();
    batches.iter().for_each(|batch| state.apply(Arc::clone(batch)));
    (revision, batches)
}

/// A disk on which the power fails while it syncs, for sled or for us: of the sectors that were written since the
/// last sync, any may be there and any may not.
struct PowerCut {
    random: StdRng,
    /// The file as of the last sync that returned.
    synced: Vec<u8>,
    /// Those of ours, behind which something is acknowledged.
    acknowledgements: u64,
    /// What the disk may hold after a cut during each of some syncs, and how much had been acknowledged.
    images: Vec<(u64, Vec<u8>)>,
}

impl PowerCut {
    const SECTOR: usize = 512;

    fn sync(&mut self, file: &File) -> io::Result<()> {
        let mut written = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
        // sled may cut its file short meanwhile.
        let mut length = 0;
        while let Some(rest) = written.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, length as u64)? {
                0 => break,
                read => length += read,
            }
        }
        written.truncate(length);
        if self.random.random_bool(0.05) {
            let image = self.mix(&written);
            self.images.push((self.acknowledgements, image));
        }
        self.synced = written;
        Ok(())
    }

    fn mix(&mut self, written: &[u8]) -> Vec<u8> {
        let survives = self.random.random_range(0.0..=1.0);
        let mut image = self.synced.clone();
        image.resize(written.len(), 0);
        for (old, new) in image.chunks_mut(Self::SECTOR).zip(written.chunks(Self::SECTOR)) {
            if self.random.random_bool(survives) {
                old.copy_from_slice(new);
            }
        }
        image
    }
}

#[test]
fn a_power_cut_during_any_sync_loses_nothing_that_was_acknowledged() {
    let folder = folder();
    let cut = Arc::new(Mutex::new(PowerCut {
        random: StdRng::seed_from_u64(1),
        synced: Vec::new(),
        acknowledgements: 0,
        images: Vec::new(),
    }));
    let ours = Arc::clone(&cut);
    let sync: Sync = Box::new(move |file| {
        let mut disk = ours.lock().expect("nothing panics in it");
        disk.sync(file)?;
        disk.acknowledgements += 1;
        Ok(())
    });
    let (mut disk, mut state) = Disk::open_with(folder.path(), sync).expect("the folder is ours");
    cut.lock().expect("nothing panics in it").synced =
        fs::read(disk.open.path.join("db")).expect("it was synced when it was made");
    let (sleds, file) = (Arc::clone(&cut), disk.open.file.try_clone().expect("it is open"));
    watched::before_each(&disk.open.file, move || {
        sleds.lock().expect("nothing panics in it").sync(&file).expect("it is readable");
    });
    // After so many syncs, this was acknowledged, and this was compacted.
    let mut acknowledged = vec![Revision::ZERO];
    let mut random = StdRng::seed_from_u64(2);
    for n in 0..400 {
        let mut group = Vec::new();
        for _ in 0..random.random_range(1..16) {
            let name = format!("/k/{}", random.random_range(0..100));
            let size = random.random_range(0..20_000);
            group.extend(state_with(&mut state, &name, &vec![n as u8; size]).1);
        }
        disk.append(&group).expect("the model takes all");
        acknowledged.push(state.revision());
        if n % 8 == 7 {
            let oldest: Vec<_> = state.log().iter().take(40).cloned().collect();
            disk.fold(&oldest).expect("the model takes all");
            state.forget(oldest.len());
            acknowledged.push(state.revision());
        }
    }
    let path = disk.open.path.clone();
    drop(disk);
    let images = std::mem::take(&mut cut.lock().expect("nothing panics in it").images);
    assert!(images.len() > 20, "{} cuts prove little", images.len());
    for (acknowledgements, image) in images {
        let mut after = acknowledged.iter().skip(usize::try_from(acknowledgements).expect("some hundreds"));
        let from = *after.next().expect("it was acknowledged");
        // sled still writes when all is acknowledged.
        let to = *after.next().unwrap_or(&from);
        open_after_cut(&path, &image, from..=to, &state);
    }
}

/// Opens what a cut left: all that was acknowledged, and perhaps what was being synced.
fn open_after_cut(like: &Path, image: &[u8], bounds: RangeInclusive<Revision>, last: &State) {
    let folder = folder();
    let place = folder.path().join("db-00000001");
    fs::create_dir_all(place.join("blobs")).expect("the folder is ours");
    fs::copy(like.join("conf"), place.join("conf")).expect("the folder is ours");
    fs::write(place.join("db"), image).expect("the folder is ours");
    let (_, state) =
        Disk::open(folder.path()).unwrap_or_else(|error| panic!("cut before {bounds:?}: {error}"));
    let revision = state.revision();
    assert!(bounds.contains(&revision), "{revision} is not within {bounds:?}");
    if last.compacted() <= revision {
        let at = Scan::prefix("/").at(revision);
        assert_eq!(state.scan(&at), last.scan(&at), "the content is that of its revision");
    }
}

//! What the agent keeps of one mirror, on disk.
//!
//! ```text
//! objects/ab/abcdef…   a file, named by the SHA-256 of its path; behind its bytes stands what is known of it
//! arriving/9f86…       what has not arrived yet, by chance's name; removed at start-up
//! ```
//!
//! A file appears as a whole, by one rename. Its time of change says when the upstream was last asked after it, so that
//! asking again costs no rewrite. One process owns the folder; within it the store is shared freely between threads.
//! All calls but those of [`Store::seen`] and the sums may block on the disk. When to ask, and whom, is the caller's.

mod footer;
mod index;
mod room;

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::{Duration, SystemTime},
};

use netboot::mirror::Seen;
use proto::{Digest, Wall};

pub(super) use footer::Known;
use index::{Entry, Index};
pub(super) use room::{NoRoom, Reserved, Room};

use crate::disk::{DiskError, atomic};

const MODE: u32 = 0o640;
/// Files of one mirror, at most: each takes some hundred bytes of memory.
const MOST: usize = 200_000;

/// The store of one mirror.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    index: Mutex<Index>,
    /// Bytes that are set aside for what arrives.
    drafts: Arc<AtomicU64>,
}

/// A file that is held. It stays readable when it is evicted meanwhile.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Read it by position, and only its first [`Known::size`] bytes.
    pub(super) file: Arc<File>,
    pub(super) known: Arc<Known>,
    /// When the upstream was last asked after it.
    pub(super) asked: Wall,
}

/// A file that is being written; removed when it is dropped before its publication.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) file: Arc<File>,
    path: PathBuf,
    /// Its room, until it is held or given up.
    pub(super) reserved: Reserved,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After its publication it is not there any more; else the next start-up removes it.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Opens the store in `root`, or makes it: reads what is known of each file, and removes what cannot be read or did
    /// not arrive.
    pub(super) fn open(root: &Path) -> Result<Self, DiskError> {
        let (objects, arriving) = (root.join("objects"), root.join("arriving"));
        atomic::make_directory(&objects)?;
        atomic::make_directory(&arriving)?;
        for entry in fs::read_dir(&arriving).map_err(DiskError::at("list", &arriving))? {
            let path = entry.map_err(DiskError::at("list", &arriving))?.path();
            fs::remove_file(&path).map_err(DiskError::at("remove", &path))?;
        }
        let index = scan(&objects)?;
        Ok(Self { root: root.to_path_buf(), index: Mutex::new(index), drafts: Arc::default() })
    }

    /// When the file of this path was seen; None: it is not held. Never touches the disk.
    pub(super) fn seen(&self, path: &str) -> Option<Seen> {
        self.index().get(&key(path)).map(|entry| entry.seen)
    }

    /// Opens a file and notes that it was used. One that somebody removed or damaged is forgotten, and is None.
    pub(super) fn get(&self, path: &str) -> Result<Option<Held>, DiskError> {
        let key = key(path);
        let Some(entry) = self.index().touch(&key) else { return Ok(None) };
        let place = self.place(&key);
        let found = match File::open(&place) {
            Ok(file) => {
                footer::read(&file).map_err(DiskError::at("read", &place))?.map(|known| (file, known))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(DiskError::at("open", &place)(error)),
        };
        match found.filter(|(_, known)| known.path == path && known.size == entry.size) {
            Some((file, known)) => {
                Ok(Some(Held { file: Arc::new(file), known: Arc::new(known), asked: entry.seen.asked }))
            }
            None => self.remove_key(&key).map(|()| None),
        }
    }

    /// The upstream was asked at this time, and has no other version.
    pub(super) fn asked(&self, path: &str, at: Wall) -> Result<(), DiskError> {
        let key = key(path);
        if self.index().asked(&key, at).is_none() {
            return Ok(());
        }
        let place = self.place(&key);
        match File::options().write(true).open(&place).and_then(|file| file.set_modified(time_of(at))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::at("set the time of", &place)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A new file to write to. Its name is like no other's: the one who opened the store before may not have ended.
    pub(super) fn draft(&self, reserved: Reserved) -> Result<Draft, DiskError> {
        let path = self.root.join(format!("arriving/{:032x}", rand::random::<u128>()));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(MODE).open(&path);
        Ok(Draft { file: Arc::new(file.map_err(DiskError::at("create", &path))?), path, reserved })
    }

    /// Makes a written file the one of its path. It is synced first, so that no crash leaves half of it there.
    pub(super) fn publish(&self, draft: Draft, known: &Known, asked: Wall) -> Result<(), DiskError> {
        let at = |operation| DiskError::at(operation, &draft.path);
        footer::write(&draft.file, known).map_err(at("write"))?;
        draft.file.set_modified(time_of(asked)).map_err(at("set the time of"))?;
        draft.file.sync_all().map_err(at("sync"))?;
        let key = key(&known.path);
        let place = self.place(&key);
        make_shelf(place.parent().unwrap_or(&self.root))?;
        let entry = Entry { size: known.size, seen: Seen { fetched: known.fetched, asked } };
        // Under the lock, so that nobody removes the new file as the old one.
        let mut index = self.index();
        fs::rename(&draft.path, &place).map_err(DiskError::at("rename to", &place))?;
        index.insert(key, entry);
        Ok(())
    }

    /// Forgets a file.
    pub(super) fn remove(&self, path: &str) -> Result<(), DiskError> {
        self.remove_key(&key(path))
    }

    /// All files together, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.index().bytes()
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.index().len()
    }

    fn remove_key(&self, key: &Digest) -> Result<(), DiskError> {
        let place = self.place(key);
        let mut index = self.index();
        index.remove(key);
        match fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::at("remove", &place)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn place(&self, key: &Digest) -> PathBuf {
        self.root.join(format!("objects/{:02x}/{key}", key.0[0]))
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // No call panics while it holds the lock, and each leaves the index whole.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Not its parents: where they are gone, the mirror is.
fn make_shelf(shelf: &Path) -> Result<(), DiskError> {
    match fs::DirBuilder::new().mode(0o750).create(shelf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(DiskError::at("create", shelf)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn key(path: &str) -> Digest {
    Digest::of(path.as_bytes())
}

fn time_of(wall: Wall) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(wall.0)
}

fn wall_of(time: SystemTime) -> Wall {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Reads what is known of each file. Until they are used again their order is that of the last question after them.
fn scan(objects: &Path) -> Result<Index, DiskError> {
    let mut found: Vec<(Digest, Entry)> = Vec::new();
    for shelf in fs::read_dir(objects).map_err(DiskError::at("list", objects))? {
        let shelf = shelf.map_err(DiskError::at("list", objects))?.path();
        for file in fs::read_dir(&shelf).map_err(DiskError::at("list", &shelf))? {
            let path = file.map_err(DiskError::at("list", &shelf))?.path();
            match examine(&path).map_err(DiskError::at("read", &path))? {
                Some(entry) => found.push(entry),
                None => fs::remove_file(&path).map_err(DiskError::at("remove", &path))?,
            }
        }
    }
    found.sort_unstable_by_key(|(key, entry)| (entry.seen.asked, *key));
    let mut index = Index::default();
    found.into_iter().for_each(|(key, entry)| index.insert(key, entry));
    Ok(index)
}

/// None: not what this build has put there.
fn examine(path: &Path) -> io::Result<Option<(Digest, Entry)>> {
    let file = File::open(path)?;
    let Some(known) = footer::read(&file)? else { return Ok(None) };
    let key = key(&known.path);
    let in_place = path.file_name().is_some_and(|name| name.to_str() == Some(&key.to_string()));
    let seen = Seen { fetched: known.fetched, asked: wall_of(file.metadata()?.modified()?) };
    Ok(in_place.then_some((key, Entry { size: known.size, seen })))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::mirror::given::Given;

    fn known(path: &str, content: &[u8]) -> Known {
        Known {
            path: path.into(),
            upstream: "https://deb.example/debian/".into(),
            given: Given { etag: Some("\"1\"".into()), ..Given::default() },
            fetched: Wall(7_000),
            size: content.len() as u64,
            sha256: Digest::of(content),
        }
    }

    fn draft(store: &Store, size: usize) -> Draft {
        let room = Room { budget: u64::MAX, low_disk: 0 };
        store.draft(store.reserve(size as u64, room).expect("room")).expect("made")
    }

    pub(super) fn put(store: &Store, path: &str, content: &[u8], asked: u64) {
        let draft = draft(store, content.len());
        draft.file.write_all_at(content, 0).expect("written");
        store.publish(draft, &known(path, content), Wall(asked)).expect("published");
    }

    pub(super) fn content(store: &Store, path: &str) -> Option<Vec<u8>> {
        let held = store.get(path).expect("readable")?;
        let mut content = vec![0; usize::try_from(held.known.size).expect("small")];
        held.file.read_exact_at(&mut content, 0).expect("whole");
        Some(content)
    }

    #[test]
    fn a_file_outlives_a_restart_with_all_that_is_known_of_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("opens");
        put(&store, "dists/sid/InRelease", b"one", 8_000);
        put(&store, "dists/sid/InRelease", b"two!", 9_000);
        store.asked("dists/sid/InRelease", Wall(12_345)).expect("noted");
        let store = Store::open(dir.path()).expect("opens again");
        assert_eq!((store.files(), store.bytes()), (1, 4));
        let held = store.get("dists/sid/InRelease").expect("readable").expect("there");
        assert_eq!(*held.known, known("dists/sid/InRelease", b"two!"));
        assert_eq!(
            store.seen("dists/sid/InRelease"),
            Some(Seen { fetched: Wall(7_000), asked: Wall(12_345) })
        );
        assert_eq!(content(&store, "dists/sid/InRelease").as_deref(), Some(&b"two!"[..]));
        assert_eq!(content(&store, "dists/sid/Release"), None);
    }

    #[test]
    fn damaged_files_are_removed_and_the_rest_is_served() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("opens");
        put(&store, "a", b"whole", 1);
        put(&store, "b", b"damaged", 1);
        put(&store, "c", b"moved", 1);
        std::mem::forget(draft(&store, 0));
        let place = |path| store.place(&key(path));
        File::options()
            .append(true)
            .open(place("b"))
            .and_then(|mut file| io::Write::write_all(&mut file, b"x"))
            .expect("damaged");
        fs::rename(place("c"), place("a").with_file_name("0".repeat(64))).expect("moved");
        let store = Store::open(dir.path()).expect("opens again");
        assert_eq!((store.files(), store.bytes()), (1, 5));
        assert_eq!(fs::read_dir(dir.path().join("arriving")).expect("there").count(), 0);
        assert_eq!(content(&store, "a").as_deref(), Some(&b"whole"[..]));
    }

    #[test]
    fn a_file_that_was_damaged_meanwhile_is_forgotten() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("opens");
        put(&store, "a", b"whole", 1);
        fs::write(store.place(&key("a")), b"short").expect("damaged");
        assert_eq!(content(&store, "a"), None);
        assert_eq!((store.files(), store.bytes()), (0, 0));
        put(&store, "a", b"whole", 1);
        fs::remove_file(store.place(&key("a"))).expect("removed");
        assert_eq!(content(&store, "a"), None);
    }

    #[test]
    fn the_longest_unused_gives_way_and_who_reads_it_reads_on() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path()).expect("opens");
        for path in ["a", "b", "c"] {
            put(&store, path, &[7; 100], 1);
        }
        let held = store.get("b").expect("readable").expect("there");
        store.get("a").expect("readable").expect("there");
        assert_eq!(store.evict_to(150).expect("evicts"), 2);
        assert_eq!((store.files(), store.bytes()), (1, 100));
        assert!(content(&store, "a").is_some());
        let mut byte = [0];
        held.file.read_exact_at(&mut byte, 99).expect("it is open");
        assert_eq!(byte, [7]);
    }

    #[test]
    fn a_store_that_is_opened_while_another_still_writes_loses_nothing_to_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let former = Store::open(dir.path()).expect("opens");
        let late = draft(&former, 3);
        let store = Store::open(dir.path()).expect("the mirror has come back to the plan");
        let draft = draft(&store, 3);
        draft.file.write_all_at(b"new", 0).expect("written");
        late.file.write_all_at(b"old", 0).expect("written");
        former.publish(late, &known("a", b"old"), Wall(1)).expect_err("its file is gone");
        store.publish(draft, &known("a", b"new"), Wall(1)).expect("published");
        assert_eq!(content(&store, "a").as_deref(), Some(&b"new"[..]));
    }
}

//! What sled waits for the disk with, in place of the C library's function of that name.
//!
//! sled 0.34.7 writes a buffer, waits by `sync_file_range`, and takes the buffer for safe from then on: it gives the
//! places of what the buffer has replaced to later buffers. But `sync_file_range` neither makes the disk empty its
//! cache nor writes the file's own description, so a power cut can leave the old overwritten and the new not there, and
//! with them all of a database. A sync of ours behind it comes too late for that. So the program has a
//! `sync_file_range` of its own, which the linker takes before the C library's, and which syncs.

use std::ffi::{c_int, c_uint};

/// `sync_file_range(2)`, in every range and with all flags `fdatasync(2)`.
#[expect(unsafe_code, reason = "sled calls it by this name, and nothing in safe Rust takes a symbol's place")]
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(file: c_int, _offset: i64, _bytes: i64, _flags: c_uint) -> c_int {
    #[cfg(test)]
    watched::sync(file);
    // SAFETY: it takes any number for a file, and refuses those that are none.
    unsafe { libc::fdatasync(file) }
}

/// Makes the linker keep the function above, in whichever program opens a database: nothing else of Rust names it.
pub(super) fn take_the_place() {
    std::hint::black_box(sync_file_range as extern "C" fn(c_int, i64, i64, c_uint) -> c_int);
}

/// Tests that look at what sled syncs.
#[cfg(test)]
pub(crate) mod watched {
    use std::ffi::c_int;
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Mutex, PoisonError};

    type Watcher = Box<dyn FnMut() + Send>;

    static WATCHERS: Mutex<Vec<(u64, Watcher)>> = Mutex::new(Vec::new());

    /// Calls `watcher` before each sync of `file`, until this process ends.
    pub(crate) fn before_each(file: &File, watcher: impl FnMut() + Send + 'static) {
        let inode = file.metadata().expect("it is open").ino();
        let mut watchers = WATCHERS.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.push((inode, Box::new(watcher)));
    }

    pub(super) fn sync(file: c_int) {
        let Ok(file) = fs::metadata(format!("/proc/self/fd/{file}")) else { return };
        let mut watchers = WATCHERS.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.iter_mut().filter(|(inode, _)| *inode == file.ino()).for_each(|(_, watcher)| watcher());
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn sled_waits_for_the_disk_and_not_for_its_cache() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = super::super::open(folder.path()).expect("opens");
        let syncs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&syncs);
        let file = File::open(folder.path().join("db")).expect("is there");
        super::watched::before_each(&file, move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        database.insert("key", "value").expect("the disk has space");
        database.flush().expect("the disk has space");
        assert!(syncs.load(Ordering::Relaxed) > 0, "sled has called the C library");
    }
}

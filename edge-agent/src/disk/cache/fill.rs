//! Filling: a blob arrives in chunks, is hashed on the way, and is published only when the digest holds.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proto::Digest;
use proto::chunks::Cutter;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::progress::{FillProgress, FillState};
use super::{Cache, index};
use crate::disk::{DiskError, atomic};

const BLOB_MODE: u32 = 0o640;

/// Why a blob was not filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The cache has it already.
    #[error("the blob {0} is already in the cache")]
    Present(Digest),
    /// Another fill of the same blob is under way: follow that one.
    #[error("the blob {0} is already being filled")]
    Busy(Digest),
    /// The bytes are others than the plan names. They were removed.
    #[error("the bytes have digest {actual} instead of {expected}")]
    WrongDigest {
        /// The digest asked for.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// There are more or fewer bytes than declared. What is too long was removed.
    #[error("the blob {digest} has {actual} bytes instead of {expected}")]
    WrongSize {
        /// The blob.
        digest: Digest,
        /// The declared size.
        expected: u64,
        /// What came, at least.
        actual: u64,
    },
    /// The fill was refused before: begin anew.
    #[error("the fill of {0} is over: what came was wrong")]
    Over(Digest),
    /// The file system failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A blob that is arriving. Dropped before [`Fill::finish`], it can be resumed by a later fill.
#[derive(Debug)]
pub struct Fill {
    cache: Arc<Cache>,
    digest: Digest,
    size: u64,
    file: File,
    path: PathBuf,
    hash: Sha256,
    cutter: Option<Cutter>,
    written: u64,
    progress: Arc<FillProgress>,
    /// How it ended, told to followers when this is dropped, unless they know that it is right.
    end: FillState,
}

impl Cache {
    /// Begins to fill the blob `digest` of `size` bytes, behind what an earlier fill left of it.
    ///
    /// What is there is hashed again, which reads it once. The room for the rest is claimed now, so that a
    /// disk that is too small is known before the bytes are fetched.
    ///
    /// # Errors
    /// [`FillError::Present`], [`FillError::Busy`], or [`FillError::Disk`], which
    /// [says](DiskError::is_full) whether room is missing.
    pub fn fill(self: &Arc<Self>, digest: Digest, size: u64) -> Result<Fill, FillError> {
        let progress = Arc::new(FillProgress::new(size, 0));
        self.announce(digest, &progress)?;
        match Fill::begin(self.clone(), digest, size, progress.clone()) {
            Ok(fill) => {
                self.begun.notify_waiters();
                Ok(fill)
            }
            Err(error) => {
                self.index().filling.remove(&digest);
                progress.end(FillState::Stopped);
                Err(error.into())
            }
        }
    }

    /// The fill of `digest` that is under way, and its file to read from. The file stays the same when the
    /// blob is published.
    ///
    /// # Errors
    /// [`DiskError`] if the file cannot be opened.
    pub fn follow(&self, digest: &Digest) -> Result<Option<(File, Arc<FillProgress>)>, DiskError> {
        // Under the lock, so that the file is not published or removed between the two looks.
        let index = self.index();
        let Some(progress) = index.filling.get(digest) else { return Ok(None) };
        let path = self.places.partial(digest);
        match File::open(&path) {
            Ok(file) => Ok(Some((file, progress.clone()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DiskError::at("open", &path)(error)),
        }
    }

    fn announce(&self, digest: Digest, progress: &Arc<FillProgress>) -> Result<(), FillError> {
        let mut index = self.index();
        if index.size_of(&digest).is_some() {
            return Err(FillError::Present(digest));
        }
        if index.filling.contains_key(&digest) {
            return Err(FillError::Busy(digest));
        }
        index.filling.insert(digest, progress.clone());
        Ok(())
    }
}

impl Fill {
    fn begin(
        cache: Arc<Cache>,
        digest: Digest,
        size: u64,
        progress: Arc<FillProgress>,
    ) -> Result<Self, DiskError> {
        let path = cache.places.partial(&digest);
        let file = open_partial(&path).map_err(DiskError::at("open", &path))?;
        let mut cutter = Cutter::for_size(size);
        let (hash, written) = rehash(&file, size, cutter.as_mut()).map_err(DiskError::at("read", &path))?;
        claim(&file, written, size).map_err(DiskError::at("claim room for", &path))?;
        progress.advance(written);
        let end = FillState::Stopped;
        Ok(Self { cache, digest, size, file, path, hash, cutter, written, progress, end })
    }

    /// Where the next chunk belongs: bytes from the start of the blob.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.written
    }

    /// What followers see.
    #[must_use]
    pub fn progress(&self) -> &Arc<FillProgress> {
        &self.progress
    }

    /// Takes the next chunk, and shows it to followers.
    ///
    /// # Errors
    /// [`FillError::WrongSize`] as soon as there are more bytes than declared: the fill is then over and
    /// what came is removed. [`FillError::Disk`] if the chunk could not be written: it can be tried again.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), FillError> {
        self.write_all([chunk])
    }

    /// Takes several chunks, and shows them to followers together.
    ///
    /// # Errors
    /// As [`Fill::write`]; the chunks before the one that failed have been taken.
    pub fn write_all<'a>(&mut self, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<(), FillError> {
        let before = self.written;
        let taken = chunks.into_iter().try_for_each(|chunk| self.take(chunk));
        if self.written > before && self.end != FillState::Refused {
            self.progress.advance(self.written);
        }
        taken
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), FillError> {
        if self.end == FillState::Refused {
            return Err(FillError::Over(self.digest));
        }
        let end = self.written.saturating_add(chunk.len() as u64);
        if end > self.size {
            self.refuse();
            return Err(FillError::WrongSize { digest: self.digest, expected: self.size, actual: end });
        }
        self.file.write_all_at(chunk, self.written).map_err(DiskError::at("write", &self.path))?;
        self.hash.update(chunk);
        self.cutter.iter_mut().for_each(|cutter| cutter.push(chunk));
        self.written = end;
        Ok(())
    }

    /// Removes what came: whoever gave it is not to be trusted. Followers are told.
    pub fn discard(mut self) {
        self.refuse();
    }

    /// Publishes the blob, durably, if its size and digest hold. Followers have all of it as soon as these hold, and do
    /// not wait for the disk.
    ///
    /// # Errors
    /// [`FillError::WrongSize`] if bytes are missing, which a later fill can add;
    /// [`FillError::WrongDigest`], and what came is removed; [`FillError::Disk`].
    pub fn finish(mut self) -> Result<(), FillError> {
        if self.end == FillState::Refused {
            return Err(FillError::Over(self.digest));
        }
        let (expected, actual) = (self.size, self.written);
        if actual != expected {
            return Err(FillError::WrongSize { digest: self.digest, expected, actual });
        }
        let actual = Digest(self.hash.clone().finalize().into());
        if actual != self.digest {
            self.refuse();
            return Err(FillError::WrongDigest { expected: self.digest, actual });
        }
        self.progress.end(FillState::Published);
        self.publish()?;
        if let Some(list) = self.cutter.take().and_then(Cutter::finish) {
            self.cache.keep_list(&self.digest, &list);
        }
        Ok(())
    }

    fn publish(&self) -> Result<(), DiskError> {
        let (shelf, blob) = (self.cache.places.shelf(&self.digest), self.cache.places.blob(&self.digest));
        self.file.sync_all().map_err(DiskError::at("sync", &self.path))?;
        atomic::make_directory(&shelf)?;
        let mut index = self.cache.index();
        fs::rename(&self.path, &blob).map_err(DiskError::at("rename to", &blob))?;
        index.insert(self.digest, self.size);
        drop(index);
        atomic::sync_directory(&shelf)
    }

    /// Removes what came; followers are told when the fill is dropped.
    fn refuse(&mut self) {
        self.end = FillState::Refused;
        // If it cannot be removed, the next fill resumes it, and refuses it again.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        if self.progress.now().1 == FillState::Arriving {
            // Gives back what was claimed for the rest. What does not work now is done when it is resumed or removed.
            let _ = self.file.set_len(self.written);
        }
        let mut index = self.cache.index();
        // After its publication the blob may have been evicted, and another fill of it have begun.
        let ours = |progress: &Arc<FillProgress>| Arc::ptr_eq(progress, &self.progress);
        if index.filling.get(&self.digest).is_some_and(ours) {
            index.filling.remove(&self.digest);
        }
        drop(index);
        self.progress.end(self.end);
    }
}

fn open_partial(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(BLOB_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(BLOB_MODE))?;
    Ok(file)
}

/// Hashes and cuts what an earlier fill left. More than `size` bytes cannot be of this blob, and are dropped.
fn rehash(file: &File, size: u64, mut cutter: Option<&mut Cutter>) -> io::Result<(Sha256, u64)> {
    let mut hash = Sha256::new();
    if file.metadata()?.len() > size {
        file.set_len(0)?;
        return Ok((hash, 0));
    }
    let mut buffer = vec![0; 256 << 10];
    let mut source = file;
    let mut written = 0;
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok((hash, written)),
            read => {
                hash.update(&buffer[..read]);
                cutter.iter_mut().for_each(|cutter| cutter.push(&buffer[..read]));
                written += read as u64;
            }
        }
    }
}

/// Sets blocks aside for the rest. File systems that cannot do without: the writes then find out.
fn claim(file: &File, written: u64, size: u64) -> io::Result<()> {
    if written == size {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, written, size - written) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

impl Cache {
    /// Removes what is left of fills that nobody will go on with: all but those that are under way and those that `keep`
    /// wants. Returns how many.
    ///
    /// # Errors
    /// [`DiskError`] names what cannot be listed or removed.
    pub fn remove_partials(&self, keep: &dyn Fn(&Digest) -> bool) -> Result<u64, DiskError> {
        let partials = self.places.partials();
        let mut removed = 0;
        for entry in fs::read_dir(&partials).map_err(DiskError::at("list", &partials))? {
            let path = entry.map_err(DiskError::at("list", &partials))?.path();
            let digest = path.file_name().and_then(index::digest_of);
            // Under the lock, so that no fill takes it up meanwhile.
            let index = self.index();
            if digest.is_some_and(|digest| index.filling.contains_key(&digest) || keep(&digest)) {
                continue;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DiskError::at("remove", &path)(error));
                }
                Ok(()) | Err(_) => removed += 1,
            }
        }
        Ok(removed)
    }
}

/// Removes partial blobs that were last written more than `keep_for` before `now`.
pub(super) fn remove_stale(partials: &Path, now: SystemTime, keep_for: Duration) -> Result<u64, DiskError> {
    let mut removed = 0;
    for entry in fs::read_dir(partials).map_err(DiskError::at("list", partials))? {
        let path = entry.map_err(DiskError::at("list", partials))?.path();
        let resumable = path.file_name().and_then(index::digest_of).is_some();
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
        let modified = modified.map_err(DiskError::at("examine", &path))?;
        // A file from the future is as good as new: the clock was corrected meanwhile.
        let age = now.duration_since(modified).unwrap_or(Duration::ZERO);
        if !resumable || age > keep_for {
            fs::remove_file(&path).map_err(DiskError::at("remove", &path))?;
            removed += 1;
        }
    }
    Ok(removed)
}

//! A controller's state out of an archive: all of it, in a folder that appears whole, or nothing.

use std::{
    collections::BTreeMap,
    fs, io,
    io::{Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use certs::{Authority, Passphrase, SealError, UnsealError};
use proto::{
    Digest, Wall,
    catalog::{ImageSpec, Resource},
};
use zeroize::Zeroizing;

use super::{
    About,
    archive::{self, Reader},
    seal::{self, NotSealed},
};
use crate::{
    blobs::{BlobError, Blobs},
    catalog::{Catalog, ReadError},
    store::{
        Epoch, ImportAs, ImportError, LocalStore, OpenError, Snapshot, SnapshotError, Store as _, Tuning,
    },
};

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the archive was of.
    pub about: About,
    /// The epoch that begins now, above all that the archive knows: agents take plans of it over all older ones.
    pub epoch: u64,
    /// The blobs that the images name; they are not in the archive.
    pub blobs: Vec<NeededBlob>,
}

/// A blob that images name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededBlob {
    /// Its SHA-256.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The images that name it: what to import again where it is lost.
    pub images: Vec<String>,
}

impl Restored {
    /// Those of its blobs that are not held here, or with another size.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn missing_from(&self, held: &Blobs) -> Result<Vec<&NeededBlob>, BlobError> {
        let mut missing = Vec::new();
        for blob in &self.blobs {
            if held.size(blob.digest).await? != Some(blob.size) {
                missing.push(blob);
            }
        }
        Ok(missing)
    }
}

/// Why nothing was restored. Nothing was written either.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The archive's bytes could not be read.
    #[error("the archive cannot be read")]
    Read(#[source] io::Error),
    /// It is some other file.
    #[error("not a backup of a Bootlane controller")]
    NotABackup,
    /// It was written by another version.
    #[error("the archive has format {found}; this version reads format 1")]
    Format {
        /// The number in its header.
        found: u32,
    },
    /// It ends too early.
    #[error("the archive is truncated; use a complete copy")]
    Truncated,
    /// Its bytes are not those that were written.
    #[error("the archive is damaged; use another copy")]
    Damaged,
    /// More bytes follow its end.
    #[error("the archive is followed by other data; use a clean copy")]
    Trailing,
    /// The store's part of it.
    #[error("the archive's store is damaged; use another copy")]
    Snapshot(#[source] SnapshotError),
    /// Too short to be the one.
    #[error(transparent)]
    Passphrase(#[from] SealError),
    /// The key of secrets does not open.
    #[error(transparent)]
    Sealed(#[from] NotSealed),
    /// The certificate authority does not open.
    #[error("the certificate authority does not open")]
    Authority(#[from] UnsealError),
    /// The folder holds something.
    #[error("{} is not empty: restore into a new folder, or move this one away", .0.display())]
    NotEmpty(PathBuf),
    /// The new folder could not be made.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new store.
    #[error("the new store cannot be made")]
    Store(#[from] OpenError),
    /// Filling it.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Reading it back.
    #[error(transparent)]
    Catalog(#[from] ReadError),
}

/// Restores an archive into `state`, which must be absent or empty. Its parent folder must be writable: the new state
/// is made beside it and takes its place in one step.
///
/// # Errors
/// [`RestoreError`]; `state` is then as it was.
pub async fn restore(
    archive: impl Read,
    passphrase: String,
    state: &Path,
    now: Wall,
) -> Result<Restored, RestoreError> {
    check_empty(state)?;
    let contents = Contents::read(archive)?;
    let (passphrase, key) = contents.unseal(passphrase)?;
    let staging = Staging::beside(state)?;
    write_private(&staging.0.join(super::SECRETS_KEY), &key)?;
    Authority::open_sealed(&staging.0.join(super::AUTHORITY), &contents.authority, &passphrase)?;
    let (epoch, blobs) = fill_store(&staging.0.join(super::STORE), contents.store, now).await?;
    staging.publish(state)?;
    Ok(Restored { about: contents.about, epoch, blobs })
}

/// An archive whose digest holds.
struct Contents {
    about: About,
    authority: Vec<u8>,
    store: Snapshot,
    sealed_key: Vec<u8>,
    /// Of everything before the sealed key.
    digest: [u8; 32],
}

impl Contents {
    fn read(input: impl Read) -> Result<Self, RestoreError> {
        let mut archive = Reader::begin(io::BufReader::new(input))?;
        let (about, _) = archive.section(archive::ABOUT)?;
        let (authority, _) = archive.section(archive::AUTHORITY)?;
        let store = Snapshot::read_from(archive.pieces()).map_err(unframe)?;
        let (sealed_key, digest) = archive.section(archive::KEY)?;
        archive.end()?;
        let about = serde_json::from_slice(&about).map_err(|_| RestoreError::Damaged)?;
        Ok(Self { about, authority, store, sealed_key, digest })
    }

    /// The key of secrets, if nobody has changed anything since the passphrase's owner wrote it.
    fn unseal(&self, passphrase: String) -> Result<(Passphrase, Zeroizing<Vec<u8>>), RestoreError> {
        let plain = Zeroizing::new(passphrase);
        let passphrase = Passphrase::new(plain.to_string())?;
        let opened = seal::open(&self.sealed_key, &plain)?;
        let (digest, key) = opened.split_first_chunk::<32>().ok_or(RestoreError::Damaged)?;
        if *digest != self.digest {
            return Err(NotSealed::Passphrase.into());
        }
        Ok((passphrase, Zeroizing::new(key.to_vec())))
    }
}

/// An error of the frame that came through the snapshot's reader.
fn unframe(error: SnapshotError) -> RestoreError {
    match error {
        SnapshotError::Io(error) => match error.downcast::<RestoreError>() {
            Ok(framed) => framed,
            Err(error) => RestoreError::Read(error),
        },
        SnapshotError::Truncated => RestoreError::Truncated,
        other @ (SnapshotError::NotASnapshot
        | SnapshotError::Format { .. }
        | SnapshotError::Digest
        | SnapshotError::Trailing
        | SnapshotError::Damaged(_)) => RestoreError::Snapshot(other),
    }
}

async fn fill_store(
    folder: &Path,
    snapshot: Snapshot,
    now: Wall,
) -> Result<(u64, Vec<NeededBlob>), RestoreError> {
    let store = Arc::new(LocalStore::open(folder, Tuning::default())?);
    // Seconds of the wall clock, so that restoring one archive twice gives two epochs.
    store.import(snapshot, ImportAs::Restored { at_least: Epoch(now.0 / 1_000) }).await?;
    let images = Catalog::new(store.clone()).list::<ImageSpec>(None).await?.items;
    let epoch = store.epoch().await.map_err(ReadError::from)?;
    store.close().await;
    Ok((epoch.0, needed(&images)))
}

fn needed(images: &[Resource<ImageSpec>]) -> Vec<NeededBlob> {
    let mut blobs: BTreeMap<Digest, NeededBlob> = BTreeMap::new();
    for image in images {
        for file in image.spec.files.values() {
            let (digest, size) = (file.sha256, file.size);
            let blob = blobs.entry(digest).or_insert(NeededBlob { digest, size, images: Vec::new() });
            if blob.images.last() != Some(&image.name) {
                blob.images.push(image.name.clone());
            }
        }
    }
    blobs.into_values().collect()
}

fn check_empty(state: &Path) -> Result<(), RestoreError> {
    match fs::read_dir(state) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(RestoreError::Write { path: state.to_owned(), source }),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(RestoreError::NotEmpty(state.to_owned())),
        },
    }
}

/// A folder beside the one to be made; gone with everything in it unless it is published.
struct Staging(PathBuf);

impl Staging {
    fn beside(state: &Path) -> Result<Self, RestoreError> {
        let name = state.file_name().unwrap_or_default().to_string_lossy();
        let path = state.with_file_name(format!(".{name}.restoring-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(write_error(&path))?;
        Ok(Self(path))
    }

    /// Takes the place of `state` in one step.
    fn publish(self, state: &Path) -> Result<(), RestoreError> {
        sync_folder(&self.0)?;
        // Over an empty folder, as rename(2) allows; over anything else it fails.
        fs::rename(&self.0, state).map_err(write_error(state))?;
        match state.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => sync_folder(parent),
            None => sync_folder(Path::new(".")),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Absent after it was published.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), RestoreError> {
    let open = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    let write = |mut file: fs::File| file.write_all(bytes).and_then(|()| file.sync_all());
    open.and_then(write).map_err(write_error(path))
}

fn sync_folder(path: &Path) -> Result<(), RestoreError> {
    fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(write_error(path))
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::Write { path, source }
}

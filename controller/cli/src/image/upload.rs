//! Hashing and cutting files of media, and sending those that the controller does not hold.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proto::Digest;
use proto::catalog::{FileChunks, FileEntry};
use proto::chunks::ChunkList;
use proto::v1::PutBlobRequest;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::cutting::Cutting;
use super::{CHUNK, Found, Media, MediaError, Progress};
use crate::client::Client;
use crate::failure::{Exit, Failure};

/// As many chunks wait for the network.
const WAITING: usize = 4;

/// A file that was read in full.
#[derive(Debug)]
pub(crate) struct Hashed {
    /// What the manifest says of it.
    pub(crate) entry: FileEntry,
    /// The list of its chunks, which is uploaded beside it.
    pub(crate) list: Option<Bytes>,
}

/// The digest and the chunks of a file, read in full. Blocks.
///
/// # Errors
/// [`MediaError::Size`] if it is not as long as it was listed.
pub(crate) fn hash(media: &Media, found: &Found, progress: &Progress) -> Result<Hashed, MediaError> {
    let mut hasher = Sha256::new();
    let cutting = Cutting::begin(found.size);
    chunks(media, found, |chunk| {
        cutting.iter().for_each(|cutting| cutting.push(chunk));
        hasher.update(chunk);
        progress.advance(chunk.len());
        true
    })?;
    let list = cutting.and_then(Cutting::finish);
    let (chunks, list) = list.map(|list| written(&list)).unzip();
    let entry = FileEntry { sha256: Digest(hasher.finalize().into()), size: found.size, chunks };
    Ok(Hashed { entry, list })
}

/// The digest of a file, read in full. Blocks.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn digest(path: &Path, progress: &Progress) -> std::io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = read_full(&mut file, &mut buffer)?;
        if read == 0 {
            progress.finish();
            return Ok(Digest(hasher.finalize().into()));
        }
        hasher.update(&buffer[..read]);
        progress.advance(read);
    }
}

fn written(list: &ChunkList) -> (FileChunks, Bytes) {
    let bytes = Bytes::from(list.encode());
    let (sha256, size) = (Digest::of(&bytes), bytes.len() as u64);
    (FileChunks { sha256, size, distinct: list.distinct_bytes() }, bytes)
}

/// Hands each chunk on until `take` wants no more; whether all were taken.
fn chunks(media: &Media, found: &Found, mut take: impl FnMut(&[u8]) -> bool) -> Result<bool, MediaError> {
    let size = || MediaError::Size { path: found.path.clone(), expected: found.size };
    let mut reader = media.read(&found.path)?;
    let mut left = found.size;
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = read_full(&mut *reader, &mut buffer)
            .map_err(|source| MediaError::File { path: found.path.clone(), source })?;
        left = left.checked_sub(read as u64).ok_or_else(size)?;
        if read == 0 {
            return if left == 0 { Ok(true) } else { Err(size()) };
        }
        if !take(&buffer[..read]) {
            return Ok(false);
        }
    }
}

fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Sends one file as a blob. The controller hashes it anew: one that changed meanwhile is refused.
///
/// # Errors
/// What is wrong with the media, else the controller's refusal.
pub(crate) async fn upload(
    client: &mut Client,
    media: &Arc<Media>,
    found: &Found,
    entry: FileEntry,
    progress: &Progress,
) -> Result<(), Failure> {
    let (messages, receiver) = mpsc::channel(WAITING);
    let reader = {
        let (media, found, progress) = (Arc::clone(media), found.clone(), progress.clone());
        tokio::task::spawn_blocking(move || send(&media, &found, entry, &messages, &progress))
    };
    let sent = client.put_blob(&found.path, ReceiverStream::new(receiver)).await;
    let read = reader.await.map_err(|error| Failure::because(Exit::Failed, "read the media", &error))?;
    read.map_err(|error| Failure::because(Exit::BadInput, &format!("upload {}", found.path), &error))?;
    sent
}

/// Sends the list of a file's chunks as a blob.
///
/// # Errors
/// The controller's refusal.
pub(crate) async fn upload_list(client: &mut Client, path: &str, list: Bytes) -> Result<(), Failure> {
    let first = PutBlobRequest {
        sha256: Digest::of(&list).0.to_vec().into(),
        size: list.len() as u64,
        ..PutBlobRequest::default()
    };
    let pieces = (0..list.len()).step_by(CHUNK).map(move |start| {
        let chunk = list.slice(start..list.len().min(start + CHUNK));
        PutBlobRequest { chunk, ..PutBlobRequest::default() }
    });
    let messages = std::iter::once(first).chain(pieces);
    client.put_blob(&format!("the chunks of {path}"), tokio_stream::iter(messages)).await
}

fn send(
    media: &Media,
    found: &Found,
    entry: FileEntry,
    messages: &mpsc::Sender<PutBlobRequest>,
    progress: &Progress,
) -> Result<(), MediaError> {
    let first = PutBlobRequest {
        sha256: entry.sha256.0.to_vec().into(),
        size: entry.size,
        ..PutBlobRequest::default()
    };
    // A receiver that is gone has its own error to tell.
    if messages.blocking_send(first).is_err() {
        return Ok(());
    }
    chunks(media, found, |chunk| {
        progress.advance(chunk.len());
        let chunk = chunk.to_vec().into();
        messages.blocking_send(PutBlobRequest { chunk, ..PutBlobRequest::default() }).is_ok()
    })
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_since_it_was_listed_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("disk.img");
        std::fs::write(&path, vec![1; CHUNK + 5]).expect("written");
        let media = Media::open(&path, "disk.img").expect("a file");
        let progress = Progress::new(false, "x", 0);
        let found = media.files()[0].clone();
        let entry = hash(&media, &found, &progress).expect("hashed").entry;
        assert_eq!((entry.size, entry.sha256), (found.size, Digest::of(&vec![1; CHUNK + 5])));
        for length in [CHUNK, CHUNK + 6] {
            std::fs::write(&path, vec![1; length]).expect("written");
            assert!(matches!(hash(&media, &found, &progress), Err(MediaError::Size { .. })), "{length}");
        }
    }
}

//! The Backup call: the archive as it is written, in chunks.

use std::{
    io::{self, BufWriter, Write},
    pin::Pin,
};

use bytes::Bytes;
use certs::SealError;
use futures::Stream;
use proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::refusal;
use crate::{
    app::App,
    backup::{Backup, BackupError},
    catalog::{ReadError, roles::Actor},
};

/// What Backup answers with.
pub(super) type BackupStream = Pin<Box<dyn Stream<Item = Result<v1::BackupChunk, Status>> + Send>>;

/// Bytes of a chunk.
const CHUNK: usize = 64 * 1024;
/// Chunks that wait for a slow caller; writing waits then.
const WAITING: usize = 8;

type Chunks = mpsc::Sender<Result<v1::BackupChunk, Status>>;

pub(super) async fn backup(
    app: &App,
    secrets_key: std::path::PathBuf,
    actor: &Actor,
    passphrase: String,
) -> Result<BackupStream, Status> {
    let snapshot = app.store.export().await.map_err(|error| refusal::read(ReadError::from(error)))?;
    let revision = snapshot.revision();
    let (app, now) = (app.clone(), app.clock.wall());
    let gather = move || Backup::new(&app.authority(), snapshot, &secrets_key, passphrase, now);
    let gathered =
        tokio::task::spawn_blocking(gather).await.map_err(|error| Status::internal(error.to_string()))?;
    let backup = gathered.map_err(refused)?;
    tracing::info!(actor = %actor.name, %revision, "a backup is taken");
    let (chunks, stream) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || send(&backup, chunks));
    Ok(Box::pin(ReceiverStream::new(stream)))
}

fn refused(error: BackupError) -> Status {
    match error {
        BackupError::Seal(SealError::ShortPassphrase) => refusal::field("passphrase", error.to_string()),
        BackupError::Seal(SealError::Randomness(_) | SealError::Cipher) => {
            Status::internal(error.to_string())
        }
        BackupError::Key(ref source) => {
            tracing::error!(%error, %source, "cannot make a backup");
            Status::internal(format!("{error}: {source}"))
        }
    }
}

fn send(backup: &Backup, chunks: Chunks) {
    let out = BufWriter::with_capacity(CHUNK, ChunkWriter(chunks.clone()));
    if let Err(error) = backup.write_to(out) {
        // Nobody is left to be told if this fails.
        let _ = chunks.blocking_send(Err(Status::internal(format!("the backup is incomplete: {error}"))));
    }
}

/// Each write is one chunk.
struct ChunkWriter(Chunks);

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(CHUNK)];
        let chunk = v1::BackupChunk { chunk: Bytes::copy_from_slice(piece) };
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the caller has gone");
        self.0.blocking_send(Ok(chunk)).map_err(gone)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

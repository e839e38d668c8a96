//! Taking a blob in: verified as it arrives, published when it is right.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};
use proto::Digest;
use sha2::{Digest as _, Sha256};

use super::place;
use super::room::{NoRoom, Room, is_full};

/// Bytes of one part: above what object stores take at least.
const PART: usize = 8 << 20;
/// The largest blob, in bytes: a terabyte.
const LARGEST: u64 = 1 << 40;

/// Why a blob was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The bytes are not those that the digest names.
    #[error("the bytes have the digest {found}, expected {expected}: nothing was kept, send the file again")]
    Digest {
        /// As announced.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// More or fewer bytes than announced.
    #[error("the blob has {found} bytes{}, expected {expected}: nothing was kept", if *more { " or more" } else { "" })]
    Size {
        /// As announced.
        expected: u64,
        /// As counted.
        found: u64,
        /// It was cut off, as it had too many already.
        more: bool,
    },
    /// Larger than any blob may be.
    #[error("a blob of {0} bytes is larger than {LARGEST}")]
    TooLarge(u64),
    /// There is no room for it.
    #[error(transparent)]
    Full(#[from] NoRoom),
    /// The store failed.
    #[error("the blob could not be stored: {0}; nothing was kept")]
    Store(object_store::Error),
}

/// A blob on its way in. Dropped before [`BlobUpload::finish`], it leaves nothing.
#[derive(Debug)]
pub struct BlobUpload {
    digest: Digest,
    size: u64,
    received: u64,
    hash: Sha256,
    buffer: BytesMut,
    upload: Option<Box<dyn MultipartUpload>>,
    room: Room,
}

impl BlobUpload {
    pub(super) async fn begin(
        store: Arc<dyn ObjectStore>,
        room: Room,
        digest: Digest,
        size: u64,
    ) -> Result<Self, PutError> {
        if size > LARGEST {
            return Err(PutError::TooLarge(size));
        }
        room.check(size)?;
        let upload = store.put_multipart(&place(digest)).await;
        let upload = Some(upload.map_err(|error| failed(&room, size, error))?);
        Ok(Self { digest, size, received: 0, hash: Sha256::new(), buffer: BytesMut::new(), upload, room })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`PutError`]; the upload is then over.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), PutError> {
        self.received += bytes.len() as u64;
        if self.received > self.size {
            self.abort().await;
            return Err(PutError::Size { expected: self.size, found: self.received, more: true });
        }
        self.hash.update(&bytes);
        self.buffer.extend_from_slice(&bytes);
        if self.buffer.len() >= PART { self.flush().await } else { Ok(()) }
    }

    /// Publishes the blob, durably, if its bytes are right.
    ///
    /// # Errors
    /// [`PutError`]; nothing is kept then.
    pub async fn finish(mut self) -> Result<(), PutError> {
        if let Err(error) = self.verify() {
            self.abort().await;
            return Err(error);
        }
        // An empty object has one empty part.
        self.flush().await?;
        if let Some(mut upload) = self.upload.take() {
            upload.complete().await.map_err(|error| failed(&self.room, 0, error))?;
        }
        Ok(())
    }

    fn verify(&self) -> Result<(), PutError> {
        if self.received != self.size {
            return Err(PutError::Size { expected: self.size, found: self.received, more: false });
        }
        let found = Digest(self.hash.clone().finalize().into());
        if found != self.digest {
            return Err(PutError::Digest { expected: self.digest, found });
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), PutError> {
        let part = self.buffer.split().freeze();
        let Some(upload) = &mut self.upload else { return Ok(()) };
        if let Err(error) = upload.put_part(part.into()).await {
            self.abort().await;
            return Err(failed(&self.room, self.size.saturating_sub(self.received), error));
        }
        Ok(())
    }

    async fn abort(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            // What stays behind is swept at the next start.
            if let Err(error) = upload.abort().await {
                tracing::debug!(%error, "an upload left something behind");
            }
        }
    }
}

/// A disk may become full after the room was looked at: others write too.
fn failed(room: &Room, missing: u64, error: object_store::Error) -> PutError {
    if is_full(&error) { room.none(missing).into() } else { PutError::Store(error) }
}

//! Image bytes on their way in.

use proto::{Digest, v1};
use tonic::{Status, Streaming};

use super::refusal;
use crate::{app::App, blobs::PutError};

/// The most digests of one question.
const DIGESTS: usize = 20_000;

pub(super) async fn missing(
    app: &App,
    request: v1::MissingBlobsRequest,
) -> Result<v1::MissingBlobsResponse, Status> {
    if request.sha256.len() > DIGESTS {
        return Err(refusal::field(
            "sha256",
            format!("has {} digests, expected at most {DIGESTS}", request.sha256.len()),
        ));
    }
    let mut sha256 = Vec::new();
    for (index, bytes) in request.sha256.into_iter().enumerate() {
        let there = app.blobs.contains(digest(&format!("sha256[{index}]"), &bytes)?).await;
        if !there.map_err(|error| Status::unavailable(error.to_string()))? {
            sha256.push(bytes);
        }
    }
    Ok(v1::MissingBlobsResponse { sha256 })
}

/// Takes a blob; one that is there already is read through and passed over.
pub(super) async fn put(
    app: &App,
    mut messages: Streaming<v1::PutBlobRequest>,
) -> Result<v1::PutBlobResponse, Status> {
    let Some(first) = messages.message().await? else {
        return Err(refusal::field("sha256", "is missing: the stream is empty"));
    };
    let mut upload = app.blobs.begin(digest("sha256", &first.sha256)?, first.size).await.map_err(refused)?;
    upload.write(first.chunk).await.map_err(refused)?;
    while let Some(next) = messages.message().await? {
        upload.write(next.chunk).await.map_err(refused)?;
    }
    upload.finish().await.map_err(refused)?;
    Ok(v1::PutBlobResponse {})
}

fn refused(error: PutError) -> Status {
    let text = error.to_string();
    match error {
        PutError::Digest { .. } => refusal::field("sha256", text),
        PutError::Size { .. } | PutError::TooLarge(_) => refusal::field("size", text),
        PutError::Full(_) => {
            tracing::error!(%error, "cannot store a blob");
            Status::resource_exhausted(text)
        }
        PutError::Store(_) => {
            tracing::error!(%error, "cannot store a blob");
            Status::unavailable(text)
        }
    }
}

fn digest(field: &str, bytes: &[u8]) -> Result<Digest, Status> {
    let bytes: [u8; 32] = bytes
        .try_into()
        .map_err(|_| refusal::field(field, format!("takes 32 bytes, has {}", bytes.len())))?;
    Ok(Digest(bytes))
}

//! Several ranges of a blob in one answer, `multipart/byteranges` (RFC 9110 §14.6): who has most of a blob asks for the rest
//! in one round trip.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use proto::Digest;

use super::{BlobError, Blobs};

/// The parts of one answer.
#[derive(Debug)]
pub(crate) struct Parts {
    digest: Digest,
    size: u64,
    ranges: Vec<Range<u64>>,
}

impl Parts {
    /// These parts of a blob of `size` bytes.
    pub(crate) fn new(digest: Digest, size: u64, ranges: Vec<Range<u64>>) -> Self {
        Self { digest, size, ranges }
    }

    /// No content holds its own digest, so it is a boundary.
    pub(crate) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.digest)
    }

    /// Bytes of the whole answer.
    pub(crate) fn length(&self) -> u64 {
        let parts = self.ranges.iter().map(|range| self.head(range).len() as u64 + range.end - range.start);
        parts.sum::<u64>() + self.end().len() as u64
    }

    fn head(&self, range: &Range<u64>) -> String {
        let (digest, size, last) = (self.digest, self.size, range.end - 1);
        let range = format!("Content-Range: bytes {}-{last}/{size}", range.start);
        format!("\r\n--{digest}\r\nContent-Type: application/octet-stream\r\n{range}\r\n\r\n")
    }

    fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.digest)
    }

    /// The bytes of the answer; each range is opened when its turn has come.
    pub(crate) fn stream(self, blobs: Blobs) -> BoxStream<'static, Result<Bytes, BlobError>> {
        let text = |text: String| stream::once(std::future::ready(Ok::<_, BlobError>(Bytes::from(text))));
        let end = text(self.end());
        let (digest, heads) = (self.digest, self.ranges.iter().map(|range| self.head(range)));
        let parts: Vec<_> = heads.zip(self.ranges.iter().cloned()).collect();
        let part = move |(head, range): (String, Range<u64>)| {
            let blobs = blobs.clone();
            async move {
                let content = blobs.read(digest, range).await?;
                Ok::<_, BlobError>(text(head).chain(content))
            }
        };
        stream::iter(parts).then(part).try_flatten().chain(end).boxed()
    }
}

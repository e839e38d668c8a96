//! Image bytes, on their way in.

use super::*;

#[tokio::test]
async fn blobs_come_in_whole_or_not_at_all() {
    let lab = lab().await;
    let bytes = vec![7u8; 100_000];
    let digest = Digest::of(&bytes);
    let missing = || v1::MissingBlobsRequest { sha256: vec![digest.0.to_vec().into()] };
    let put = |chunks: Vec<Vec<u8>>| {
        let mut messages: Vec<_> = chunks
            .into_iter()
            .map(|chunk| v1::PutBlobRequest { chunk: chunk.into(), ..v1::PutBlobRequest::default() })
            .collect();
        messages[0].sha256 = digest.0.to_vec().into();
        messages[0].size = 100_000;
        by("admin", tokio_stream::iter(messages))
    };
    let mut damaged = bytes.clone();
    damaged[5] = 8;
    let status = lab.client().put_blob(put(vec![damaged])).await.expect_err("other bytes");
    assert_eq!(fields(&status), ["sha256"]);
    let status = lab.client().put_blob(put(vec![bytes[..9].to_vec()])).await.expect_err("cut off");
    assert_eq!(fields(&status), ["size"]);
    let found = lab.client().missing_blobs(by("admin", missing())).await.expect("an answer").into_inner();
    assert_eq!(found.sha256.len(), 1);
    lab.client().put_blob(put(vec![bytes[..9].to_vec(), bytes[9..].to_vec()])).await.expect("whole");
    let found = lab.client().missing_blobs(by("admin", missing())).await.expect("an answer").into_inner();
    assert_eq!(found.sha256.len(), 0);
}

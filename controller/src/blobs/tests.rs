//! Blobs come in whole or not at all.

use super::*;

async fn put(blobs: &Blobs, digest: Digest, size: u64, chunks: &[&[u8]]) -> Result<(), PutError> {
    let mut upload = blobs.begin(digest, size).await?;
    for chunk in chunks {
        upload.write(Bytes::copy_from_slice(chunk)).await?;
    }
    upload.finish().await
}

fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("entry").path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn what_is_right_appears_and_what_is_wrong_leaves_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let blobs = Blobs::open(folder.path()).expect("opens");
    let digest = Digest::of(b"kernel");
    assert!(matches!(put(&blobs, digest, 6, &[b"kern", b"eX"]).await, Err(PutError::Digest { .. })));
    assert!(matches!(
        put(&blobs, digest, 6, &[b"ker"]).await,
        Err(PutError::Size { found: 3, more: false, .. })
    ));
    assert!(matches!(
        put(&blobs, digest, 5, &[b"kernel"]).await,
        Err(PutError::Size { found: 6, more: true, .. })
    ));
    assert!(!blobs.contains(digest).await.expect("readable"));
    assert_eq!(files(folder.path()), 0);

    put(&blobs, digest, 6, &[b"ker", b"nel"]).await.expect("right");
    put(&blobs, digest, 6, &[b"kernel"]).await.expect("again");
    assert_eq!(blobs.size(digest).await.expect("readable"), Some(6));
    assert_eq!(blobs.read_all(digest).await.expect("held"), "kernel");
    let middle: Vec<Bytes> =
        blobs.read(digest, 1..4).await.expect("held").try_collect().await.expect("readable");
    assert_eq!(middle.concat(), b"ern");
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let blobs = Blobs::open(folder.path()).expect("opens");
    put(&blobs, Digest::of(b""), 0, &[]).await.expect("right");
    assert_eq!(blobs.size(Digest::of(b"")).await.expect("readable"), Some(0));
}

#[tokio::test]
async fn an_upload_that_was_cut_off_leaves_nothing_after_a_restart() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let blobs = Blobs::open(folder.path()).expect("opens");
    let mut upload = blobs.begin(Digest::of(b"kernel"), 6).await.expect("begun");
    upload.write(Bytes::from_static(b"ker")).await.expect("taken");
    std::mem::forget(upload);
    assert_eq!(files(folder.path()), 1);
    let blobs = Blobs::open(folder.path()).expect("opens again");
    assert_eq!(files(folder.path()), 0);
    assert!(!blobs.contains(Digest::of(b"kernel")).await.expect("readable"));
}

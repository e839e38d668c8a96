//! Archives by a call.

use super::*;

#[tokio::test]
async fn a_short_passphrase_makes_no_backup() {
    let lab = lab().await;
    let request = v1::BackupRequest { passphrase: "short".into() };
    let status = lab.client().backup(by("admin", request)).await.expect_err("short");
    assert_eq!(fields(&status), ["passphrase"]);
}

#[tokio::test]
async fn the_backup_of_a_call_can_be_restored() {
    let lab = lab().await;
    let request = v1::BackupRequest { passphrase: "a long passphrase".into() };
    let mut stream = lab.client().backup(by("admin", request)).await.expect("an answer").into_inner();
    let mut archive = Vec::new();
    while let Some(chunk) = stream.message().await.expect("whole") {
        archive.extend(chunk.chunk);
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let state = folder.path().join("state");
    let passphrase = "a long passphrase".to_owned();
    let restored = crate::backup::restore(archive.as_slice(), passphrase, &state, NOW).await.expect("whole");
    assert_eq!(restored.about.fleet, "acme");
    assert_eq!(restored.blobs.len(), 2);
}

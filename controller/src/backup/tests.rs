//! Archives there and back, and every way in which they can be wrong.

use std::path::Path;

use certs::Authority;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::{
    catalog::{
        Catalog,
        tests::{Fleet, NOW, host},
    },
    store::{LocalStore, Store as _, Tuning},
    vault::Vault,
};

const PASSPHRASE: &str = "correct horse battery staple";

struct Lab {
    folder: tempfile::TempDir,
    archive: Vec<u8>,
    fleet: Fleet,
}

async fn lab() -> Lab {
    let folder = tempfile::tempdir().expect("temporary folder");
    let name = "acme".parse().expect("a name");
    let authority = Authority::open_or_create(&folder.path().join("ca"), &name, NOW.into()).expect("made");
    let key = folder.path().join("secrets.key");
    std::fs::write(&key, [7; 32]).expect("written");
    let fleet = Fleet::in_memory().furnished().await;
    fleet.apply(&[host("web-1", 1)]).await.expect("new");
    let secret = serde_json::json!({"kind":"Secret","name":"root","spec":{"value":"hunter2-secret"}});
    fleet.apply(&[secret]).await.expect("new");
    let snapshot = fleet.catalog.store().export().await.expect("read");
    let backup = Backup::new(&authority, snapshot, &key, PASSPHRASE.into(), NOW).expect("sealed");
    let mut archive = Vec::new();
    backup.write_to(&mut archive).expect("a vector takes all");
    Lab { folder, archive, fleet }
}

impl Lab {
    async fn restore(&self, archive: &[u8], passphrase: &str) -> Result<Restored, RestoreError> {
        restore(archive, passphrase.into(), &self.state(), NOW).await
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    /// That nothing was left behind.
    #[track_caller]
    fn assert_nothing(&self) {
        let names = |path: &Path| -> Vec<_> {
            std::fs::read_dir(path)
                .expect("there")
                .map(|entry| entry.expect("an entry").file_name())
                .collect()
        };
        let mut left = names(self.folder.path());
        left.sort();
        assert_eq!(left, ["ca", "secrets.key"]);
    }
}

#[tokio::test]
async fn what_is_restored_is_what_was_saved_in_a_new_epoch() {
    let lab = lab().await;
    let before = lab.fleet.everything().await;
    std::fs::create_dir(lab.state()).expect("an empty folder is fine");
    let restored = lab.restore(&lab.archive, PASSPHRASE).await.expect("whole");
    assert_eq!(restored.about.fleet, "acme");
    assert_eq!(restored.about.epoch, 1);
    assert_eq!(restored.epoch, NOW.0 / 1_000);
    assert_eq!(restored.blobs.len(), 2, "{:?}", restored.blobs);

    let store =
        std::sync::Arc::new(LocalStore::open(&lab.state().join("store"), Tuning::default()).expect("opens"));
    let page = store.scan(crate::store::Scan::prefix("/")).await.expect("read");
    let after: Vec<_> =
        page.entries.into_iter().map(|entry| (entry.key.to_string(), entry.version.value.to_vec())).collect();
    assert_eq!(after, before);
    let vault = Vault::open_or_create(&lab.state().join("secrets.key")).expect("private");
    let catalog = Catalog::new(store.clone());
    let secret = catalog.get::<proto::catalog::SecretSpec>("root").await.expect("read").expect("there");
    let sealed = secret.spec.sealed.expect("sealed");
    assert_eq!(vault.open("root", &sealed).expect("the same key").as_str(), "hunter2-secret");
    let fleet = "acme".parse().expect("a name");
    let open = |folder: &Path| Authority::open_or_create(folder, &fleet, NOW.into()).expect("whole");
    let (old, new) = (open(&lab.folder.path().join("ca")), open(&lab.state().join("authority")));
    assert_eq!(old.issuing_root(), new.issuing_root());

    // The next order's number is beyond all that the lost time can have given out.
    let admin = crate::catalog::tests::actor("admin", proto::catalog::Role::Admin, &[]);
    let new = crate::catalog::orders::NewOrder {
        host: "web-1".into(),
        profile: None,
        life: None,
        agent: None,
        wait: None,
    };
    let order = catalog.create_order(&admin, &new, NOW).await.expect("in order");
    assert!(order.spec.number > restored.epoch, "{}", order.spec.number);
    store.close().await;
}

#[tokio::test]
async fn every_truncation_is_refused() {
    let lab = lab().await;
    for length in 0..lab.archive.len() {
        let error = lab.restore(&lab.archive[..length], PASSPHRASE).await.expect_err("cut off");
        assert!(matches!(error, RestoreError::Truncated), "{length}: {error:?}");
    }
    lab.assert_nothing();
    let more = [lab.archive.as_slice(), b"x"].concat();
    assert!(matches!(lab.restore(&more, PASSPHRASE).await, Err(RestoreError::Trailing)));
    lab.assert_nothing();
}

#[tokio::test]
async fn every_flipped_bit_is_refused() {
    let lab = lab().await;
    for place in 0..lab.archive.len() {
        let mut damaged = lab.archive.clone();
        damaged[place] ^= 1 << (place % 8);
        lab.restore(&damaged, PASSPHRASE).await.expect_err("damaged");
    }
    lab.assert_nothing();
}

#[tokio::test]
async fn a_forged_digest_does_not_help() {
    let lab = lab().await;
    let end = lab.archive.len() - 32;
    // In the header, where nothing but the two digests is in the way.
    let place = lab.archive.windows(4).position(|bytes| bytes == b"acme").expect("the fleet's name");
    let mut forged = lab.archive.clone();
    forged[place] = b'b';
    let digest: [u8; 32] = Sha256::digest(&forged[..end]).into();
    forged[end..].copy_from_slice(&digest);
    let error = lab.restore(&forged, PASSPHRASE).await.expect_err("forged");
    assert!(matches!(error, RestoreError::Sealed(NotSealed::Passphrase)), "{error:?}");
    lab.assert_nothing();
}

#[tokio::test]
async fn a_wrong_passphrase_is_refused_and_nothing_is_shown() {
    let lab = lab().await;
    let error = lab.restore(&lab.archive, "another passphrase").await.expect_err("wrong");
    assert!(matches!(error, RestoreError::Sealed(NotSealed::Passphrase)), "{error:?}");
    let error = lab.restore(&lab.archive, "short").await.expect_err("too short");
    assert!(matches!(error, RestoreError::Passphrase(_)), "{error:?}");
    lab.assert_nothing();
    for secret in [b"hunter2-secret".as_slice(), &[7; 32], b"PRIVATE KEY"] {
        assert!(!lab.archive.windows(secret.len()).any(|bytes| bytes == secret));
    }
}

#[tokio::test]
async fn a_folder_that_holds_something_is_left_alone() {
    let lab = lab().await;
    std::fs::create_dir(lab.state()).expect("made");
    std::fs::write(lab.state().join("precious"), "yes").expect("written");
    let error = lab.restore(&lab.archive, PASSPHRASE).await.expect_err("not empty");
    assert!(matches!(error, RestoreError::NotEmpty(_)), "{error:?}");
    assert_eq!(std::fs::read_to_string(lab.state().join("precious")).expect("there"), "yes");
    assert_eq!(std::fs::read_dir(lab.state()).expect("there").count(), 1);
}

#[tokio::test]
async fn other_files_are_told_apart() {
    let lab = lab().await;
    let error = lab.restore(&[b'x'; 4096], PASSPHRASE).await.expect_err("no archive");
    assert!(matches!(error, RestoreError::NotABackup), "{error:?}");
    let mut newer = lab.archive.clone();
    newer[19] = 2;
    let error = lab.restore(&newer, PASSPHRASE).await.expect_err("a later format");
    assert!(matches!(error, RestoreError::Format { found: 2 }), "{error:?}");
}

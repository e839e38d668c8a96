//! Seals the values of secrets at rest: AES-256-GCM under a key of the controller's own folder (DESIGN §4).
//!
//! The secret's name is bound to its value, so that one value cannot be put in another's place.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
/// The first byte of a sealed value.
const VERSION: u8 = 1;

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<LessSafeKey>);

/// Why there is no key to seal with.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key's file.
    #[error("the key of secrets {} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the controller may read it.
    #[error("the key of secrets {} has mode {mode:04o}: others can reach it, run chmod 600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no key.
    #[error("the key of secrets {} is damaged: restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// A sealed value that does not open: of another key or another name, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open: it was sealed with another key or for another secret")]
pub struct Unopenable;

impl Vault {
    /// Reads the key from `path`, of mode 0600; makes it if it is absent.
    ///
    /// # Errors
    /// [`VaultError`]; a file that is there is never replaced.
    pub fn open_or_create(path: &Path) -> Result<Self, VaultError> {
        let key = match read(path) {
            Ok(key) => key,
            Err(VaultError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => make(path)?,
            Err(error) => return Err(error),
        };
        Self::from_key(&key).ok_or_else(|| VaultError::Damaged { path: path.to_owned() })
    }

    /// A vault with this key of 32 bytes; None for another length.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, key).ok().map(|key| Self(Arc::new(LessSafeKey::new(key))))
    }

    /// Seals the value of the secret `name`, in base64.
    ///
    /// # Errors
    /// [`VaultError::NoRandomness`].
    pub fn seal(&self, name: &str, value: &str) -> Result<String, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| VaultError::NoRandomness)?;
        let mut sealed = value.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut sealed)
            .expect("values are far below the cipher's limit of 64 GiB");
        Ok(STANDARD.encode([&[VERSION], nonce.as_slice(), &sealed].concat()))
    }

    /// The value of the secret `name`.
    ///
    /// # Errors
    /// [`Unopenable`].
    pub fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<String>, Unopenable> {
        let bytes = STANDARD.decode(sealed).map_err(|_| Unopenable)?;
        let (version, rest) = bytes.split_first().ok_or(Unopenable)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unopenable)?;
        if *version != VERSION {
            return Err(Unopenable);
        }
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let open = self.0.open_in_place(nonce, Aad::from(name), &mut sealed).map_err(|_| Unopenable)?;
        std::str::from_utf8(open).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| Unopenable)
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> VaultError {
    let path = path.to_owned();
    move |source| VaultError::Io { path, source }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let mode = fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(VaultError::Exposed { path: path.to_owned(), mode });
    }
    let key = Zeroizing::new(fs::read(path).map_err(at(path))?);
    if key.len() == KEY_BYTES { Ok(key) } else { Err(VaultError::Damaged { path: path.to_owned() }) }
}

/// Writes beside, syncs and renames, so that a power cut leaves a whole key or none.
fn make(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let mut key = Zeroizing::new(vec![0; KEY_BYTES]);
    SystemRandom::new().fill(&mut key).map_err(|_| VaultError::NoRandomness)?;
    let unfinished = path.with_extension("unfinished");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&unfinished)(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(at(&unfinished))?;
    file.write_all(&key).and_then(|()| file.sync_all()).map_err(at(&unfinished))?;
    fs::rename(&unfinished, path).map_err(at(path))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_name_open() {
        let vault = Vault::from_key(&[7; 32]).expect("32 bytes");
        let sealed = vault.seal("root-password", "hunter2").expect("random");
        assert!(!sealed.contains("hunter2"));
        assert_eq!(vault.open("root-password", &sealed).expect("ours").as_str(), "hunter2");
        assert_eq!(vault.open("other", &sealed), Err(Unopenable));
        let stranger = Vault::from_key(&[8; 32]).expect("32 bytes");
        assert_eq!(stranger.open("root-password", &sealed), Err(Unopenable));
        assert_eq!(vault.open("root-password", "AA"), Err(Unopenable));
        assert_ne!(vault.seal("root-password", "hunter2").expect("random"), sealed);
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("secrets.key");
        let sealed = Vault::open_or_create(&path).expect("made").seal("a", "b").expect("random");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(
            Vault::open_or_create(&path).expect("read").open("a", &sealed).expect("ours").as_str(),
            "b"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
        assert!(matches!(Vault::open_or_create(&path), Err(VaultError::Exposed { .. })));
    }
}

//! Backup and restore of a controller: one archive, complete or refused.
//!
//! ```text
//! "BOOTLANE-BACKUP\n"  format u32
//! 'h' length u64 JSON                    what it is of: [`About`]
//! 'a' length u64 sealed authority        see `certs`
//! ( 's' length u64 bytes )*              the store's snapshot, in pieces
//! 'k' length u64 sealed                  the key of secrets, and SHA-256 of all bytes before this section
//! SHA-256 of all bytes before it
//! ```
//!
//! Integers are big-endian. The digest at the end finds damage without a passphrase; the one under the seal finds
//! forgery. Secrets in the store stay sealed by the key of secrets, which is sealed by the passphrase.
//!
//! **Not in it**: image bytes (keep the folder of blobs by its own means, or import the images again;
//! [`Restored::blobs`] lists what is needed), boot history, and the configuration file.

mod archive;
mod restore;
mod seal;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use certs::{Authority, Passphrase, SealError};
use proto::Wall;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use restore::{NeededBlob, RestoreError, Restored, restore};
pub use seal::NotSealed;

use crate::store::Snapshot;

/// The file of the folder of state that holds the key of secrets.
pub(crate) const SECRETS_KEY: &str = "secrets.key";
/// The folder of the certificate authority there.
const AUTHORITY: &str = "authority";
/// The folder of the store there.
const STORE: &str = "store";

/// What an archive is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The fleet's name.
    pub fleet: String,
    /// The store's epoch.
    pub epoch: u64,
    /// The store's revision.
    pub revision: u64,
    /// When it was made.
    pub made_ms: Wall,
    /// The version of the controller that made it.
    pub version: String,
}

/// Everything that an archive is made of, sealed and ready to be written.
pub struct Backup {
    about: About,
    authority: Vec<u8>,
    store: Snapshot,
    key: Zeroizing<Vec<u8>>,
    passphrase: Zeroizing<String>,
}

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The passphrase, or the cipher.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key of secrets.
    #[error("the key of secrets cannot be read")]
    Key(#[source] io::Error),
}

impl Backup {
    /// Gathers a backup. Takes a second of computing: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`BackupError`]; a passphrase of fewer than 12 characters is refused.
    pub fn new(
        authority: &Authority,
        store: Snapshot,
        secrets_key: &std::path::Path,
        passphrase: String,
        now: Wall,
    ) -> Result<Self, BackupError> {
        let passphrase = Zeroizing::new(passphrase);
        let sealed = authority.seal(&Passphrase::new(passphrase.to_string())?)?;
        let key = std::fs::read(secrets_key).map(Zeroizing::new).map_err(BackupError::Key)?;
        let about = About {
            fleet: authority.fleet().to_string(),
            epoch: store.epoch().0,
            revision: store.revision().0,
            made_ms: now,
            version: proto::VERSION.to_owned(),
        };
        Ok(Self { about, authority: sealed, store, key, passphrase })
    }

    /// Writes the archive. Blocks.
    ///
    /// # Errors
    /// Those of `out`, or of the cipher; what was written is then no archive.
    pub fn write_to(&self, out: impl Write) -> io::Result<()> {
        let mut archive = archive::Writer::begin(out)?;
        archive.section(archive::ABOUT, &serde_json::to_vec(&self.about)?)?;
        archive.section(archive::AUTHORITY, &self.authority)?;
        self.store.write_to(archive.pieces())?;
        let mut plain = Zeroizing::new(Vec::with_capacity(self.key.len() + 64));
        plain.extend_from_slice(&archive.digest());
        plain.extend_from_slice(&self.key);
        let sealed = seal::seal(&plain, &self.passphrase).map_err(io::Error::other)?;
        archive.section(archive::KEY, &sealed)?;
        archive.end()
    }
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Backup").field("about", &self.about).finish_non_exhaustive()
    }
}

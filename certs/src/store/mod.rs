//! What an agent and an operator keep on disk: each one file, replaced as a whole.
//!
//! One file per party, so that key, chain and bundle always belong together whatever crashes between.

mod agent;
mod operator;

use std::path::{Path, PathBuf};

pub use agent::AgentIdentity;
pub use operator::OperatorCredential;

use crate::durable::FileError;
use crate::pem::PemError;
use crate::{BundleError, CredentialError, Identity, KeyError, WrongFleet};

/// Most bytes of such a file; with eight roots it has about 10 KiB.
const MAX_FILE: u64 = 128 * 1024;
const VERSION: u32 = 1;

/// Why what was kept cannot be used, or what is new cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// No TOML of the right shape; cut off, perhaps.
    #[error("{} is not a whole credential file", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<toml::de::Error>,
    },
    /// Written by a newer version.
    #[error("{} is of version {found}, this program reads version {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// One of its parts.
    #[error("{} cannot be used", path.display())]
    Part {
        /// The file.
        path: PathBuf,
        /// What is wrong with which part.
        source: PartError,
    },
}

/// What is wrong with a part of a credential file.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The key.
    #[error("key")]
    Key(#[from] KeyError),
    /// The chain.
    #[error("certificate chain")]
    Chain(#[from] PemError),
    /// Key and chain together.
    #[error("certificate chain")]
    Credential(#[from] CredentialError),
    /// The trust bundle.
    #[error("trust bundle")]
    Bundle(#[from] BundleError),
    /// The certificate is of another fleet than the file says.
    #[error(transparent)]
    Fleet(#[from] WrongFleet),
    /// The certificate is for another kind of party.
    #[error("`{found}` is no {expected}")]
    Kind {
        /// Whose certificate it is.
        found: Identity,
        /// What was needed.
        expected: &'static str,
    },
    /// No controller to talk to.
    #[error("it names no controller")]
    NoController,
}

impl StoreError {
    fn part(path: &Path, source: impl Into<PartError>) -> Self {
        Self::Part { path: path.to_owned(), source: source.into() }
    }

    /// Nothing is kept there yet.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::File(error) if error.is_not_found())
    }
}

/// Parses a file's text and checks its version.
fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, StoreError> {
    let toml_error = |mut error: toml::de::Error| {
        // The parser's error quotes the line it stopped at, which may be a line of a private key.
        error.set_input(None);
        StoreError::Toml { path: path.to_owned(), source: Box::new(error) }
    };
    let AnyVersion { version } = toml::from_str(text).map_err(toml_error)?;
    if version != VERSION {
        return Err(StoreError::Version { path: path.to_owned(), found: version });
    }
    toml::from_str(text).map_err(toml_error)
}

/// Read first, so that a newer file is told from a damaged one.
#[derive(serde::Deserialize)]
struct AnyVersion {
    version: u32,
}

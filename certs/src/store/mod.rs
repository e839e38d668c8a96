//! What an agent and an operator keep on disk: each one file, replaced as a whole.
//!
//! One file per party, so that key, chain and bundle always belong together whatever crashes between.

mod agent;
mod operator;

use std::path::{Path, PathBuf};

pub use agent::AgentIdentity;
pub use operator::OperatorCredential;

use crate::document::{self, DocumentError};
use crate::durable::FileError;
use crate::pem::PemError;
use crate::{BundleError, CredentialError, Identity, KeyError, WrongFleet};

/// Most bytes of such a file; with eight roots it has about 10 KiB.
const MAX_FILE: u64 = 128 * 1024;

/// Why what was kept cannot be used, or what is new cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its text.
    #[error("{} cannot be read", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DocumentError,
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

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, StoreError> {
    document::parse(text).map_err(|source| StoreError::Document { path: path.to_owned(), source })
}

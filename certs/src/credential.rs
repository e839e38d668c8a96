//! A key with the certificate chain that speaks for it: what a party shows at a handshake.

use std::fmt;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;

use crate::{KeyPair, LeafCertificate, LeafError};

/// Most certificates of a chain: leaf, intermediate, root, and one to spare for a cross-signed root.
const MAX_CHAIN: usize = 4;

/// Why key and chain do not make a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// No certificate, or too many.
    #[error("certificate chain has {0} certificates, expected 1 to {MAX_CHAIN}")]
    Length(usize),
    /// The first is no leaf of a fleet.
    #[error("first certificate of the chain is not usable")]
    Leaf(#[from] LeafError),
    /// The first is for another key.
    #[error("certificate of `{0}` is for another key")]
    OtherKey(String),
    /// rustls cannot use the key.
    #[error("private key is not usable for TLS")]
    Unusable,
}

/// A key and its chain, leaf first, that belong together. Cheap to clone.
#[derive(Clone)]
pub struct Credential {
    key: Arc<KeyPair>,
    chain: Vec<CertificateDer<'static>>,
    leaf: LeafCertificate,
}

impl Credential {
    /// Joins a key and a chain in DER form, leaf first. Neither dates nor issuers are judged.
    ///
    /// # Errors
    /// [`CredentialError`] if they do not belong together.
    pub fn new<D: AsRef<[u8]>>(
        key: Arc<KeyPair>,
        chain_der: impl IntoIterator<Item = D>,
    ) -> Result<Self, CredentialError> {
        let chain: Vec<_> =
            chain_der.into_iter().map(|der| CertificateDer::from(der.as_ref().to_vec())).collect();
        let Some(first) = chain.first().filter(|_| chain.len() <= MAX_CHAIN) else {
            return Err(CredentialError::Length(chain.len()));
        };
        let leaf = LeafCertificate::from_der(first)?;
        if leaf.fingerprint != key.fingerprint() {
            return Err(CredentialError::OtherKey(leaf.identity.to_string()));
        }
        Ok(Self { key, chain, leaf })
    }

    /// What the leaf certificate says.
    #[must_use]
    pub fn leaf(&self) -> &LeafCertificate {
        &self.leaf
    }

    /// The key, which a renewal keeps.
    #[must_use]
    pub fn key(&self) -> &Arc<KeyPair> {
        &self.key
    }

    /// The chain in DER form, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// What rustls shows, with `more` certificates after the chain.
    pub(crate) fn certified(
        &self,
        more: Option<&CertificateDer<'static>>,
    ) -> Result<Arc<CertifiedKey>, CredentialError> {
        let key = rustls::crypto::ring::sign::any_ecdsa_type(&self.key.to_rustls())
            .map_err(|_| CredentialError::Unusable)?;
        let chain = self.chain.iter().chain(more).cloned().collect();
        Ok(Arc::new(CertifiedKey::new(chain, key)))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

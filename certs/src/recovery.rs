//! Recovery: an agent that was cut off until its certificate ended shows that it still holds its key.
//!
//! It signs a fresh nonce of the server together with who it is and what it asks for, under a label of its
//! own, so that no signature made for anything else (a handshake, a request) passes for it, and no answer can
//! be carried over to another request. Whether the key is still welcome, and that a nonce is used once, are
//! the server's to check.

use std::fmt;

use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::fingerprint::sha256;
use crate::{Identity, KeyError, KeyPair, NoRandomness};

/// Parts this signature from every other use of the key.
const LABEL: &[u8] = b"bootlane recovery v1\0";

/// A number that the server gives out once: 32 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecoveryNonce([u8; 32]);

/// The bytes are no nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("recovery nonce has {0} bytes, expected 32")]
pub struct NonceError(usize);

impl RecoveryNonce {
    /// A fresh one.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate() -> Result<Self, NoRandomness> {
        crate::random().map(Self)
    }

    /// Its bytes, for the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for RecoveryNonce {
    type Error = NonceError;

    fn try_from(bytes: &[u8]) -> Result<Self, NonceError> {
        bytes.try_into().map(Self).map_err(|_| NonceError(bytes.len()))
    }
}

impl fmt::Debug for RecoveryNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::fingerprint::write_hex(f, &self.0)
    }
}

/// Why an answer to a nonce was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// What was remembered is no public key.
    #[error("remembered public key cannot be read")]
    RememberedKey,
    /// Signed by another key, or over something else.
    #[error("signature is not the remembered key's over this nonce and request")]
    Signature,
}

impl KeyPair {
    /// Answers a recovery nonce: a signature over it, `identity` and the certificate request to be granted.
    ///
    /// # Errors
    /// [`KeyError::Sign`] without randomness.
    pub fn sign_recovery(
        &self,
        nonce: &RecoveryNonce,
        identity: &Identity,
        request_der: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        self.sign(&message(nonce, identity, request_der))
    }
}

/// Verifies the answer to a nonce with the public key that was remembered at enrolment.
///
/// # Errors
/// [`RecoveryError`].
pub fn verify_recovery(
    remembered_spki_der: &[u8],
    nonce: &RecoveryNonce,
    identity: &Identity,
    request_der: &[u8],
    signature: &[u8],
) -> Result<(), RecoveryError> {
    let Ok(([], spki)) = SubjectPublicKeyInfo::from_der(remembered_spki_der) else {
        return Err(RecoveryError::RememberedKey);
    };
    let algorithm: &dyn VerificationAlgorithm =
        if spki.algorithm.algorithm == OID_SIG_ED25519 { &ED25519 } else { &ECDSA_P256_SHA256_ASN1 };
    UnparsedPublicKey::new(algorithm, &spki.subject_public_key.data)
        .verify(&message(nonce, identity, request_der), signature)
        .map_err(|_| RecoveryError::Signature)
}

/// `label · nonce (32) · SHA-256 of the request (32) · identity`: only the last part varies in length.
fn message(nonce: &RecoveryNonce, identity: &Identity, request_der: &[u8]) -> Vec<u8> {
    let identity = identity.to_string();
    [LABEL, &nonce.0, &sha256(request_der), identity.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_remembered_key_over_exactly_this_passes() {
        let key = KeyPair::generate().expect("made");
        let one: Identity = "spiffe://acme/site/lab/agent/one".parse().expect("legal");
        let two: Identity = "spiffe://acme/site/lab/agent/two".parse().expect("legal");
        let nonce = RecoveryNonce::generate().expect("random");
        let request = key.request(&one).expect("signed");
        let signature = key.sign_recovery(&nonce, &one, &request).expect("signed");
        let verify = |spki: &[u8], nonce, identity, request: &[u8], signature: &[u8]| {
            verify_recovery(spki, nonce, identity, request, signature)
        };
        let spki = key.spki_der();
        assert_eq!(verify(&spki, &nonce, &one, &request, &signature), Ok(()));
        let wrong = Err(RecoveryError::Signature);
        let other_key = KeyPair::generate().expect("made").spki_der();
        let other_nonce = RecoveryNonce::generate().expect("random");
        assert_eq!(verify(&other_key, &nonce, &one, &request, &signature), wrong);
        assert_eq!(verify(&spki, &other_nonce, &one, &request, &signature), wrong);
        assert_eq!(verify(&spki, &nonce, &two, &request, &signature), wrong);
        assert_eq!(verify(&spki, &nonce, &one, b"another request", &signature), wrong);
        assert_eq!(verify(&spki, &nonce, &one, &request, &signature[1..]), wrong);
        assert_eq!(verify(&spki[1..], &nonce, &one, &request, &signature), Err(RecoveryError::RememberedKey));
    }

    #[test]
    fn a_signature_without_the_label_is_refused() {
        let key = KeyPair::generate().expect("made");
        let identity: Identity = "spiffe://acme/site/lab/agent/one".parse().expect("legal");
        let nonce = RecoveryNonce::generate().expect("random");
        let unlabelled = &message(&nonce, &identity, b"request")[LABEL.len()..];
        let signature = key.sign(unlabelled).expect("signed");
        let verified = verify_recovery(&key.spki_der(), &nonce, &identity, b"request", &signature);
        assert_eq!(verified, Err(RecoveryError::Signature));
    }

    #[test]
    fn a_nonce_has_32_bytes() {
        let nonce = RecoveryNonce::generate().expect("random");
        assert_eq!(RecoveryNonce::try_from(nonce.as_bytes().as_slice()), Ok(nonce));
        assert_eq!(RecoveryNonce::try_from([0; 31].as_slice()), Err(NonceError(31)));
    }
}

//! A party's own key pair: ECDSA on P-256, kept as PKCS #8.
//!
//! P-256 because every library and hardware module signs with it. The private half is wiped when dropped and
//! never printed. Where the file lies is the caller's choice.

use std::fmt;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize as _, Zeroizing};

use crate::durable::{self, FileError};
use crate::{Identity, SpkiFingerprint, pem};

/// Most bytes of a key file; a P-256 key in PEM has about 240.
const MAX_KEY_FILE: u64 = 16 * 1024;

/// Why a key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Making the key failed, which happens only without random bytes.
    #[error("cannot make a key pair")]
    Generate(#[source] rcgen::Error),
    /// The bytes are no PKCS #8 key on P-256.
    #[error("not a P-256 private key in PKCS #8 form")]
    NotP256,
    /// The text holds no whole key.
    #[error(transparent)]
    Pem(#[from] pem::PemError),
    /// The key file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Signing the request failed.
    #[error("cannot sign the certificate request")]
    Request(#[source] rcgen::Error),
    /// Signing failed, which happens only without random bytes.
    #[error("cannot sign")]
    Sign(#[source] rcgen::Error),
}

/// A private key on P-256 with its public half.
pub struct KeyPair {
    inner: rcgen::KeyPair,
}

impl KeyPair {
    /// Makes a new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`KeyError::Generate`] without randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let inner = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyError::Generate)?;
        Ok(Self { inner })
    }

    /// Reads a PKCS #8 key.
    ///
    /// # Errors
    /// [`KeyError::NotP256`].
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let key = PrivatePkcs8KeyDer::from(pkcs8);
        let inner = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256);
        inner.map(|inner| Self { inner }).map_err(|_| KeyError::NotP256)
    }

    /// Reads a PKCS #8 key in PEM form.
    ///
    /// # Errors
    /// [`KeyError::Pem`] if it is cut off, [`KeyError::NotP256`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let key = pem::decode_key(text)?;
        let bytes = Zeroizing::new(key.secret_pkcs8_der().to_vec());
        Self::from_pkcs8(&bytes)
    }

    /// The private key in PEM form.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode_key(self.inner.serialized_der())
    }

    /// Reads a key file that only its owner can reach.
    ///
    /// # Errors
    /// Those of the file, and of [`Self::from_pem`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::from_pem(&durable::read_private(path, MAX_KEY_FILE)?)
    }

    /// Writes the key to a file of mode 0600, durable when this returns.
    ///
    /// # Errors
    /// Those of the file.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        Ok(durable::write_private(path, self.to_pem().as_bytes())?)
    }

    /// The public key as a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        self.inner.subject_public_key_info()
    }

    /// The fingerprint of the public key.
    #[must_use]
    pub fn fingerprint(&self) -> SpkiFingerprint {
        SpkiFingerprint::of_spki(&self.spki_der())
    }

    /// A certificate request (PKCS #10, DER) that asks for `identity` and proves possession of this key.
    ///
    /// # Errors
    /// [`KeyError::Request`] without randomness.
    pub fn request(&self, identity: &Identity) -> Result<Vec<u8>, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "bootlane");
        params.subject_alt_names = vec![uri_name(identity).map_err(KeyError::Request)?];
        let request = params.serialize_request(&self.inner).map_err(KeyError::Request)?;
        Ok(request.der().to_vec())
    }

    /// An ECDSA signature with SHA-256 in ASN.1 form.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        rcgen::SigningKey::sign(&self.inner, message).map_err(KeyError::Sign)
    }

    pub(crate) fn signer(&self) -> &rcgen::KeyPair {
        &self.inner
    }

    pub(crate) fn to_rustls(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.inner.serialize_der()).into()
    }
}

/// The name of an identity in a request or certificate.
pub(crate) fn uri_name(identity: &Identity) -> Result<rcgen::SanType, rcgen::Error> {
    Ok(rcgen::SanType::URI(identity.to_string().try_into()?))
}

impl Drop for KeyPair {
    fn drop(&mut self) {
        self.inner.zeroize();
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_survives_its_file_which_is_its_owner_s_alone() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("agent.key");
        let key = KeyPair::generate().expect("made");
        key.save(&path).expect("saved");
        let mode = std::fs::metadata(&path).expect("exists").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(KeyPair::load(&path).expect("loaded").fingerprint(), key.fingerprint());
    }

    #[test]
    fn a_cut_key_file_is_an_error_at_every_length() {
        let text = KeyPair::generate().expect("made").to_pem();
        for end in 0..text.len() - 2 {
            KeyPair::from_pem(&text[..end]).expect_err("cut");
        }
    }

    #[test]
    fn a_key_on_another_curve_is_refused() {
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("made");
        assert!(matches!(KeyPair::from_pkcs8(other.serialized_der()), Err(KeyError::NotP256)));
    }

    #[test]
    fn printing_a_key_shows_only_its_fingerprint() {
        let key = KeyPair::generate().expect("made");
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("KeyPair {{ fingerprint: {}, .. }}", key.fingerprint()));
    }
}

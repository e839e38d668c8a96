//! The roots that a fleet accepts: one in quiet times, two while the authority rolls over (S12).

use std::fmt;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use crate::{SpkiFingerprint, leaf, pem};

/// Most roots of a bundle. A fleet needs two; more would only make a mistake harder to see.
pub const MAX_ROOTS: usize = 8;

/// Why a bundle was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Without a root nothing could be verified.
    #[error("trust bundle is empty")]
    Empty,
    /// More than [`MAX_ROOTS`].
    #[error("trust bundle has {0} roots, more than {MAX_ROOTS}")]
    TooMany(usize),
    /// A part of it is no certificate of an authority.
    #[error("certificate {0} of the trust bundle is not that of an authority")]
    NotAnAuthority(usize),
    /// The text is not PEM.
    #[error(transparent)]
    Pem(#[from] pem::PemError),
}

/// One to eight root certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustBundle {
    roots: Vec<(SpkiFingerprint, CertificateDer<'static>)>,
}

impl TrustBundle {
    /// Takes root certificates in DER form; a repeated one counts once.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn from_der<D: AsRef<[u8]>>(roots: impl IntoIterator<Item = D>) -> Result<Self, BundleError> {
        let mut bundle = Self { roots: Vec::new() };
        for (index, root) in roots.into_iter().enumerate() {
            let root = root.as_ref();
            let fingerprint = authority_key(root).ok_or(BundleError::NotAnAuthority(index + 1))?;
            if !bundle.roots.iter().any(|(_, known)| known.as_ref() == root) {
                bundle.roots.push((fingerprint, CertificateDer::from(root.to_vec())));
            }
            if bundle.roots.len() > MAX_ROOTS {
                return Err(BundleError::TooMany(bundle.roots.len()));
            }
        }
        if bundle.roots.is_empty() { Err(BundleError::Empty) } else { Ok(bundle) }
    }

    /// Reads certificates in PEM form.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn from_pem(text: &str) -> Result<Self, BundleError> {
        Self::from_der(pem::decode_certificates(text)?)
    }

    /// The certificates in PEM form.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.roots.iter().map(|(_, root)| pem::encode_certificates(std::slice::from_ref(root))).collect()
    }

    /// The certificates in DER form, for the wire.
    pub fn ders(&self) -> impl Iterator<Item = &[u8]> {
        self.roots.iter().map(|(_, root)| root.as_ref())
    }

    /// The fingerprints of the roots' keys, in order. Equal lists are equal bundles to their users: an agent
    /// reports this list, and a root may be retired once every agent's list has the new one.
    pub fn fingerprints(&self) -> impl Iterator<Item = SpkiFingerprint> {
        self.roots.iter().map(|(fingerprint, _)| *fingerprint)
    }

    /// Whether a root with that key is in it.
    #[must_use]
    pub fn contains(&self, root: &SpkiFingerprint) -> bool {
        self.fingerprints().any(|fingerprint| fingerprint == *root)
    }

    pub(crate) fn anchors(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        // `from_der` took only what reads as an authority; what webpki still cannot use anchors nothing.
        store.add_parsable_certificates(self.roots.iter().map(|(_, root)| root.clone()));
        store
    }
}

fn authority_key(der: &[u8]) -> Option<SpkiFingerprint> {
    let certificate = leaf::parse(der)?;
    let is_authority = certificate.is_ca();
    is_authority.then(|| SpkiFingerprint::of_spki(certificate.public_key().raw))
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrustBundle").field(&self.fingerprints().collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().expect("made");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&key).expect("signed").der().to_vec()
    }

    #[test]
    fn a_bundle_round_trips_and_counts_a_root_once() {
        let (a, b) = (root("a"), root("b"));
        let bundle = TrustBundle::from_der([&a, &b, &a]).expect("two roots");
        assert_eq!(bundle.ders().collect::<Vec<_>>(), [a, b]);
        assert_eq!(TrustBundle::from_pem(&bundle.to_pem()), Ok(bundle.clone()));
        assert_eq!(bundle.anchors().len(), 2);
        assert!(bundle.fingerprints().all(|fingerprint| bundle.contains(&fingerprint)));
    }

    #[test]
    fn what_is_no_authority_is_refused_by_its_place() {
        let leaf = rcgen::generate_simple_self_signed(["example.org".to_owned()]).expect("made");
        let roots = [root("a"), leaf.cert.der().to_vec()];
        assert_eq!(TrustBundle::from_der(roots), Err(BundleError::NotAnAuthority(2)));
        assert_eq!(TrustBundle::from_der([[0_u8; 0]; 0]), Err(BundleError::Empty));
        let many: Vec<_> = (0..=MAX_ROOTS).map(|n| root(&n.to_string())).collect();
        assert_eq!(TrustBundle::from_der(many), Err(BundleError::TooMany(MAX_ROOTS + 1)));
    }
}

//! A certificate request (PKCS #10, RFC 2986) whose proof of possession holds.
//!
//! The authority takes only the public key from it: every name is overridden (S11). What the request asks
//! for is kept aside, so that a caller can refuse one that asks for more than it is entitled to, instead of
//! silently giving it something else.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519};
use x509_parser::prelude::{FromDer as _, ParsedExtension};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::leaf::spiffe_uris;
use crate::{AgentName, FleetName, Identity, IdentityError, SiteName, SpkiFingerprint};

/// Most bytes of a request that is looked at; ours have about 300.
pub const MAX_REQUEST_BYTES: usize = 8 * 1024;

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// More than [`MAX_REQUEST_BYTES`].
    #[error("certificate request is larger than {MAX_REQUEST_BYTES} bytes")]
    TooLarge,
    /// Not one whole PKCS #10 request in DER form.
    #[error("not a certificate request")]
    NotARequest,
    /// A key that is neither on P-256 nor Ed25519.
    #[error("certificate request has a public key that is neither ECDSA P-256 nor Ed25519")]
    KeyType,
    /// The signature was not made with the private half of the key.
    #[error("certificate request does not prove possession of its key")]
    Possession,
}

/// The request asks for something that the caller may not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntitlementError {
    /// No identity in it where one is needed.
    #[error("certificate request names no identity")]
    None,
    /// More than one.
    #[error("certificate request names {0} identities, expected one")]
    Several(usize),
    /// A name that is not an identity.
    #[error("certificate request names {uri:?}")]
    Malformed {
        /// What it says, at most 100 characters of it.
        uri: String,
        /// What is wrong with that.
        source: IdentityError,
    },
    /// Another fleet.
    #[error("certificate request asks for fleet `{asked}`, this is fleet `{entitled}`")]
    Fleet {
        /// What it asks for.
        asked: FleetName,
        /// What it may have.
        entitled: FleetName,
    },
    /// Another site.
    #[error("certificate request asks for site `{asked}`, the token is for site `{entitled}`")]
    Site {
        /// What it asks for.
        asked: SiteName,
        /// What it may have.
        entitled: SiteName,
    },
    /// Not an agent.
    #[error("certificate request asks for `{asked}`, the token is for an agent")]
    NotAnAgent {
        /// What it asks for.
        asked: Identity,
    },
    /// Not who asks.
    #[error("certificate request asks for `{asked}`, it comes from `{entitled}`")]
    Identity {
        /// What it asks for.
        asked: Identity,
        /// Who asks.
        entitled: Identity,
    },
}

/// A request whose signature was verified with the public key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    spki_der: Vec<u8>,
    asked: Vec<String>,
}

impl CertificateRequest {
    /// Reads a request in DER form and verifies its proof of possession.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLarge);
        }
        let ([], request) = X509CertificationRequest::from_der(der).map_err(|_| RequestError::NotARequest)?
        else {
            return Err(RequestError::NotARequest);
        };
        let spki = &request.certification_request_info.subject_pki;
        if !is_accepted(spki) {
            return Err(RequestError::KeyType);
        }
        request.verify_signature().map_err(|_| RequestError::Possession)?;
        Ok(Self { spki_der: spki.raw.to_vec(), asked: asked_names(&request) })
    }

    /// The public key, a DER SubjectPublicKeyInfo. To be remembered for recovery.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The fingerprint of the public key.
    #[must_use]
    pub fn fingerprint(&self) -> SpkiFingerprint {
        SpkiFingerprint::of_spki(&self.spki_der)
    }

    /// The identity that it asks for; nothing if there is none, several, or a malformed one.
    ///
    /// It was only asked for: nothing shows that the sender may have it.
    #[must_use]
    pub fn requested_identity(&self) -> Option<Identity> {
        self.only_identity().ok()
    }

    /// The agent that the holder of a token for `site` asks to be.
    ///
    /// # Errors
    /// [`EntitlementError`] unless the request asks for exactly one agent of that site.
    pub fn entitled_agent(&self, fleet: &FleetName, site: &SiteName) -> Result<AgentName, EntitlementError> {
        let asked = self.only_identity()?;
        if asked.fleet() != fleet {
            return Err(EntitlementError::Fleet { asked: asked.fleet().clone(), entitled: fleet.clone() });
        }
        match asked {
            Identity::Agent { site: asked, .. } if asked != *site => {
                Err(EntitlementError::Site { asked, entitled: site.clone() })
            }
            Identity::Agent { agent, .. } => Ok(agent),
            Identity::Operator { .. } | Identity::Controller { .. } => {
                Err(EntitlementError::NotAnAgent { asked })
            }
        }
    }

    /// Refuses a request for any other identity than that of the party that sent it (renewal, recovery).
    ///
    /// # Errors
    /// [`EntitlementError`] unless the request asks for `entitled` alone.
    pub fn check_identity(&self, entitled: &Identity) -> Result<(), EntitlementError> {
        let asked = self.only_identity()?;
        if asked == *entitled {
            return Ok(());
        }
        Err(EntitlementError::Identity { asked, entitled: entitled.clone() })
    }

    fn only_identity(&self) -> Result<Identity, EntitlementError> {
        match self.asked.as_slice() {
            [] => Err(EntitlementError::None),
            [uri] => uri.parse().map_err(|source| EntitlementError::Malformed {
                uri: uri.chars().take(100).collect(),
                source,
            }),
            several => Err(EntitlementError::Several(several.len())),
        }
    }
}

/// The two kinds of key that every part of the fleet can verify.
fn is_accepted(spki: &SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = &spki.algorithm;
    let key = &spki.subject_public_key.data;
    if algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        // RFC 5480 §2.2: an uncompressed point is 0x04 and two coordinates of 32 bytes.
        return curve == Some(OID_EC_P256) && key.len() == 65 && key.first() == Some(&4);
    }
    // RFC 8410 §4: a public key is 32 bytes, and there are no parameters.
    algorithm.algorithm == OID_SIG_ED25519 && algorithm.parameters.is_none() && key.len() == 32
}

fn asked_names(request: &X509CertificationRequest<'_>) -> Vec<String> {
    let Some(extensions) = request.requested_extensions() else { return Vec::new() };
    let mut asked = Vec::new();
    for extension in extensions {
        if let ParsedExtension::SubjectAlternativeName(names) = extension {
            asked.extend(spiffe_uris(&names.general_names).map(str::to_owned));
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyPair;
    use proptest::prelude::*;

    fn identity(uri: &str) -> Identity {
        uri.parse().expect("legal")
    }

    fn request_for(uri: &str) -> CertificateRequest {
        let der = KeyPair::generate().expect("made").request(&identity(uri)).expect("signed");
        CertificateRequest::from_der(&der).expect("valid")
    }

    #[test]
    fn a_request_tells_its_key_and_what_it_asks_for() {
        let key = KeyPair::generate().expect("made");
        let agent = identity("spiffe://acme/site/lab/agent/one");
        let request = CertificateRequest::from_der(&key.request(&agent).expect("signed")).expect("valid");
        assert_eq!(request.spki_der(), key.spki_der());
        assert_eq!(request.fingerprint(), key.fingerprint());
        assert_eq!(request.requested_identity(), Some(agent.clone()));
        assert_eq!(request.check_identity(&agent), Ok(()));
    }

    #[test]
    fn more_than_the_token_allows_is_refused_by_name() {
        let (fleet, site) = ("acme".parse().expect("legal"), "lab".parse().expect("legal"));
        let ask = |uri: &str| request_for(uri).entitled_agent(&fleet, &site);
        assert_eq!(ask("spiffe://acme/site/lab/agent/one"), Ok("one".parse().expect("legal")));
        let text = |uri: &str| ask(uri).expect_err("refused").to_string();
        assert_eq!(
            text("spiffe://acme/site/vault/agent/one"),
            "certificate request asks for site `vault`, the token is for site `lab`"
        );
        assert_eq!(
            text("spiffe://beta/site/lab/agent/one"),
            "certificate request asks for fleet `beta`, this is fleet `acme`"
        );
        assert_eq!(
            text("spiffe://acme/operator/root"),
            "certificate request asks for `spiffe://acme/operator/root`, the token is for an agent"
        );
    }

    #[test]
    fn a_request_for_someone_else_is_refused() {
        let request = request_for("spiffe://acme/site/lab/agent/one");
        let error = request.check_identity(&identity("spiffe://acme/site/lab/agent/two"));
        assert!(matches!(error, Err(EntitlementError::Identity { .. })), "{error:?}");
    }

    #[test]
    fn a_changed_request_does_not_prove_possession() {
        let der = KeyPair::generate()
            .expect("made")
            .request(&identity("spiffe://acme/operator/a"))
            .expect("signed");
        let name = der.windows(8).position(|w| w == b"operator").expect("the name is in it");
        let mut changed = der.clone();
        changed[name] = b'p';
        assert_eq!(CertificateRequest::from_der(&changed), Err(RequestError::Possession));
        // What follows the signed part is the algorithm (RFC 5758 §3.2) and the signature, and says nothing.
        let algorithm = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
        let signed = der.windows(12).position(|w| w == algorithm).expect("ECDSA with SHA-256");
        let accepted = (0..signed).filter(|at| {
            let mut changed = der.clone();
            changed[*at] ^= 1;
            CertificateRequest::from_der(&changed).is_ok()
        });
        assert_eq!(accepted.collect::<Vec<_>>(), [], "every signed byte counts");
        for end in 0..der.len() {
            assert_eq!(
                CertificateRequest::from_der(&der[..end]),
                Err(RequestError::NotARequest),
                "cut at {end}"
            );
        }
    }

    #[test]
    fn only_p256_and_ed25519_keys_are_accepted() {
        let request = |algorithm| {
            let key = rcgen::KeyPair::generate_for(algorithm).expect("made");
            let request = rcgen::CertificateParams::default().serialize_request(&key).expect("signed");
            CertificateRequest::from_der(request.der()).map(|request| request.requested_identity())
        };
        assert_eq!(request(&rcgen::PKCS_ED25519), Ok(None));
        assert_eq!(request(&rcgen::PKCS_ECDSA_P256_SHA256), Ok(None));
        assert_eq!(request(&rcgen::PKCS_ECDSA_P384_SHA384), Err(RequestError::KeyType));
    }

    #[test]
    fn an_oversized_request_is_not_looked_at() {
        assert_eq!(CertificateRequest::from_der(&[0x30; MAX_REQUEST_BYTES + 1]), Err(RequestError::TooLarge));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = CertificateRequest::from_der(&bytes);
        }
    }
}

//! The fleet's own public key infrastructure: who is who, and how both ends of a connection prove it.
//!
//! Used by the controller, the edge agent and the CLI (DESIGN §5, SECURITY S10 to S12, S16, S17). A fleet has
//! one [`Authority`] (root and intermediate), every party one [`Identity`] written as a SPIFFE URI in its
//! certificate, and one [`TrustBundle`] of accepted roots. An agent turns a [`JoinToken`] and a
//! [`CertificateRequest`] into a [`Credential`]; [`tls`] makes rustls configurations from credentials and
//! bundles that can be replaced while connections are open.
//!
//! Time is passed in wherever a certificate is issued or judged; only rustls reads a clock, and only the one
//! it is given. Who may do what, which serials are revoked, and when to call are left to the callers.

mod authority;
mod bundle;
mod credential;
mod document;
mod durable;
mod fingerprint;
mod identity;
mod keys;
mod leaf;
mod pem;
mod recovery;
mod renewal;
mod request;
mod store;
pub mod tls;
mod token;

pub use authority::{
    Authority, IssueError, Issued, MAX_AGENT_LIFETIME, MAX_OPERATOR_LIFETIME, MAX_SERVER_LIFETIME, MakeError,
    OpenError, Passphrase, RollError, SealError, StateError, UnsealError,
};
pub use bundle::{BundleError, MAX_ROOTS, TrustBundle};
pub use credential::{Credential, CredentialError};
pub use document::DocumentError;
pub use durable::FileError;
pub use fingerprint::{FingerprintError, SpkiFingerprint};
pub use identity::{
    AgentName, ControllerName, FleetName, Identity, IdentityError, NameError, OperatorName, SiteName,
    WrongFleet,
};
pub use keys::{KeyError, KeyPair};
pub use leaf::{LeafCertificate, LeafError, Serial, SerialError};
pub use pem::PemError;
pub use recovery::{NonceError, RecoveryError, RecoveryNonce, verify_recovery};
pub use renewal::renew_at;
pub use request::{CertificateRequest, EntitlementError, MAX_REQUEST_BYTES, RequestError};
pub use store::{AgentIdentity, OperatorCredential, PartError, StoreError};
pub use token::{JoinToken, TokenError, TokenHash, TokenId, TokenIdError, TokenSecret, TokenSecretError};

/// The operating system gave no random bytes, so no key, serial or token can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// `N` random bytes of the operating system.
fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

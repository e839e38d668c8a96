//! Judging a peer: its chain, then who it is.
//!
//! Only TLS 1.3 is spoken, so the TLS 1.2 half of rustls' traits always refuses.

use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arc_swap::ArcSwap;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DistinguishedName, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{PeerError, TlsError, provider};
use crate::{FleetName, Identity, LeafCertificate, SpkiFingerprint, TrustBundle, WrongFleet, leaf};

/// Most certificates of a peer that are looked at, leaf included.
const MAX_CHAIN: usize = 8;

/// Whom a client trusts to be its controller.
#[derive(Debug)]
pub(super) enum Trust {
    /// Any root of the bundle, which may be replaced.
    Bundle(ArcSwap<RootCertStore>),
    /// First contact: the root with this key, which the controller shows.
    Pin(SpkiFingerprint),
}

/// Which of a controller's two listeners is called (DESIGN §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listener {
    /// Shows its root, for callers that know nothing of the fleet but a token.
    Enrol,
    /// Shows none.
    Fleet,
}

/// The half of rustls' verifier traits that is the same for every peer: TLS 1.3 signatures, by the `algorithms` of a field.
macro_rules! tls13_only {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &rustls_pki_types::CertificateDer<'_>,
            _signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Err(rustls::PeerIncompatible::Tls12NotOffered.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &rustls_pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}
pub(super) use tls13_only;

/// Accepts controllers of one fleet, at one of their listeners.
pub(super) struct ControllerVerifier {
    fleet: FleetName,
    listener: Listener,
    trust: Arc<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ControllerVerifier {
    pub(super) fn new(fleet: FleetName, listener: Listener, trust: Arc<Trust>) -> Self {
        Self { fleet, listener, trust, algorithms: provider().signature_verification_algorithms }
    }

    fn roots(&self, shown: &[CertificateDer<'_>]) -> Result<Arc<RootCertStore>, PeerError> {
        match &*self.trust {
            Trust::Bundle(roots) => Ok(roots.load_full()),
            Trust::Pin(pin) => pinned_root(shown, pin).ok_or(PeerError::Pin { pin: *pin }),
        }
    }

    fn verify_chain(
        &self,
        certificate: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
        controller: &LeafCertificate,
    ) -> Result<(), Error> {
        let roots = self.roots(above)?;
        let parsed = ParsedCertificate::try_from(certificate)?;
        let now = not_before_birth(now, controller, above);
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, above, now, self.algorithms.all)
            .map_err(|error| explain(error, controller))
    }

    fn check_fleet(&self, controller: &LeafCertificate) -> Result<(), PeerError> {
        match (&*self.trust, controller.check_fleet(&self.fleet)) {
            (_, Ok(())) => Ok(()),
            (Trust::Bundle(_), Err(wrong)) => Err(wrong.into()),
            (Trust::Pin(_), Err(WrongFleet { identity, expected })) => {
                Err(PeerError::TokenFleet { found: identity, expected })
            }
        }
    }
}

impl Trust {
    /// Accepts the roots of another bundle from now on. What a token names stays.
    pub(super) fn set_bundle(&self, bundle: &TrustBundle) {
        match self {
            Self::Bundle(roots) => roots.store(Arc::new(bundle.anchors())),
            Self::Pin(_) => {}
        }
    }
}

impl ServerCertVerifier for ControllerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check_length(intermediates)?;
        let controller = LeafCertificate::from_der(end_entity).map_err(PeerError::from)?;
        // Fleet and role first: of two reasons to refuse, they are the ones that help. What the certificate
        // says is not verified yet, which does not matter for a refusal.
        self.check_fleet(&controller)?;
        check_controller(&controller.identity)?;
        check_listener(self.listener, intermediates, &controller.identity)?;
        self.verify_chain(end_entity, intermediates, now, &controller)?;
        Ok(ServerCertVerified::assertion())
    }

    tls13_only!();
}

impl fmt::Debug for ControllerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerVerifier").field("fleet", &self.fleet).finish_non_exhaustive()
    }
}

/// The shown certificate with the pinned key, as the one root of a store.
///
/// Whoever can sign with that key is the fleet's authority, so it does not matter what else the certificate
/// says: a forged one with the same key anchors only chains that the real key has signed.
fn pinned_root(shown: &[CertificateDer<'_>], pin: &SpkiFingerprint) -> Option<Arc<RootCertStore>> {
    let has_pinned_key = |der: &&CertificateDer<'_>| {
        leaf::parse(der).is_some_and(|root| SpkiFingerprint::of_spki(root.public_key().raw) == *pin)
    };
    let root = shown.iter().find(has_pinned_key)?;
    let mut roots = RootCertStore::empty();
    roots.add(root.clone().into_owned()).ok()?;
    Some(Arc::new(roots))
}

/// A client's clock that is behind must not cut it off: contact is how it learns the time (DESIGN §5 "Time").
///
/// So a certificate "from the future" counts as new. That gives nothing away: a chain signed by the fleet's
/// authority was made before it could be shown, so the true time is no earlier than its start. Ends are
/// judged as ever.
fn not_before_birth(now: UnixTime, leaf: &LeafCertificate, above: &[CertificateDer<'_>]) -> UnixTime {
    let above = above.iter().filter_map(|der| leaf::system_time(leaf::parse(der)?.validity().not_before));
    let youngest = above.fold(leaf.not_before, std::cmp::max);
    let birth = youngest.duration_since(UNIX_EPOCH).unwrap_or_default();
    now.max(UnixTime::since_unix_epoch(birth))
}

/// Accepts agents and operators of one fleet.
pub(super) struct MemberVerifier {
    fleet: FleetName,
    chain: ArcSwap<Arc<dyn ClientCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl MemberVerifier {
    pub(super) fn new(fleet: FleetName, bundle: &TrustBundle) -> Result<Self, TlsError> {
        Self::of_roots(fleet, Arc::new(bundle.anchors()))
    }

    pub(super) fn of_roots(fleet: FleetName, roots: Arc<RootCertStore>) -> Result<Self, TlsError> {
        let chain = ArcSwap::from_pointee(client_chain_verifier(roots)?);
        Ok(Self { fleet, chain, algorithms: provider().signature_verification_algorithms })
    }

    pub(super) fn set_bundle(&self, bundle: &TrustBundle) -> Result<(), TlsError> {
        self.chain.store(Arc::new(client_chain_verifier(Arc::new(bundle.anchors()))?));
        Ok(())
    }
}

fn client_chain_verifier(roots: Arc<RootCertStore>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(roots, provider()).build().map_err(|_| TlsError::Roots)
}

impl ClientCertVerifier for MemberVerifier {
    /// Empty: the roots may be replaced at any time, and a client of ours has one certificate anyway.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        check_length(intermediates)?;
        let member = LeafCertificate::from_der(end_entity).map_err(PeerError::from)?;
        member.check_fleet(&self.fleet).map_err(PeerError::from)?;
        check_member(&member.identity)?;
        self.chain
            .load()
            .verify_client_cert(end_entity, intermediates, now)
            .map_err(|error| explain(error, &member))
    }

    tls13_only!();
}

impl fmt::Debug for MemberVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberVerifier").field("fleet", &self.fleet).finish_non_exhaustive()
    }
}

fn check_controller(identity: &Identity) -> Result<(), PeerError> {
    match identity {
        Identity::Controller { .. } => Ok(()),
        Identity::Agent { .. } | Identity::Operator { .. } => {
            Err(PeerError::Role { found: identity.clone(), expected: "a controller" })
        }
    }
}

/// The two listeners of a controller are easily taken for each other, and then nothing else about the chain is of help.
fn check_listener(
    called: Listener,
    above: &[CertificateDer<'_>],
    controller: &Identity,
) -> Result<(), PeerError> {
    let is_root = |der: &CertificateDer<'_>| leaf::parse(der).is_some_and(|ca| ca.issuer() == ca.subject());
    match (called, above.iter().any(is_root)) {
        (Listener::Enrol, true) | (Listener::Fleet, false) => Ok(()),
        (Listener::Enrol, false) => Err(PeerError::NotEnrol(controller.clone())),
        (Listener::Fleet, true) => Err(PeerError::NotFleet(controller.clone())),
    }
}

fn check_member(identity: &Identity) -> Result<(), PeerError> {
    match identity {
        Identity::Agent { .. } | Identity::Operator { .. } => Ok(()),
        Identity::Controller { .. } => {
            Err(PeerError::Role { found: identity.clone(), expected: "an agent or operator" })
        }
    }
}

fn check_length(above: &[CertificateDer<'_>]) -> Result<(), Error> {
    if above.len() < MAX_CHAIN { Ok(()) } else { Err(CertificateError::BadEncoding.into()) }
}

/// Says who was refused where rustls only says that something was. `peer` has passed the check of its fleet.
fn explain(error: Error, peer: &LeafCertificate) -> Error {
    let Error::InvalidCertificate(reason) = &error else { return error };
    let identity = peer.identity.clone();
    if matches!(reason, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
        return PeerError::Expired(identity).into();
    }
    if matches!(reason, CertificateError::UnknownIssuer | CertificateError::BadSignature) {
        return PeerError::UnknownAuthority { identity }.into();
    }
    error
}

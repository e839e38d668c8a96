//! TLS between the agents of one site: each shows its own certificate, to callers and to those it calls.
//!
//! Both ends are judged alike: a chain to a root of the fleet, an agent, of this fleet and this site. An agent's
//! certificate names no use as a server, so both chains are verified as a client's; who it is stands in its SPIFFE
//! identity, and an address means nothing. An agent knows of no revocation: a revoked one is shut out by the end of its
//! certificate, a day at most.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DistinguishedName, Error};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::verify::{MemberVerifier, Trust, tls13_only};
use super::{PeerError, TlsError, provider};
use crate::{FleetName, Identity, LeafCertificate, SiteName};

/// Accepts agents of one site, as servers and as clients.
pub(super) struct SiteVerifier {
    fleet: FleetName,
    site: SiteName,
    trust: Arc<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl SiteVerifier {
    pub(super) fn new(fleet: FleetName, site: SiteName, trust: Arc<Trust>) -> Self {
        Self { fleet, site, trust, algorithms: provider().signature_verification_algorithms }
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let peer = LeafCertificate::from_der(end_entity).map_err(PeerError::from)?;
        peer.check_fleet(&self.fleet).map_err(PeerError::from)?;
        self.check_site(&peer.identity)?;
        // For this handshake, since the roots may be replaced at any time.
        let members = self.members().map_err(|_| Error::General("no root can be used".into()))?;
        members.verify_client_cert(end_entity, intermediates, now)
    }

    fn check_site(&self, identity: &Identity) -> Result<(), PeerError> {
        let is_ours = match identity {
            Identity::Agent { site, .. } => *site == self.site,
            Identity::Controller { .. } | Identity::Operator { .. } => false,
        };
        let role = || PeerError::Role { found: identity.clone(), expected: "an agent of this site" };
        is_ours.then_some(()).ok_or_else(role)
    }

    fn members(&self) -> Result<MemberVerifier, TlsError> {
        match &*self.trust {
            Trust::Bundle(roots) => MemberVerifier::of_roots(self.fleet.clone(), roots.load_full()),
            // Only first contact has a pin, and it is with a controller.
            Trust::Pin(_) => Err(TlsError::Roots),
        }
    }
}

impl ServerCertVerifier for SiteVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, now).map(|_| ServerCertVerified::assertion())
    }

    tls13_only!();
}

impl ClientCertVerifier for SiteVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(end_entity, intermediates, now)
    }

    tls13_only!();
}

impl fmt::Debug for SiteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteVerifier").field("site", &self.site).finish_non_exhaustive()
    }
}

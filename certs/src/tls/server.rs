//! The controller's two listeners (DESIGN §5): *enrol* shows who it is, *fleet* also asks who calls.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WantsServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ConfigBuilder, WantsVerifier};
use rustls_pki_types::CertificateDer;

use super::verify::MemberVerifier;
use super::{Alpn, TimeProvider, TlsError, alpn_names, provider};
use crate::{Credential, FleetName, TrustBundle};

/// TLS of a controller, with certificate and bundle that can be replaced under open connections.
///
/// A replacement holds from the next handshake on; open connections go on undisturbed. Cutting off those of a
/// revoked party is the caller's work.
#[derive(Debug)]
pub struct ReloadableServer {
    fleet_chain: Arc<Shown>,
    enrol_chain: Arc<Shown>,
    members: Arc<MemberVerifier>,
    fleet_config: Arc<ServerConfig>,
    enrol_config: Arc<ServerConfig>,
    page_config: Arc<ServerConfig>,
}

impl ReloadableServer {
    /// Makes both configurations from the controller's credential, the root above it in DER form, and the
    /// roots that clients may hang on.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(
        fleet: FleetName,
        credential: &Credential,
        root_der: &[u8],
        bundle: &TrustBundle,
        time: Arc<dyn TimeProvider>,
    ) -> Result<Self, TlsError> {
        let (with_root, plain) = certified(credential, root_der)?;
        let fleet_chain = Arc::new(Shown(ArcSwap::new(plain)));
        let enrol_chain = Arc::new(Shown(ArcSwap::new(with_root)));
        let members = Arc::new(MemberVerifier::new(fleet, bundle)?);
        let asks = tls13(Arc::clone(&time))?.with_client_cert_verifier(Arc::clone(&members) as _);
        let fleet_config = config(asks, &fleet_chain, &[Alpn::Http2, Alpn::Http1]);
        let enrol_config =
            config(tls13(Arc::clone(&time))?.with_no_client_auth(), &enrol_chain, &[Alpn::Http2]);
        let page_config = page(time, &fleet_chain)?;
        Ok(Self { fleet_chain, enrol_chain, members, fleet_config, enrol_config, page_config })
    }

    /// The fleet listener: a client certificate of an agent or operator is required at the handshake.
    #[must_use]
    pub fn fleet_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.fleet_config)
    }

    /// The enrol listener: no client certificate is asked for, and the chain shown ends in the root, which a
    /// new agent compares with its token.
    #[must_use]
    pub fn enrol_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.enrol_config)
    }

    /// For browsers, which have no certificate and trust the fleet's root only where somebody has told them to.
    #[must_use]
    pub fn page_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.page_config)
    }

    /// Shows this certificate from the next handshake on.
    ///
    /// # Errors
    /// [`TlsError::Credential`]; the old certificate is shown on then.
    pub fn set_credential(&self, credential: &Credential, root_der: &[u8]) -> Result<(), TlsError> {
        let (with_root, plain) = certified(credential, root_der)?;
        self.fleet_chain.0.store(plain);
        self.enrol_chain.0.store(with_root);
        Ok(())
    }

    /// Accepts clients of these roots from the next handshake on.
    ///
    /// # Errors
    /// [`TlsError::Roots`]; the old ones are accepted on then.
    pub fn set_bundle(&self, bundle: &TrustBundle) -> Result<(), TlsError> {
        self.members.set_bundle(bundle)
    }
}

/// The chain with the root, and without.
fn certified(
    credential: &Credential,
    root: &[u8],
) -> Result<(Arc<CertifiedKey>, Arc<CertifiedKey>), TlsError> {
    let root = CertificateDer::from(root.to_vec());
    Ok((credential.certified(Some(&root))?, credential.certified(None)?))
}

/// What browsers are spoken to with, whoever's certificate it is.
pub(super) fn page(
    time: Arc<dyn TimeProvider>,
    chain: &Arc<impl ResolvesServerCert + 'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    Ok(config(tls13(time)?.with_no_client_auth(), chain, &[Alpn::Http2, Alpn::Http1]))
}

pub(super) fn tls13(
    time: Arc<dyn TimeProvider>,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_details(provider(), time).with_protocol_versions(&[&rustls::version::TLS13])
}

pub(super) fn config(
    builder: ConfigBuilder<ServerConfig, WantsServerCert>,
    chain: &Arc<impl ResolvesServerCert + 'static>,
    protocols: &[Alpn],
) -> Arc<ServerConfig> {
    let mut config = builder.with_cert_resolver(Arc::clone(chain) as _);
    config.alpn_protocols = alpn_names(protocols);
    // No resumption: every connection shows its certificate anew (S12).
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// The certificate that is shown now, whatever name the client asks for.
pub(super) struct Shown(pub(super) ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

//! TLS of agents and of the CLI towards a controller, and of agents towards each other.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption, WantsClientCert};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ConfigBuilder, ServerConfig, SignatureScheme};

use super::peers::SiteVerifier;
use super::verify::{ControllerVerifier, Listener, Trust};
use super::{Alpn, TimeProvider, TlsError, alpn_names, provider, server};
use crate::{Credential, FleetName, JoinToken, SiteName, TrustBundle};

/// The configuration for first contact: nothing is known of the fleet but what the join token says.
///
/// The controller must show a chain that ends in the root whose key has the token's fingerprint, and be a
/// controller of the token's fleet. Speaks gRPC only.
///
/// # Errors
/// [`TlsError::Rustls`].
pub fn first_contact(token: &JoinToken, time: Arc<dyn TimeProvider>) -> Result<Arc<ClientConfig>, TlsError> {
    let trust = Arc::new(Trust::Pin(token.root));
    let verifier = Arc::new(ControllerVerifier::new(token.fleet.clone(), Listener::Enrol, trust));
    Ok(finish(tls13(verifier, time)?.with_no_client_auth(), &[Alpn::Http2]))
}

/// TLS of a member of a fleet, with certificate and bundle that can be replaced under open connections.
///
/// A replacement holds from the next handshake on, in every configuration that was made from this.
#[derive(Debug)]
pub struct ReloadableClient {
    shown: Arc<Shown>,
    fleet: FleetName,
    trust: Arc<Trust>,
    time: Arc<dyn TimeProvider>,
}

impl ReloadableClient {
    /// Shows this credential to controllers of `fleet` that a root of the bundle vouches for.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(
        fleet: FleetName,
        credential: &Credential,
        bundle: &TrustBundle,
        time: Arc<dyn TimeProvider>,
    ) -> Result<Self, TlsError> {
        let shown = Arc::new(Shown(ArcSwapOption::new(Some(credential.certified(None)?))));
        let trust = Arc::new(Trust::Bundle(ArcSwap::from_pointee(bundle.anchors())));
        Ok(Self { shown, fleet, trust, time })
    }

    /// For the fleet listener, which requires our certificate. gRPC wants [`Alpn::Http2`]; for bytes of images
    /// [`Alpn::Http1`] is faster.
    ///
    /// # Errors
    /// [`TlsError::Rustls`].
    pub fn fleet_config(&self, protocols: &[Alpn]) -> Result<Arc<ClientConfig>, TlsError> {
        let builder = tls13(self.controllers(Listener::Fleet), Arc::clone(&self.time))?;
        Ok(finish(builder.with_client_cert_resolver(Arc::clone(&self.shown) as _), protocols))
    }

    /// For the enrol listener, where an agent recovers whose certificate has ended: shows none.
    ///
    /// # Errors
    /// [`TlsError::Rustls`].
    pub fn enrol_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let builder = tls13(self.controllers(Listener::Enrol), Arc::clone(&self.time))?;
        Ok(finish(builder.with_no_client_auth(), &[Alpn::Http2]))
    }

    /// For calling another agent of `site`, which must be ours: it accepts nobody else.
    ///
    /// # Errors
    /// [`TlsError::Rustls`].
    pub fn peer_config(&self, site: &SiteName) -> Result<Arc<ClientConfig>, TlsError> {
        let builder = tls13(self.agents_of(site), Arc::clone(&self.time))?;
        Ok(finish(builder.with_client_cert_resolver(Arc::clone(&self.shown) as _), &[Alpn::Http1]))
    }

    /// For being called by other agents of `site`, which is ours: a certificate of one is required at the handshake.
    ///
    /// # Errors
    /// [`TlsError::Rustls`].
    pub fn peer_listener(&self, site: &SiteName) -> Result<Arc<ServerConfig>, TlsError> {
        let asks = server::tls13(Arc::clone(&self.time))?.with_client_cert_verifier(self.agents_of(site));
        Ok(server::config(asks, &self.shown, &[Alpn::Http1]))
    }

    /// Shows this certificate from the next handshake on.
    ///
    /// # Errors
    /// [`TlsError::Credential`]; the old certificate is shown on then.
    pub fn set_credential(&self, credential: &Credential) -> Result<(), TlsError> {
        self.shown.0.store(Some(credential.certified(None)?));
        Ok(())
    }

    /// Accepts controllers of these roots from the next handshake on.
    pub fn set_bundle(&self, bundle: &TrustBundle) {
        self.trust.set_bundle(bundle);
    }

    fn controllers(&self, listener: Listener) -> Arc<ControllerVerifier> {
        Arc::new(ControllerVerifier::new(self.fleet.clone(), listener, Arc::clone(&self.trust)))
    }

    fn agents_of(&self, site: &SiteName) -> Arc<SiteVerifier> {
        Arc::new(SiteVerifier::new(self.fleet.clone(), site.clone(), Arc::clone(&self.trust)))
    }
}

fn tls13(
    verifier: Arc<impl ServerCertVerifier + 'static>,
    time: Arc<dyn TimeProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let builder = ClientConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        // "Dangerous" because it is not webpki's own: it judges the chain with webpki, and the SPIFFE
        // identity in place of the host's name.
        .dangerous()
        .with_custom_certificate_verifier(verifier as Arc<dyn ServerCertVerifier>);
    Ok(builder)
}

fn finish(mut config: ClientConfig, protocols: &[Alpn]) -> Arc<ClientConfig> {
    config.alpn_protocols = alpn_names(protocols);
    config.resumption = Resumption::disabled();
    // The name of the host means nothing to a controller; there is no need to tell it to the network.
    config.enable_sni = false;
    Arc::new(config)
}

/// The certificate that is shown now.
struct Shown(ArcSwapOption<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

//! TLS towards servers that are not of the fleet: object stores and package mirrors.
//!
//! They are judged as a browser judges them, by the operating system's roots and the host's name, and see no certificate
//! of ours. What they give is verified by its digest or its signature, wherever it comes from; TLS keeps it private.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};

use super::{Alpn, TlsError, alpn_names, provider};

/// A configuration for HTTP/1.1 with servers outside the fleet. Reads the operating system's roots, which blocks.
///
/// # Errors
/// [`TlsError::SystemRoots`] if the system has none that can be used.
pub fn outside() -> Result<Arc<ClientConfig>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(TlsError::SystemRoots);
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        // 1.2 as well: there are object stores that speak nothing newer.
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn_names(&[Alpn::Http1]);
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

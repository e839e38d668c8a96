//! rustls configurations whose certificates and roots can be replaced while connections are open.
//!
//! TLS 1.3 only, ring only. Names of hosts mean nothing here: a peer is judged by its chain and its SPIFFE
//! identity. Nothing is resumed and no ticket is given out, so every connection passes the full check, and a
//! party whose certificate ended or was revoked cannot slip in on an old session (S12).

mod accept;
mod client;
mod failure;
mod files;
mod outside;
mod peers;
mod server;
mod verify;

use std::sync::Arc;

pub use accept::{Accepted, HandshakeLimits, TlsListener};
pub use client::{ReloadableClient, first_contact};
pub use failure::{PeerError, peer_error};
pub use files::{FileError, FileServer};
pub use outside::outside;
use rustls::crypto::CryptoProvider;
pub use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
pub use server::ReloadableServer;

use crate::CredentialError;

/// What is spoken above TLS (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// `h2`: gRPC.
    Http2,
    /// `http/1.1`: bytes of images.
    Http1,
}

impl Alpn {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static [u8] {
        match self {
            Self::Http2 => b"h2",
            Self::Http1 => b"http/1.1",
        }
    }
}

fn alpn_names(protocols: &[Alpn]) -> Vec<Vec<u8>> {
    protocols.iter().map(|protocol| protocol.name().to_vec()).collect()
}

/// Why no configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Key or chain.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// rustls refused.
    #[error("cannot configure TLS")]
    Rustls(#[from] rustls::Error),
    /// The bundle holds nothing that rustls can use.
    #[error("no root of the trust bundle can be used")]
    Roots,
    /// The operating system has no roots, which servers outside the fleet are judged by.
    #[error("the system has no root certificates: install the package ca-certificates")]
    SystemRoots,
}

/// Makes ring the process's provider, for the libraries that ask for the default. First thing in `main`.
///
/// Calling it again changes nothing.
pub fn install_provider() {
    // It fails only if one is installed already; there is no other provider in the build (deny.toml).
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

//! What was wrong with a peer, in words that name the remedy, and how to find it in an error's chain.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};

use crate::{FleetName, Identity, LeafError, SpkiFingerprint, WrongFleet};

/// Why a peer was refused at the handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It is of another fleet. What it says of itself is not verified, which does not matter for a refusal.
    #[error(transparent)]
    Fleet(#[from] WrongFleet),
    /// It says that it is of our fleet, but no root that we accept vouches for it.
    #[error(
        "`{identity}` says it is of our fleet, but no root in our trust bundle vouches for it: the fleet's \
         authority was replaced, or this is an impostor"
    )]
    UnknownAuthority {
        /// Who it claims to be.
        identity: Identity,
    },
    /// It is of our fleet, but not what was expected here.
    #[error("`{found}` answered where {expected} was expected")]
    Role {
        /// Who it is.
        found: Identity,
        /// What was expected.
        expected: &'static str,
    },
    /// The fleet listener answered where the enrol listener was called.
    #[error(
        "the address is of `{0}`'s fleet listener: the enrol listener has another port (7444 by default)"
    )]
    NotEnrol(Identity),
    /// The enrol listener answered where the fleet listener was called.
    #[error(
        "the address is of `{0}`'s enrol listener: the fleet listener has another port (7443 by default)"
    )]
    NotFleet(Identity),
    /// Its certificate has ended.
    #[error("certificate of `{0}` has expired")]
    Expired(Identity),
    /// Its certificate does not name a party.
    #[error("certificate of the peer is not usable")]
    Leaf(#[from] LeafError),
    /// First contact: no certificate that it showed has the key that the join token names.
    #[error(
        "the controller did not show the root {pin} that the join token names: the token is of another fleet, \
         or its root was rolled over since, or this is an impostor"
    )]
    Pin {
        /// The fingerprint in the token.
        pin: SpkiFingerprint,
    },
    /// First contact with a controller of another fleet than the token's.
    #[error("the join token is of fleet `{expected}`, the controller of `{}`", found.fleet())]
    TokenFleet {
        /// Who answered.
        found: Identity,
        /// The token's fleet.
        expected: FleetName,
    },
}

impl From<PeerError> for rustls::Error {
    fn from(error: PeerError) -> Self {
        CertificateError::Other(OtherError(Arc::new(Legible(error)))).into()
    }
}

/// rustls prints what it holds with `Debug`; this makes that a sentence, for whoever only prints the error.
#[derive(thiserror::Error)]
#[error("{0}")]
struct Legible(#[source] PeerError);

impl fmt::Debug for Legible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Finds the [`PeerError`] that an error of a connection came from.
///
/// Needed because `std::io::Error` and `rustls::Error` do not show what they hold as their `source`.
#[must_use]
pub fn peer_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a PeerError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<PeerError>() {
            return Some(found);
        }
        next = held(error).or_else(|| error.source());
    }
    None
}

/// What was wrong with a handshake, for a log: rustls ends some of its sentences with the address of its manual, which is for who
/// writes programs.
pub(super) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(": https://") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// What the two kinds of error hold that do not name it as their source.
fn held<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.get_ref().map(|held| held as &(dyn StdError + 'static));
    }
    let error = error.downcast_ref::<rustls::Error>()?;
    if let rustls::Error::InvalidCertificate(CertificateError::Other(held)) = error {
        Some(held)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to connect")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_log_names_no_manual_for_programmers() {
        let cut = io::Error::other(
            "peer closed connection without sending TLS close_notify: https://docs.rs/rustls#eof",
        );
        assert_eq!(in_words(&cut), "peer closed connection without sending TLS close_notify");
        assert_eq!(in_words(&io::Error::other("no: not at all")), "no: not at all");
    }

    #[test]
    fn the_reason_is_found_below_other_errors() {
        let reason = PeerError::Expired("spiffe://acme/operator/a".parse().expect("legal"));
        let tls = rustls::Error::from(reason.clone());
        let outer = Outer(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert_eq!(peer_error(&outer), Some(&reason));
        assert_eq!(peer_error(&io::Error::from(io::ErrorKind::TimedOut)), None);
        assert_eq!(peer_error(&rustls::Error::HandshakeNotComplete), None);
    }
}

//! What a leaf certificate says: identity, serial, validity, key.
//!
//! Reading is not verifying: the chain is judged by [`crate::tls`] (or was, at the handshake); this only takes
//! the facts out of the DER.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::prelude::{ASN1Time, FromDer as _, GeneralName, X509Certificate};

use crate::fingerprint::{decode_hex, write_hex};
use crate::{FleetName, Identity, IdentityError, SpkiFingerprint, WrongFleet};

/// Most bytes of a certificate that is looked at; ours have about 700.
const MAX_CERTIFICATE: usize = 16 * 1024;

/// The serial number of a certificate of ours: 16 bytes, of which 126 bits are random.
///
/// The first bit is 0 and the second 1, so the number is positive and never shorter (RFC 5280 §4.1.2.2).
/// Written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial([u8; 16]);

/// The text or number is no serial of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("serial number is not one that a fleet's authority gives out (16 bytes)")]
pub struct SerialError;

impl Serial {
    pub(crate) fn generate() -> Result<Self, crate::NoRandomness> {
        let mut bytes: [u8; 16] = crate::random()?;
        bytes[0] = bytes[0] & 0x3f | 0x40;
        Ok(Self(bytes))
    }

    /// The number, big-endian.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn from_der(bytes: &[u8]) -> Result<Self, SerialError> {
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| SerialError)?;
        if bytes[0] & 0xc0 == 0x40 { Ok(Self(bytes)) } else { Err(SerialError) }
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        let bytes: [u8; 16] = decode_hex(text).ok_or(SerialError)?;
        Self::from_der(&bytes)
    }
}

impl TryFrom<String> for Serial {
    type Error = SerialError;

    fn try_from(text: String) -> Result<Self, SerialError> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a certificate is not a leaf of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Not one whole X.509 certificate in DER form.
    #[error("not a certificate")]
    NotACertificate,
    /// It has no name of a party (RFC 5280 §4.2.1.6), or more than one.
    #[error("certificate names {0} SPIFFE identities, expected one")]
    Names(usize),
    /// The name is not one of ours.
    #[error("certificate names {uri:?}")]
    Identity {
        /// What it says.
        uri: String,
        /// What is wrong with that.
        source: IdentityError,
    },
    /// The serial is not of our shape.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// A date before 1970 or beyond what the clock can hold.
    #[error("certificate has a date out of range")]
    Date,
}

/// The facts of one leaf certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafCertificate {
    /// Who it is for.
    pub identity: Identity,
    /// Its number, by which it is revoked.
    pub serial: Serial,
    /// Start of its life, whole seconds.
    pub not_before: SystemTime,
    /// End of its life, whole seconds.
    pub not_after: SystemTime,
    /// The fingerprint of its public key.
    pub fingerprint: SpkiFingerprint,
}

impl LeafCertificate {
    /// Reads a certificate in DER form. Nothing is verified.
    ///
    /// # Errors
    /// [`LeafError`] for anything that is no leaf of a fleet.
    pub fn from_der(der: &[u8]) -> Result<Self, LeafError> {
        let certificate = parse(der).ok_or(LeafError::NotACertificate)?;
        let validity = certificate.validity();
        Ok(Self {
            identity: identity_of(&certificate)?,
            serial: Serial::from_der(certificate.raw_serial())?,
            not_before: system_time(validity.not_before).ok_or(LeafError::Date)?,
            not_after: system_time(validity.not_after).ok_or(LeafError::Date)?,
            fingerprint: SpkiFingerprint::of_spki(certificate.public_key().raw),
        })
    }

    /// Refuses a certificate of any fleet but `expected`.
    ///
    /// # Errors
    /// [`WrongFleet`], which names both.
    pub fn check_fleet(&self, expected: &FleetName) -> Result<(), WrongFleet> {
        self.identity.check_fleet(expected)
    }
}

/// One whole certificate of sensible size and nothing after it.
pub(crate) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    if der.len() > MAX_CERTIFICATE {
        return None;
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        Ok(_) | Err(_) => None,
    }
}

pub(crate) fn system_time(time: ASN1Time) -> Option<SystemTime> {
    let seconds = u64::try_from(time.timestamp()).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn identity_of(certificate: &X509Certificate<'_>) -> Result<Identity, LeafError> {
    let names = certificate.subject_alternative_name().map_err(|_| LeafError::NotACertificate)?;
    let uris: Vec<&str> = match &names {
        Some(extension) => spiffe_uris(&extension.value.general_names).collect(),
        None => Vec::new(),
    };
    match uris.as_slice() {
        [uri] => {
            uri.parse().map_err(|source| LeafError::Identity { uri: uri.chars().take(100).collect(), source })
        }
        uris => Err(LeafError::Names(uris.len())),
    }
}

/// The URI names; of ours there is one (SPIFFE X.509-SVID §2).
pub(crate) fn spiffe_uris<'a>(names: &'a [GeneralName<'a>]) -> impl Iterator<Item = &'a str> {
    names.iter().filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = LeafCertificate::from_der(&bytes);
        }
    }

    #[test]
    fn a_serial_round_trips_and_keeps_its_shape() {
        for _ in 0..1000 {
            let serial = Serial::generate().expect("random");
            assert_eq!(serial.to_string().parse(), Ok(serial));
        }
        assert_eq!("00".repeat(16).parse::<Serial>(), Err(SerialError), "would be shorter in DER");
        assert_eq!("ff".repeat(16).parse::<Serial>(), Err(SerialError), "would be negative in DER");
    }

    #[test]
    fn a_certificate_without_identity_is_refused() {
        let plain = rcgen::generate_simple_self_signed(["example.org".to_owned()]).expect("made");
        assert_eq!(LeafCertificate::from_der(plain.cert.der()), Err(LeafError::Names(0)));
    }
}

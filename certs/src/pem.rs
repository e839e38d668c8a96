//! PEM text (RFC 7468) for certificates and keys, so that files can be looked at with any other tool.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

/// Characters of base64 in a line (RFC 7468 §2).
const LINE: usize = 64;

/// The text is not PEM of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// No section of that kind, or one that is cut off or not base64.
    #[error("no complete {0} in PEM form")]
    Missing(&'static str),
}

/// Certificates, one section after the other.
pub(crate) fn encode_certificates(chain: &[CertificateDer<'_>]) -> String {
    chain.iter().map(|certificate| encode("CERTIFICATE", certificate)).collect()
}

/// A PKCS #8 key.
pub(crate) fn encode_key(pkcs8: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(encode("PRIVATE KEY", pkcs8))
}

/// All certificates of a text; at least one.
pub(crate) fn decode_certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let missing = PemError::Missing("certificate");
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let chain = chain.map_err(|_| missing)?;
    if chain.is_empty() { Err(missing) } else { Ok(chain) }
}

/// The one PKCS #8 key of a text.
pub(crate) fn decode_key(text: &str) -> Result<PrivatePkcs8KeyDer<'static>, PemError> {
    PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| PemError::Missing("private key"))
}

fn encode(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(der));
    // Room for everything at once: growing would leave copies of a key behind in freed memory.
    let mut text = String::with_capacity(body.len() + body.len() / LINE + 2 * label.len() + 40);
    text.extend(["-----BEGIN ", label, "-----\n"]);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.extend([line, "\n"]);
        rest = after;
    }
    text.extend(["-----END ", label, "-----\n"]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_for_every_length() {
        for length in 1..200_u8 {
            let der = CertificateDer::from(vec![length; usize::from(length)]);
            let chain = vec![der.clone(), der];
            assert_eq!(decode_certificates(&encode_certificates(&chain)), Ok(chain));
        }
    }

    #[test]
    fn cut_text_is_refused() {
        let text = encode_certificates(&[CertificateDer::from(vec![7; 100])]);
        for end in 0..text.len() - 2 {
            assert!(decode_certificates(&text[..end]).is_err(), "cut at {end}");
        }
        assert_eq!(
            decode_key(&text).expect_err("a certificate").to_string(),
            "no complete private key in PEM form"
        );
    }
}

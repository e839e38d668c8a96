//! Join tokens: what an operator copies to a new agent (S11).
//!
//! One string carries what first contact needs: which fleet and site, the fingerprint of the root that the
//! controller must show, and a secret. A checksum tells a mistyped token from a wrong one before anything is
//! sent. The controller keeps only the hash of the secret; uses and expiry are its business.
//!
//! ```text
//! "bootlane-join-" base64url( version 1 | length 2 | id 8 | secret 32 | root 32
//!                             | 1+n fleet | 1+n site | CRC-32C 4 )       big-endian, length of it all
//! ```

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::fingerprint::{decode_hex, sha256, write_hex};
use crate::{FleetName, NameError, NoRandomness, SiteName, SpkiFingerprint};

const PREFIX: &str = "bootlane-join-";
const VERSION: u8 = 1;
/// Longest text that is looked at: the longest legal token has 295 characters.
const MAX_TEXT: usize = 1024;
const CHECKSUM: usize = 4;

/// Loose about the last character's spare bits, because [`JoinToken::parse`] must tell a token that was cut
/// from one that was mistyped; it then compares with the one right spelling.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Why a text is no join token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin as one.
    #[error("not a join token: it does not begin with {PREFIX:?}")]
    NotAToken,
    /// The end is missing.
    #[error("join token is cut off, copy the whole of it")]
    Truncated,
    /// There is more than the token.
    #[error("join token has more characters than it should")]
    TooLong,
    /// A character that no token has.
    #[error("join token has an impossible character at place {0}")]
    Character(usize),
    /// The checksum does not hold.
    #[error("join token is mistyped: its checksum does not hold")]
    Mistyped,
    /// Made by a newer version.
    #[error("join token is of version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// The checksum holds but a name in it is not legal.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Which token it is; not secret. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId([u8; 8]);

/// The text is no token id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("token id is not 16 hexadecimal digits")]
pub struct TokenIdError;

impl FromStr for TokenId {
    type Err = TokenIdError;

    fn from_str(text: &str) -> Result<Self, TokenIdError> {
        decode_hex(text).map(Self).ok_or(TokenIdError)
    }
}

impl TryFrom<String> for TokenId {
    type Error = TokenIdError;

    fn try_from(text: String) -> Result<Self, TokenIdError> {
        text.parse()
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The secret of a token: 256 random bits, wiped when dropped, never printed.
#[derive(Clone)]
pub struct TokenSecret(Zeroizing<[u8; 32]>);

/// The bytes are no secret of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("token secret has {0} bytes, expected 32")]
pub struct TokenSecretError(usize);

impl TokenSecret {
    fn generate() -> Result<Self, NoRandomness> {
        crate::random().map(Zeroizing::new).map(Self)
    }

    /// The bytes, for the call to the controller and nothing else.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the controller keeps. A plain hash is enough for 256 random bits.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(sha256(self.0.as_slice()))
    }
}

impl TryFrom<&[u8]> for TokenSecret {
    type Error = TokenSecretError;

    fn try_from(bytes: &[u8]) -> Result<Self, TokenSecretError> {
        bytes.try_into().map(Zeroizing::new).map(Self).map_err(|_| TokenSecretError(bytes.len()))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

/// SHA-256 of a token's secret; written as 64 hexadecimal digits. There is no `==`: see [`Self::matches`].
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TokenHash(#[serde(with = "hash_text")] [u8; 32]);

impl TokenHash {
    /// A hash that was stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash, for storage.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this is the hash of `secret`, in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, secret: &TokenSecret) -> bool {
        let differing = self.0.iter().zip(secret.hash().0).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}

mod hash_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::SpkiFingerprint;

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&SpkiFingerprint::from_bytes(*hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        crate::fingerprint::decode_hex(&text)
            .ok_or_else(|| D::Error::custom("hash is not 64 hexadecimal digits"))
    }
}

/// All that a new agent needs to join its fleet.
#[derive(Debug, Clone)]
pub struct JoinToken {
    /// Which token it is.
    pub id: TokenId,
    /// Shows that the holder was given it.
    pub secret: TokenSecret,
    /// The fleet to join.
    pub fleet: FleetName,
    /// The site it is for.
    pub site: SiteName,
    /// The fingerprint of the root that the controller must show at first contact.
    pub root: SpkiFingerprint,
}

impl JoinToken {
    /// Makes a new token.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate(fleet: FleetName, site: SiteName, root: SpkiFingerprint) -> Result<Self, NoRandomness> {
        Ok(Self { id: TokenId(crate::random()?), secret: TokenSecret::generate()?, fleet, site, root })
    }

    /// The one string to copy. Whoever has it can join: it is shown once, to the operator who asked.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let payload = self.payload();
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        text.push_str(PREFIX);
        BASE64.encode_string(payload.as_slice(), &mut text);
        text
    }

    fn payload(&self) -> Zeroizing<Vec<u8>> {
        let (fleet, site) = (self.fleet.as_str(), self.site.as_str());
        let length = 3 + 8 + 32 + 32 + 1 + fleet.len() + 1 + site.len() + CHECKSUM;
        let mut payload = Zeroizing::new(Vec::with_capacity(length));
        payload.push(VERSION);
        payload.extend((length as u16).to_be_bytes());
        payload.extend(self.id.0);
        payload.extend(self.secret.expose());
        payload.extend(self.root.as_bytes());
        for name in [fleet, site] {
            // Names have at most 63 bytes.
            payload.push(name.len() as u8);
            payload.extend(name.as_bytes());
        }
        let checksum = crc32c::crc32c(&payload);
        payload.extend(checksum.to_be_bytes());
        payload
    }

    /// Reads a token; blanks and line breaks that copying brought in are passed over.
    ///
    /// # Errors
    /// [`TokenError`], which tells cut off, mistyped and foreign texts apart.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() > MAX_TEXT {
            return Err(TokenError::TooLong);
        }
        let mut dense = Zeroizing::new(String::with_capacity(text.len()));
        dense.extend(text.chars().filter(|c| !c.is_ascii_whitespace()));
        let body = match dense.strip_prefix(PREFIX) {
            Some(body) => body,
            None if !dense.is_empty() && PREFIX.starts_with(dense.as_str()) => {
                return Err(TokenError::Truncated);
            }
            None => return Err(TokenError::NotAToken),
        };
        let payload = decode(body)?;
        check_whole(&payload)?;
        // A last character with stray bits decodes to the same bytes, and yet is not what was printed.
        if Zeroizing::new(BASE64.encode(payload.as_slice())).as_str() != body {
            return Err(TokenError::Mistyped);
        }
        Self::from_payload(&payload)
    }

    fn from_payload(payload: &[u8]) -> Result<Self, TokenError> {
        let mut rest = payload.get(3..payload.len() - CHECKSUM).ok_or(TokenError::Truncated)?;
        let token = Self {
            id: TokenId(take(&mut rest)?),
            secret: TokenSecret(Zeroizing::new(take(&mut rest)?)),
            root: SpkiFingerprint::from_bytes(take(&mut rest)?),
            fleet: take_name(&mut rest)?.try_into()?,
            site: take_name(&mut rest)?.try_into()?,
        };
        if rest.is_empty() { Ok(token) } else { Err(TokenError::TooLong) }
    }
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        Self::parse(text)
    }
}

fn decode(body: &str) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    use base64::DecodeError;
    let mut payload = Zeroizing::new(Vec::with_capacity(body.len()));
    match BASE64.decode_vec(body, &mut payload) {
        Ok(()) => Ok(payload),
        Err(DecodeError::InvalidByte(at, _)) => Err(TokenError::Character(PREFIX.len() + at + 1)),
        Err(
            DecodeError::InvalidLength(_) | DecodeError::InvalidLastSymbol(..) | DecodeError::InvalidPadding,
        ) => Err(TokenError::Truncated),
    }
}

/// Length, checksum and version, in the order that gives the most useful answer.
fn check_whole(payload: &[u8]) -> Result<(), TokenError> {
    let [version, high, low, ..] = payload else { return Err(TokenError::Truncated) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if payload.len() < length {
        return Err(TokenError::Truncated);
    }
    if payload.len() > length {
        return Err(TokenError::TooLong);
    }
    let (covered, checksum) = payload.split_last_chunk::<CHECKSUM>().ok_or(TokenError::Truncated)?;
    if crc32c::crc32c(covered) != u32::from_be_bytes(*checksum) {
        return Err(TokenError::Mistyped);
    }
    if *version == VERSION { Ok(()) } else { Err(TokenError::Version(*version)) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TokenError> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(TokenError::Truncated)?;
    *rest = after;
    Ok(*taken)
}

fn take_name(rest: &mut &[u8]) -> Result<String, TokenError> {
    let [length] = take(rest)?;
    let (name, after) = rest.split_at_checked(usize::from(length)).ok_or(TokenError::Truncated)?;
    *rest = after;
    Ok(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(fleet: &str, site: &str) -> JoinToken {
        let root = SpkiFingerprint::of_spki(b"root");
        JoinToken::generate(fleet.parse().expect("legal"), site.parse().expect("legal"), root)
            .expect("random")
    }

    fn label() -> impl Strategy<Value = String> {
        "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    }

    proptest! {
        #[test]
        fn a_token_survives_being_copied(fleet in label(), site in label()) {
            let token = token(&fleet, &site);
            let text = token.reveal();
            prop_assert!(text.len() <= 295);
            let broken = format!("  {}\r\n {}\n", &text[..40], &text[40..]);
            let read = JoinToken::parse(&broken).expect("the same token");
            prop_assert_eq!(read.id, token.id);
            prop_assert_eq!(read.fleet.as_str(), fleet);
            prop_assert_eq!(read.site.as_str(), site);
            prop_assert_eq!(read.root, token.root);
            prop_assert!(token.secret.hash().matches(&read.secret));
        }

        #[test]
        fn no_text_panics(text in ".{0,400}") {
            let _ = JoinToken::parse(&text);
            let _ = JoinToken::parse(&format!("{PREFIX}{text}"));
        }

        #[test]
        fn no_payload_panics(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut whole = payload.clone();
            whole.splice(0..whole.len().min(3), [VERSION]);
            let length = (whole.len() + 2 + CHECKSUM) as u16;
            whole.splice(1..1, length.to_be_bytes());
            whole.extend(crc32c::crc32c(&whole).to_be_bytes());
            let _ = JoinToken::parse(&format!("{PREFIX}{}", BASE64.encode(&whole)));
        }
    }

    #[test]
    fn every_single_mistyped_character_is_refused() {
        // Names of three lengths, so that the last character holds 6, 4 and 2 bits of the token.
        for site in ["a", "ab", "abc"] {
            let text = token("acme", site).reveal();
            for (at, right) in text.char_indices() {
                for wrong in (b' '..=b'~').map(char::from).filter(|wrong| *wrong != right) {
                    let mistyped = format!("{}{wrong}{}", &text[..at], &text[at + 1..]);
                    JoinToken::parse(&mistyped).expect_err(&format!("{wrong:?} at {at}"));
                }
            }
        }
    }

    #[test]
    fn every_swap_of_neighbours_is_refused() {
        let text = token("acme", "lab").reveal();
        for at in 0..text.len() - 1 {
            let mut swapped = text.as_bytes().to_vec();
            swapped.swap(at, at + 1);
            if swapped != text.as_bytes() {
                JoinToken::parse(std::str::from_utf8(&swapped).expect("ASCII")).expect_err("swapped");
            }
        }
    }

    #[test]
    fn a_cut_token_is_told_from_a_mistyped_one() {
        let text = token("acme", "lab").reveal();
        for end in 1..text.len() {
            assert_eq!(
                JoinToken::parse(&text[..end]).expect_err("cut"),
                TokenError::Truncated,
                "cut at {end}"
            );
        }
        let middle = if &text[60..61] == "A" { "B" } else { "A" };
        let mistyped = format!("{}{middle}{}", &text[..60], &text[61..]);
        assert_eq!(JoinToken::parse(&mistyped).expect_err("mistyped"), TokenError::Mistyped);
        assert_eq!(
            JoinToken::parse(&format!("{}AAAA", text.as_str())).expect_err("more"),
            TokenError::TooLong
        );
        assert_eq!(JoinToken::parse("hunter2").expect_err("something else"), TokenError::NotAToken);
        assert_eq!(JoinToken::parse(" ").expect_err("nothing"), TokenError::NotAToken);
        let place = TokenError::Character(21);
        assert_eq!(JoinToken::parse(&format!("{}!{}", &text[..20], &text[21..])).expect_err("!"), place);
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut payload = token("acme", "lab").payload().to_vec();
        payload[0] = 2;
        let end = payload.len() - CHECKSUM;
        let checksum = crc32c::crc32c(&payload[..end]).to_be_bytes();
        payload[end..].copy_from_slice(&checksum);
        let read = JoinToken::parse(&format!("{PREFIX}{}", BASE64.encode(&payload)));
        assert_eq!(read.expect_err("newer"), TokenError::Version(2));
    }

    #[test]
    fn the_secret_is_not_printed_and_another_does_not_match() {
        let (one, two) = (token("acme", "lab"), token("acme", "lab"));
        let shown = format!("{one:?}");
        assert!(shown.contains("TokenSecret(..)"), "{shown}");
        assert!(!shown.contains(&format!("{:?}", one.secret.0)), "{shown}");
        assert!(one.secret.hash().matches(&one.secret));
        assert!(!one.secret.hash().matches(&two.secret));
        let stored = toml::to_string(&std::collections::BTreeMap::from([("hash", one.secret.hash())]));
        let stored: std::collections::BTreeMap<String, TokenHash> =
            toml::from_str(&stored.expect("written")).expect("read");
        assert!(stored["hash"].matches(&one.secret));
    }
}

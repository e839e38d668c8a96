//! The authority under a passphrase, for backups.
//!
//! ```text
//! "bootlane-authority" | version 1 | PBKDF2 rounds 4 | salt 16 | nonce 12 | AES-256-GCM( text ) + tag 16
//! ```
//!
//! The key comes from PBKDF2 with HMAC-SHA-256 (RFC 8018 §5.2); everything before the ciphertext is
//! authenticated with it, so no byte can change unnoticed.

use std::num::NonZeroU32;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::pbkdf2;
use zeroize::{Zeroize as _, Zeroizing};

use super::OpenError;
use super::state::StateError;
use crate::NoRandomness;

const MAGIC: &[u8] = b"bootlane-authority";
const VERSION: u8 = 1;
const SALT: usize = 16;
const HEADER: usize = MAGIC.len() + 1 + 4 + SALT + NONCE_LEN;
/// What OWASP's password storage advice asks of PBKDF2 with HMAC-SHA-256 (2023).
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");
/// Fewer would be a forged header that wants a weak key tried, more one that wants to keep us busy.
const ACCEPTED_ROUNDS: std::ops::RangeInclusive<u32> = 100_000..=10_000_000;
/// Most bytes of a sealed authority.
const MAX_SEALED: usize = 512 * 1024;
/// Fewest characters of a passphrase: a backup may be attacked for years, offline.
const MIN_PASSPHRASE: usize = 12;

/// A passphrase, wiped when dropped, never printed.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a passphrase of at least 12 characters.
    ///
    /// # Errors
    /// [`SealError::ShortPassphrase`].
    pub fn new(mut text: String) -> Result<Self, SealError> {
        if text.chars().count() < MIN_PASSPHRASE {
            text.zeroize();
            return Err(SealError::ShortPassphrase);
        }
        Ok(Self(Zeroizing::new(text)))
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Why the authority could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too easy to guess.
    #[error("passphrase has fewer than {MIN_PASSPHRASE} characters")]
    ShortPassphrase,
    /// No salt.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The cipher refused.
    #[error("cannot encrypt the authority")]
    Cipher,
}

/// Why a sealed authority could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// Something else.
    #[error("not a sealed authority")]
    NotSealed,
    /// The end is missing.
    #[error("sealed authority is cut off")]
    Truncated,
    /// Made by a newer version.
    #[error("sealed authority is of version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// A number of rounds that we never write.
    #[error("sealed authority asks for {0} PBKDF2 rounds: its header is damaged")]
    Rounds(u32),
    /// The two cannot be told apart.
    #[error("wrong passphrase, or the sealed authority is damaged")]
    Passphrase,
    /// The seal held, the content is no authority.
    #[error("sealed content is no authority")]
    Content(#[source] StateError),
    /// The folder to put it in.
    #[error(transparent)]
    Open(#[from] OpenError),
}

pub(super) fn seal(text: &str, passphrase: &Passphrase) -> Result<Vec<u8>, SealError> {
    let (salt, nonce): ([u8; SALT], [u8; NONCE_LEN]) = (crate::random()?, crate::random()?);
    let header = [MAGIC, &[VERSION], &ROUNDS.get().to_be_bytes(), &salt, &nonce].concat();
    // Room for the tag at once: growing would leave the plain keys behind in freed memory.
    let mut body = Zeroizing::new(Vec::with_capacity(text.len() + AES_256_GCM.tag_len()));
    body.extend(text.as_bytes());
    let key = derive(passphrase, ROUNDS, &salt).ok_or(SealError::Cipher)?;
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&header), &mut *body)
        .map_err(|_| SealError::Cipher)?;
    Ok([header.as_slice(), &body].concat())
}

pub(super) fn open(sealed: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<String>, UnsealError> {
    let (header, body) = split(sealed)?;
    let fields = &header[MAGIC.len() + 1..];
    let (rounds, fields) = fields.split_first_chunk::<4>().ok_or(UnsealError::Truncated)?;
    let (salt, nonce) = fields.split_first_chunk::<SALT>().ok_or(UnsealError::Truncated)?;
    let rounds = accepted_rounds(u32::from_be_bytes(*rounds))?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError::Truncated)?;
    let key = derive(passphrase, rounds, salt).ok_or(UnsealError::Passphrase)?;
    let mut body = Zeroizing::new(body.to_vec());
    let text = key.open_in_place(nonce, Aad::from(header), &mut body).map_err(|_| UnsealError::Passphrase)?;
    let text = std::str::from_utf8(text).map_err(|_| UnsealError::NotSealed)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn split(sealed: &[u8]) -> Result<(&[u8], &[u8]), UnsealError> {
    if sealed.len() > MAX_SEALED || !sealed.starts_with(&MAGIC[..MAGIC.len().min(sealed.len())]) {
        return Err(UnsealError::NotSealed);
    }
    match sealed.get(MAGIC.len()) {
        None => return Err(UnsealError::Truncated),
        Some(&VERSION) => {}
        Some(&version) => return Err(UnsealError::Version(version)),
    }
    let (header, body) = sealed.split_at_checked(HEADER).ok_or(UnsealError::Truncated)?;
    if body.len() <= AES_256_GCM.tag_len() { Err(UnsealError::Truncated) } else { Ok((header, body)) }
}

fn accepted_rounds(rounds: u32) -> Result<NonZeroU32, UnsealError> {
    let accepted = ACCEPTED_ROUNDS.contains(&rounds).then_some(rounds);
    accepted.and_then(NonZeroU32::new).ok_or(UnsealError::Rounds(rounds))
}

fn derive(passphrase: &Passphrase, rounds: NonZeroU32, salt: &[u8]) -> Option<LessSafeKey> {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, passphrase.0.as_bytes(), key.as_mut());
    UnboundKey::new(&AES_256_GCM, key.as_ref()).map(LessSafeKey::new).ok()
}

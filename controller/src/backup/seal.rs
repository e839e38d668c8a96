//! A few bytes under a passphrase.
//!
//! ```text
//! version 1 | salt 16 | nonce 12 | AES-256-GCM( bytes ) + tag 16
//! ```
//!
//! The key comes from PBKDF2 with HMAC-SHA-256 (RFC 8018 §5.2); everything before the ciphertext is authenticated.

use std::num::NonZeroU32;

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    pbkdf2,
    rand::{SecureRandom as _, SystemRandom},
};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const SALT: usize = 16;
const HEADER: usize = 1 + SALT + NONCE_LEN;
/// What OWASP's password storage advice asks of PBKDF2 with HMAC-SHA-256 (2023).
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");

/// What was sealed does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSealed {
    /// Wrong passphrase, or changed bytes: the two cannot be told apart.
    #[error("wrong passphrase, or the archive was changed")]
    Passphrase,
    /// Made by another version.
    #[error("the sealed key is of version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// The operating system gave no random bytes, or the cipher refused.
    #[error("cannot encrypt the key of secrets")]
    Cipher,
}

pub(super) fn seal(plain: &[u8], passphrase: &str) -> Result<Vec<u8>, NotSealed> {
    let mut header = [0; HEADER];
    SystemRandom::new().fill(&mut header).map_err(|_| NotSealed::Cipher)?;
    header[0] = VERSION;
    let (key, nonce) = parts(&header, passphrase)?;
    // Room for the tag at once: growing would leave the plain bytes behind in freed memory.
    let mut body = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
    body.extend_from_slice(plain);
    key.seal_in_place_append_tag(nonce, Aad::from(&header), &mut *body).map_err(|_| NotSealed::Cipher)?;
    Ok([header.as_slice(), &body].concat())
}

pub(super) fn open(sealed: &[u8], passphrase: &str) -> Result<Zeroizing<Vec<u8>>, NotSealed> {
    let (header, body) = sealed.split_first_chunk::<HEADER>().ok_or(NotSealed::Passphrase)?;
    if header[0] != VERSION {
        return Err(NotSealed::Version(header[0]));
    }
    let (key, nonce) = parts(header, passphrase)?;
    let mut body = Zeroizing::new(body.to_vec());
    let plain = key.open_in_place(nonce, Aad::from(header), &mut body).map_err(|_| NotSealed::Passphrase)?;
    Ok(Zeroizing::new(plain.to_vec()))
}

fn parts(header: &[u8; HEADER], passphrase: &str) -> Result<(LessSafeKey, Nonce), NotSealed> {
    let (salt, nonce) = header[1..].split_at(SALT);
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, passphrase.as_bytes(), key.as_mut());
    let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| NotSealed::Cipher)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotSealed::Cipher)?;
    Ok((LessSafeKey::new(key), nonce))
}

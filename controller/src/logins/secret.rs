//! What opens the page: a code from the CLI, then a cookie. Both are 256 random bits of which only the SHA-256 is kept, which
//! is enough for a secret that cannot be guessed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::Digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// Random bytes of a secret.
const BYTES: usize = 32;
/// Characters of its text: base64 for URLs, without padding.
pub(crate) const TEXT: usize = 43;

/// A secret in the hands of its holder.
pub(crate) struct Secret(Zeroizing<[u8; BYTES]>);

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub(crate) struct NoRandomness;

impl Secret {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
        Ok(Self(bytes))
    }

    /// Reads its text; None: it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        bytes.as_slice().try_into().ok().map(Zeroizing::new).map(Self)
    }

    /// For its holder, and for nobody else: in no log and on no page.
    pub(crate) fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> Digest {
        Digest::of(self.0.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_is_revealed_and_no_other_way() {
        let secret = Secret::generate().expect("random");
        let text = secret.reveal();
        assert_eq!(text.len(), TEXT);
        assert_eq!(Secret::parse(&text).map(|read| read.hash()), Some(secret.hash()));
        assert_ne!(Secret::generate().expect("random").hash(), secret.hash());
        for wrong in
            ["", "x", &format!("{}=", &text[1..]), &format!("{}!", &text[1..]), &format!("{}x", &*text)]
        {
            assert!(Secret::parse(wrong).is_none(), "{wrong:?}");
        }
    }
}

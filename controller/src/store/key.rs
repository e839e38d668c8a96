//! Keys: absolute, printable paths such as `/site/berlin/hosts/web-1`.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// A key that the store takes: UTF-8, begins with `/`, without control characters, and no longer
/// than [`MAX_KEY_BYTES`]. Ordered by its bytes; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Keys are absolute paths below the root.
    #[error("key {0:?} does not begin with `/` and a name")]
    NotAbsolute(String),
    /// Longer than [`MAX_KEY_BYTES`].
    #[error("key of {0} bytes is longer than {MAX_KEY_BYTES}")]
    TooLong(usize),
    /// A control character, which would break listings and logs.
    #[error("key {0:?} holds a control character")]
    Control(String),
}

impl Key {
    /// Checks a text and makes it a key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLong(text.len()));
        }
        if !text.starts_with('/') || text.len() < 2 {
            return Err(KeyError::NotAbsolute(text.to_owned()));
        }
        if text.chars().any(char::is_control) {
            return Err(KeyError::Control(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::parse(&text)
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// `str` and `Key` order and hash alike, so that a map of keys is searched by prefix.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_absolute_printable_and_bounded() {
        assert_eq!(Key::parse("/global/images/a").as_deref(), Ok("/global/images/a"));
        assert!(Key::parse(&format!("/{}", "a".repeat(MAX_KEY_BYTES - 1))).is_ok());
        assert_eq!(
            Key::parse(&format!("/{}", "a".repeat(MAX_KEY_BYTES))),
            Err(KeyError::TooLong(MAX_KEY_BYTES + 1))
        );
        assert!(matches!(Key::parse(""), Err(KeyError::NotAbsolute(_))));
        assert!(matches!(Key::parse("/"), Err(KeyError::NotAbsolute(_))));
        assert!(matches!(Key::parse("a/b"), Err(KeyError::NotAbsolute(_))));
        assert!(matches!(Key::parse("/a\nb"), Err(KeyError::Control(_))));
        assert!(matches!(Key::parse("/a\0"), Err(KeyError::Control(_))));
    }
}

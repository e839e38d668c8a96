//! Random 128-bit names: of resources, boot attempts, journals, and the tokens that open an order's files.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::wire::{WireError, array, optional_array};

/// Writes lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

/// Exactly `2 * N` hexadecimal digits of either case.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// Text that is not a 128-bit name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 hexadecimal digits, found {0:?}")]
pub struct NotAnId(String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// From a message's field of 16 bytes.
            ///
            /// # Errors
            /// Names `field` when it has another length.
            pub fn from_wire(field: &str, bytes: &[u8]) -> Result<Self, WireError> {
                array(field, bytes).map(Self)
            }

            /// From a message's field that may be empty.
            ///
            /// # Errors
            /// Names `field` when it has neither 0 nor 16 bytes.
            pub fn from_wire_optional(field: &str, bytes: &[u8]) -> Result<Option<Self>, WireError> {
                Ok(optional_array(field, bytes)?.map(Self))
            }

            /// For a message's field.
            #[must_use]
            pub fn to_wire(self) -> prost::bytes::Bytes {
                prost::bytes::Bytes::copy_from_slice(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse_hex(text).map(Self).ok_or_else(|| NotAnId(text.chars().take(40).collect()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAnId;

            fn try_from(text: String) -> Result<Self, NotAnId> {
                text.parse()
            }
        }
    };
}

/// For names that may be shown: 32 lower-case hexadecimal digits.
macro_rules! shown {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(&self.0, out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, out)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    )+};
}

id!(
    /// Any resource of the catalog.
    Uid
);
id!(
    /// A host, whatever its name is at the moment.
    HostId
);
id!(
    /// An image.
    ImageId
);
id!(
    /// An order.
    OrderId
);
id!(
    /// A boot attempt; its OpenTelemetry trace id.
    AttemptId
);
id!(
    /// A journal of an agent: made with the journal, so that a new disk starts no false duplicates.
    Incarnation
);
id!(
    /// An operator's wish that an agent frees an address.
    ReleaseId
);
id!(
    /// A secret of 128 random bits, for example in the path of an answer file. Never shown.
    Token128
);

shown!(Uid, HostId, ImageId, OrderId, AttemptId, Incarnation, ReleaseId);

impl fmt::Debug for Token128 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token128(…)")
    }
}

impl Token128 {
    /// The digits, for the one URL that they are meant for.
    #[must_use]
    pub fn reveal(self) -> String {
        let mut text = String::with_capacity(32);
        hex(&self.0, &mut text).expect("writing to a String does not fail");
        text
    }
}

impl From<Token128> for String {
    fn from(token: Token128) -> Self {
        token.reveal()
    }
}

impl From<Uid> for HostId {
    fn from(uid: Uid) -> Self {
        Self(uid.0)
    }
}

impl From<Uid> for OrderId {
    fn from(uid: Uid) -> Self {
        Self(uid.0)
    }
}

impl From<Uid> for ImageId {
    fn from(uid: Uid) -> Self {
        Self(uid.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = AttemptId([0xab; 16]);
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("ab".parse::<AttemptId>().is_err());
    }

    #[test]
    fn a_token_does_not_show_itself() {
        assert_eq!(format!("{:?}", Token128([7; 16])), "Token128(…)");
        assert_eq!(Token128([7; 16]).reveal(), "07".repeat(16));
    }

    #[test]
    fn a_wrong_length_names_the_field() {
        let error = HostId::from_wire("host.id", &[1, 2, 3]).expect_err("three bytes");
        assert_eq!(error.to_string(), "host.id: takes 16 bytes, has 3");
    }
}

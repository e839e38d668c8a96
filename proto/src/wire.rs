//! The border between generated messages and the domain: errors that name the field, and small decoders.

use std::net::Ipv4Addr;

/// A message that cannot be taken: which field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct WireError {
    /// The path of the field, for example `order.files[2].stage`.
    pub field: String,
    /// What is wrong, as a fragment: "is missing", "takes 16 bytes, has 3".
    pub problem: String,
}

impl WireError {
    /// An error at `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same error seen from a level further out.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { field: format!("{outer}.{}", self.field), problem: self.problem }
    }
}

/// Exactly `N` bytes.
pub(crate) fn array<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::new(field, format!("takes {N} bytes, has {}", bytes.len())))
}

/// Nothing, or exactly `N` bytes.
pub(crate) fn optional_array<const N: usize>(
    field: &str,
    bytes: &[u8],
) -> Result<Option<[u8; N]>, WireError> {
    if bytes.is_empty() { Ok(None) } else { array(field, bytes).map(Some) }
}

/// A message field that proto3 calls optional and the domain does not.
pub(crate) fn required<T>(field: &str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or_else(|| WireError::new(field, "is missing"))
}

/// 0 stands for "none": no machine has the address 0.0.0.0.
pub(crate) fn optional_address(bits: u32) -> Option<Ipv4Addr> {
    (bits != 0).then(|| Ipv4Addr::from_bits(bits))
}

/// The counterpart of [`optional_address`].
pub(crate) fn address_bits(address: Option<Ipv4Addr>) -> u32 {
    address.map_or(0, Ipv4Addr::to_bits)
}

/// Maps a domain enum onto its generated twin, variant by variant, both ways.
macro_rules! twin {
    ($domain:ident, $wire:ident, $($variant:ident),+ $(,)?) => {
        impl From<$domain> for i32 {
            fn from(value: $domain) -> i32 {
                match value { $($domain::$variant => $crate::v1::$wire::$variant as i32),+ }
            }
        }
        impl $domain {
            /// From the wire; an unknown or missing number is an error that names `field`.
            pub(crate) fn from_wire(field: &str, value: i32) -> Result<Self, $crate::WireError> {
                match $crate::v1::$wire::try_from(value) {
                    $(Ok($crate::v1::$wire::$variant) => Ok(Self::$variant),)+
                    Ok($crate::v1::$wire::Unspecified) => Err($crate::WireError::new(field, "is missing")),
                    Err(_) => Err($crate::WireError::new(field, format!("has the unknown value {value}"))),
                }
            }
        }
    };
}
pub(crate) use twin;

//! Rates of links as people write them: `50Mbit`, `unlimited`.

use std::{fmt, num::NonZeroU64, str::FromStr};

use crate::text::written_as_text;

/// The most that may pass: so many bits a second, or as many as can; written as `640kbit`, `50Mbit`, `2.5Gbit` is `2500Mbit`,
/// and `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RateLimit(Option<NonZeroU64>);

/// Decimal, as links are sold and as `tc` takes them.
const UNITS: [(&str, u64); 4] = [("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];
const UNLIMITED: &str = "unlimited";

impl RateLimit {
    /// Nothing is held back.
    pub const UNLIMITED: Self = Self(None);

    /// So many bits a second; 0: unlimited.
    #[must_use]
    pub const fn bits(bits_per_second: u64) -> Self {
        Self(NonZeroU64::new(bits_per_second))
    }

    /// In bits a second; None: unlimited.
    #[must_use]
    pub fn bits_per_second(self) -> Option<u64> {
        self.0.map(NonZeroU64::get)
    }

    /// In whole bytes a second, at least 1; None: unlimited.
    #[must_use]
    pub fn bytes_per_second(self) -> Option<u64> {
        self.0.map(|bits| (bits.get() / 8).max(1))
    }

    /// The equal share of one of `parts`, at least one bit.
    #[must_use]
    pub fn share(self, parts: u64) -> Self {
        Self(self.0.and_then(|bits| NonZeroU64::new((bits.get() / parts.max(1)).max(1))))
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bits) = self.0 else { return out.write_str(UNLIMITED) };
        let exact = UNITS.into_iter().find(|(_, size)| bits.get().is_multiple_of(*size));
        let (unit, size) = exact.unwrap_or(("bit", 1));
        write!(out, "{}{unit}", bits.get() / size)
    }
}

/// Not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a rate such as 640kbit, 50Mbit, 1Gbit or unlimited, found {0:?}")]
pub struct NotARate(String);

impl FromStr for RateLimit {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let error = || NotARate(text.chars().take(40).collect());
        if text == UNLIMITED {
            return Ok(Self::UNLIMITED);
        }
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let (digits, unit) = text.split_at(split);
        let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit.trim()).ok_or_else(error)?;
        let count: u64 = digits.parse().map_err(|_| error())?;
        count.checked_mul(size).and_then(NonZeroU64::new).map(|bits| Self(Some(bits))).ok_or_else(error)
    }
}

written_as_text!(RateLimit);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_as_people_write_them() {
        for (text, bits) in [("640kbit", 640_000), ("50Mbit", 50_000_000), ("1Gbit", 1_000_000_000)] {
            assert_eq!(text.parse(), Ok(RateLimit::bits(bits)), "{text}");
            assert_eq!(RateLimit::bits(bits).to_string(), text);
        }
        assert_eq!("unlimited".parse(), Ok(RateLimit::UNLIMITED));
        assert_eq!(RateLimit::bits(0), RateLimit::UNLIMITED);
        for text in ["", "5", "0Mbit", "Mbit", "5MB", "-1Mbit", "99999999999Gbit", "none"] {
            assert!(text.parse::<RateLimit>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_never_unlimited() {
        assert_eq!(RateLimit::bits(50_000_000).share(2), RateLimit::bits(25_000_000));
        assert_eq!(RateLimit::bits(1).share(3), RateLimit::bits(1));
        assert_eq!(RateLimit::UNLIMITED.share(2), RateLimit::UNLIMITED);
        assert_eq!(RateLimit::bits(7).bytes_per_second(), Some(1));
    }
}

//! Link and network addresses.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use crate::{
    text::written_as_text,
    wire::{WireError, array},
};

/// An EUI-48 link address; written in lower case with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// From a message's field.
    pub(crate) fn from_wire(field: &str, bytes: &[u8]) -> Result<Self, WireError> {
        array(field, bytes).map(Self)
    }

    /// For a message's field.
    pub(crate) fn to_wire(self) -> prost::bytes::Bytes {
        prost::bytes::Bytes::copy_from_slice(&self.0)
    }

    /// As PXELINUX and GRUB name files: `52-54-00-12-34-56`.
    #[must_use]
    pub fn dashed(self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Not a link address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a MAC address such as 52:54:00:12:34:56, found {0:?}")]
pub struct NotAMac(String);

impl FromStr for Mac {
    type Err = NotAMac;

    /// Colons, dashes, Cisco's dots or nothing between the digits.
    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let error = || NotAMac(text.chars().take(40).collect());
        let separators = text.chars().filter(|c| matches!(c, ':' | '-' | '.')).count();
        let parts: Vec<&str> = text.split([':', '-', '.']).collect();
        let uniform = match separators {
            0 => text.len() == 12,
            2 => parts.iter().all(|part| part.len() == 4),
            5 => parts.iter().all(|part| part.len() == 2),
            _ => false,
        };
        if !uniform {
            return Err(error());
        }
        crate::id::parse_hex(&parts.concat()).map(Self).ok_or_else(error)
    }
}

/// Addresses from `first` to `last`, both included; `first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    first: Ipv4Addr,
    last: Ipv4Addr,
}

impl Range {
    /// None when `last` comes before `first`.
    #[must_use]
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest address.
    #[must_use]
    pub fn first(self) -> Ipv4Addr {
        self.first
    }

    /// The highest address.
    #[must_use]
    pub fn last(self) -> Ipv4Addr {
        self.last
    }

    /// Is `address` one of them?
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        self.first <= address && address <= self.last
    }

    /// Does any address stand in both?
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// What is left without the addresses of `hole`: nothing, one range or two.
    #[must_use]
    pub fn without(self, hole: Self) -> Vec<Self> {
        if !self.overlaps(hole) {
            return vec![self];
        }
        let before = hole.first.to_bits().checked_sub(1).and_then(|last| Self::new(self.first, last.into()));
        let after = hole.last.to_bits().checked_add(1).and_then(|first| Self::new(first.into(), self.last));
        before.into_iter().chain(after).collect()
    }

    /// How many addresses there are, at least 1.
    #[must_use]
    pub fn count(self) -> u64 {
        u64::from(self.last.to_bits()) - u64::from(self.first.to_bits()) + 1
    }
}

impl fmt::Display for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.first, self.last)
    }
}

/// Not a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a range such as 10.1.0.100-10.1.0.199, found {0:?}")]
pub struct NotARange(String);

impl FromStr for Range {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let error = || NotARange(text.chars().take(40).collect());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let parse = |part: &str| part.trim().parse().map_err(|_| error());
        Self::new(parse(first)?, parse(last)?).ok_or_else(error)
    }
}

written_as_text!(Mac, Range);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_in_every_usual_notation() {
        let mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0xab]);
        for text in ["52:54:00:12:34:ab", "52-54-00-12-34-AB", "5254.0012.34ab", "5254001234AB"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        for text in [
            "",
            "52:54:00:12:34",
            "52:54:00:12:34:ab:cd",
            "5:254:00:12:34:ab",
            "52:54:00:12:34:gg",
            "é:é:é:é:é:é",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_counts_both_ends() {
        let range: Range = "10.0.0.10 - 10.0.0.19".parse().expect("a range");
        assert_eq!(range.count(), 10);
        assert!(range.contains([10, 0, 0, 19].into()) && !range.contains([10, 0, 0, 20].into()));
        assert!("10.0.0.2-10.0.0.1".parse::<Range>().is_err());
    }
}

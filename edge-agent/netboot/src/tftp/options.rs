//! The options of RFC 2347 that this server knows, in the only values that are legal.
//!
//! Names are compared without case, the first of a repeated option counts, and an option that is unknown or
//! has a value out of its range is as if it had not been asked for (RFC 2347 §"Negotiation Protocol").

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

/// The options of one request or option acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// `blksize`, RFC 2348.
    pub block_size: Option<BlockSize>,
    /// `tsize` in bytes, RFC 2349; 0 in a read request asks for the size.
    pub transfer_size: Option<u64>,
    /// `timeout` in seconds, RFC 2349.
    pub timeout: Option<NonZeroU8>,
    /// `utimeout`, tftp-hpa's own.
    pub micro_timeout: Option<MicroTimeout>,
    /// `windowsize` in blocks, RFC 7440.
    pub window_size: Option<NonZeroU16>,
}

/// The `utimeout` option: 10,000 to 255,000,000 microseconds (tftpd-hpa(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroTimeout(u32);

impl MicroTimeout {
    /// A time-out of `micros`, if tftp-hpa would take it.
    #[must_use]
    pub fn new(micros: u32) -> Option<Self> {
        (10_000..=255_000_000).contains(&micros).then_some(Self(micros))
    }

    /// The time-out.
    #[must_use]
    pub fn get(self) -> Duration {
        Duration::from_micros(u64::from(self.0))
    }
}

/// Bytes of file in a full DATA packet: 8 to 65464 (RFC 2348).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockSize(u16);

impl BlockSize {
    /// What holds without the option (RFC 1350).
    pub const DEFAULT: Self = Self(512);
    /// What fits an Ethernet frame: 1500 bytes less the headers of IPv4 and UDP and TFTP's own four.
    pub const ETHERNET: Self = Self(1468);
    /// The smallest that RFC 2348 allows.
    pub const MIN: Self = Self(8);
    /// The largest that RFC 2348 allows.
    pub const MAX: Self = Self(65464);

    /// A size of `bytes`, if RFC 2348 allows it.
    #[must_use]
    pub fn new(bytes: u16) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&bytes).then_some(Self(bytes))
    }

    /// The largest block that a datagram of IP version 4 or 6 can carry on a path of this MTU.
    #[must_use]
    pub fn on_path(mtu: u16, peer: IpAddr) -> Self {
        let headers = if peer.is_ipv4() { 20 + 8 + 4 } else { 40 + 8 + 4 };
        Self(mtu.saturating_sub(headers).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// The size in bytes.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Options {
    /// Whether no option is present.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in one option as it stood on the wire; what is unknown, repeated or out of range changes nothing.
    pub(super) fn take_in(&mut self, name: &[u8], value: &[u8]) {
        let Some(value) = decimal(value) else { return };
        if name.eq_ignore_ascii_case(b"blksize") {
            self.block_size = self.block_size.or_else(|| block_size(value));
        } else if name.eq_ignore_ascii_case(b"tsize") {
            self.transfer_size = self.transfer_size.or(Some(value));
        } else if name.eq_ignore_ascii_case(b"timeout") {
            self.timeout = self.timeout.or_else(|| NonZeroU8::new(u8::try_from(value).ok()?));
        } else if name.eq_ignore_ascii_case(b"utimeout") {
            let asked = || MicroTimeout::new(u32::try_from(value).ok()?);
            self.micro_timeout = self.micro_timeout.or_else(asked);
        } else if name.eq_ignore_ascii_case(b"windowsize") {
            self.window_size = self.window_size.or_else(|| NonZeroU16::new(u16::try_from(value).ok()?));
        }
    }

    /// Appends the options as pairs of texts, each ended by NUL.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let pairs = [
            ("blksize", self.block_size.map(|size| u64::from(size.get()))),
            ("tsize", self.transfer_size),
            ("timeout", self.timeout.map(|seconds| u64::from(seconds.get()))),
            ("utimeout", self.micro_timeout.map(|timeout| u64::from(timeout.0))),
            ("windowsize", self.window_size.map(|blocks| u64::from(blocks.get()))),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                out.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
            }
        }
    }
}

/// A client that asks for more than the largest size gets the largest; the server may answer less than asked.
fn block_size(asked: u64) -> Option<BlockSize> {
    BlockSize::new(u16::try_from(asked.min(u64::from(BlockSize::MAX.0))).ok()?)
}

/// Decimal digits and nothing else; no sign, no blank, no overflow.
fn decimal(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pairs: &[(&str, &str)]) -> Options {
        let mut options = Options::default();
        for (name, value) in pairs {
            options.take_in(name.as_bytes(), value.as_bytes());
        }
        options
    }

    #[test]
    fn names_have_no_case() {
        let options = taken(&[("BlkSize", "1024"), ("TSIZE", "0"), ("Timeout", "3"), ("windowSize", "4")]);
        assert_eq!(options.block_size, BlockSize::new(1024));
        assert_eq!(options.transfer_size, Some(0));
        assert_eq!(options.timeout, NonZeroU8::new(3));
        assert_eq!(options.window_size, NonZeroU16::new(4));
    }

    #[test]
    fn what_is_out_of_range_was_not_asked() {
        let options = taken(&[("blksize", "7"), ("timeout", "0"), ("timeout", "256"), ("windowsize", "0")]);
        assert!(options.is_empty());
        assert!(
            taken(&[("windowsize", "65536"), ("tsize", "-1"), ("blksize", ""), ("tsize", "")]).is_empty()
        );
        assert!(
            taken(&[("tsize", "99999999999999999999"), ("multicast", ""), ("utimeout", "9999")]).is_empty()
        );
        assert!(taken(&[("utimeout", "255000001"), ("msftwindow", "31416")]).is_empty());
    }

    #[test]
    fn quirk_40_a_block_fits_the_path() {
        let (v4, v6) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(BlockSize::on_path(1500, v4), BlockSize::ETHERNET);
        assert_eq!(BlockSize::on_path(1400, v4).get(), 1368);
        assert_eq!(BlockSize::on_path(1500, v6).get(), 1448);
        assert_eq!(BlockSize::on_path(30, v4), BlockSize::MIN);
        assert_eq!(BlockSize::on_path(u16::MAX, v4), BlockSize::MAX);
    }

    #[test]
    fn more_than_the_largest_block_becomes_the_largest() {
        assert_eq!(taken(&[("blksize", "70000")]).block_size, Some(BlockSize::MAX));
    }

    #[test]
    fn the_first_of_a_repeated_option_counts() {
        assert_eq!(taken(&[("blksize", "600"), ("blksize", "700")]).block_size, BlockSize::new(600));
    }
}

//! The TFTP codec: bytes to the only packets that are legal, and back.
//!
//! ```text
//!  RRQ/WRQ  | 01/02 | name | 0 | mode | 0 | option | 0 | value | 0 | ...      RFC 1350 §5, RFC 2347
//!  DATA     |  03   | block# | bytes |
//!  ACK      |  04   | block# |
//!  ERROR    |  05   | code | text | 0 |
//!  OACK     |  06   | option | 0 | value | 0 | ...                            RFC 2347
//! ```
//!
//! What follows the last field of a datagram is padding and ignored (QUIRKS 42). Names are only split off
//! here; [`super::Name`] judges them.

use std::borrow::Cow;

use super::options::Options;

/// Bytes before the file's bytes in a DATA packet.
pub const DATA_HEADER: usize = 4;

/// Pairs of option and value that are looked at in one packet.
const MAX_OPTIONS: usize = 16;

/// Characters of a peer's error text that are kept.
const MAX_TEXT: usize = 128;

const READ_REQUEST: u16 = 1;
const WRITE_REQUEST: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OPTION_ACK: u16 = 6;

/// A legal TFTP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A machine wants to read a file.
    ReadRequest(Request<'a>),
    /// A machine wants to write a file.
    WriteRequest(Request<'a>),
    /// A block of a file.
    Data {
        /// Its number, modulo 65536.
        block: u16,
        /// Its bytes; fewer than the block size end the file.
        bytes: &'a [u8],
    },
    /// A block, or with 0 an option acknowledgement, has arrived.
    Ack {
        /// Its number, modulo 65536.
        block: u16,
    },
    /// The transfer is over.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people: at most 128 characters, none of them a control character.
        message: Cow<'a, str>,
    },
    /// The options that the server grants.
    OptionAck(Options),
}

/// A request, its name not yet cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    name: &'a [u8],
    mode: Mode,
    options: Options,
}

/// How the file's bytes travel (RFC 1350 §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As they are.
    Octet,
    /// As text with its line ends changed; never served.
    Netascii,
    /// To a user instead of a file; obsolete.
    Mail,
}

/// An error code of RFC 1350 §5 or RFC 2347; others may come from peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    /// Not defined, see the message.
    pub const NOT_DEFINED: Self = Self(0);
    /// File not found.
    pub const FILE_NOT_FOUND: Self = Self(1);
    /// Access violation.
    pub const ACCESS_VIOLATION: Self = Self(2);
    /// Illegal TFTP operation.
    pub const ILLEGAL_OPERATION: Self = Self(4);
    /// Unknown transfer ID.
    pub const UNKNOWN_TRANSFER: Self = Self(5);
    /// The option acknowledgement is not accepted (RFC 2347); firmware uses it for every abort (QUIRKS 38, 39).
    pub const OPTION_NEGOTIATION: Self = Self(8);
}

/// Why bytes are not a TFTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The packet ends before its last field does.
    #[error("packet is cut short")]
    Truncated,
    /// Its first two bytes are none of the six operations.
    #[error("unknown operation {0}")]
    Operation(u16),
    /// The transfer mode is not one of RFC 1350.
    #[error("unknown transfer mode")]
    Mode,
    /// A name cannot hold a NUL.
    #[error("a name contains a NUL")]
    NulInName,
}

impl<'a> Request<'a> {
    /// A request for `name`.
    ///
    /// # Errors
    /// [`Malformed::NulInName`].
    pub fn new(name: &'a [u8], mode: Mode, options: Options) -> Result<Self, Malformed> {
        if name.contains(&0) { Err(Malformed::NulInName) } else { Ok(Self { name, mode, options }) }
    }

    /// The name as it was sent, without its NUL.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The transfer mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The options that were asked for and are known and legal.
    #[must_use]
    pub fn options(&self) -> Options {
        self.options
    }

    fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (name, rest) = text(body).ok_or(Malformed::Truncated)?;
        let (mode, rest) = text(rest).ok_or(Malformed::Truncated)?;
        Ok(Self { name, mode: Mode::parse(mode)?, options: parse_options(rest) })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name);
        out.push(0);
        out.extend_from_slice(self.mode.as_str().as_bytes());
        out.push(0);
        self.options.emit(out);
    }
}

impl Mode {
    /// Any case is meant (RFC 1350 §5, QUIRKS 37).
    fn parse(text: &[u8]) -> Result<Self, Malformed> {
        [Self::Octet, Self::Netascii, Self::Mail]
            .into_iter()
            .find(|mode| text.eq_ignore_ascii_case(mode.as_str().as_bytes()))
            .ok_or(Malformed::Mode)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Octet => "octet",
            Self::Netascii => "netascii",
            Self::Mail => "mail",
        }
    }
}

impl<'a> Packet<'a> {
    /// Reads one datagram.
    ///
    /// # Errors
    /// [`Malformed`] if it is not TFTP.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let (operation, body) = number(datagram)?;
        match operation {
            READ_REQUEST => Request::parse(body).map(Self::ReadRequest),
            WRITE_REQUEST => Request::parse(body).map(Self::WriteRequest),
            DATA => number(body).map(|(block, bytes)| Self::Data { block, bytes }),
            ACK => number(body).map(|(block, _padding)| Self::Ack { block }),
            ERROR => number(body).map(|(code, text)| Self::error(ErrorCode(code), text)),
            OPTION_ACK => Ok(Self::OptionAck(parse_options(body))),
            other => Err(Malformed::Operation(other)),
        }
    }

    /// Appends the packet to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::ReadRequest(request) => {
                out.extend_from_slice(&READ_REQUEST.to_be_bytes());
                request.emit(out);
            }
            Self::WriteRequest(request) => {
                out.extend_from_slice(&WRITE_REQUEST.to_be_bytes());
                request.emit(out);
            }
            Self::Data { block, bytes } => {
                out.extend_from_slice(&data_header(*block));
                out.extend_from_slice(bytes);
            }
            Self::Ack { block } => {
                out.extend_from_slice(&ACK.to_be_bytes());
                out.extend_from_slice(&block.to_be_bytes());
            }
            Self::Error { code, message } => {
                out.extend_from_slice(&ERROR.to_be_bytes());
                out.extend_from_slice(&code.0.to_be_bytes());
                out.extend_from_slice(printable(message.as_bytes()).as_bytes());
                out.push(0);
            }
            Self::OptionAck(options) => {
                out.extend_from_slice(&OPTION_ACK.to_be_bytes());
                options.emit(out);
            }
        }
    }

    /// The packet as bytes of its own.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.emit(&mut out);
        out
    }

    /// Some clients leave out the text or its NUL; the code is what counts.
    fn error(code: ErrorCode, body: &'a [u8]) -> Self {
        let raw = text(body).map_or(body, |(text, _padding)| text);
        Self::Error { code, message: printable(raw) }
    }
}

/// The four bytes that stand before the bytes of block `block` (modulo 65536).
#[must_use]
pub fn data_header(block: u16) -> [u8; DATA_HEADER] {
    let [high, low] = block.to_be_bytes();
    [0, 3, high, low]
}

/// An odd piece at the end, or one without its NUL, is padding (QUIRKS 42).
fn parse_options(mut rest: &[u8]) -> Options {
    let mut options = Options::default();
    for _ in 0..MAX_OPTIONS {
        let Some((name, after)) = text(rest) else { break };
        let Some((value, after)) = text(after) else { break };
        options.take_in(name, value);
        rest = after;
    }
    options
}

/// Splits a big-endian number off the front.
fn number(bytes: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
    Ok((u16::from_be_bytes(*head), rest))
}

/// Splits a text off the front, up to its NUL; none if there is no NUL.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Text that may stand in a log: bounded, without control characters.
pub(super) fn printable(raw: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(&raw[..raw.len().min(4 * MAX_TEXT)]);
    if text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control) {
        return text;
    }
    let visible = |c: char| if c.is_control() { '?' } else { c };
    Cow::Owned(text.chars().take(MAX_TEXT).map(visible).collect())
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU8, NonZeroU16};

    use proptest::prelude::*;

    use super::*;
    use crate::tftp::{BlockSize, MicroTimeout};

    #[test]
    fn golden_request_of_ovmf() {
        let bytes = b"\0\x01bootx64.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0";
        let Ok(Packet::ReadRequest(request)) = Packet::parse(bytes) else { panic!("a read request") };
        assert_eq!(request.name(), b"bootx64.efi");
        assert_eq!(request.mode(), Mode::Octet);
        let asked = Options {
            block_size: BlockSize::new(1468),
            transfer_size: Some(0),
            window_size: NonZeroU16::new(4),
            ..Options::default()
        };
        assert_eq!(request.options(), asked);
    }

    #[test]
    fn golden_answers() {
        let granted =
            Options { block_size: BlockSize::new(512), transfer_size: Some(7), ..Options::default() };
        assert_eq!(Packet::OptionAck(granted).to_vec(), b"\0\x06blksize\x00512\0tsize\x007\0");
        let error = Packet::Error { code: ErrorCode::FILE_NOT_FOUND, message: "no such file".into() };
        assert_eq!(error.to_vec(), b"\0\x05\0\x01no such file\0");
        assert_eq!(Packet::Data { block: 0x1234, bytes: b"xy" }.to_vec(), b"\0\x03\x12\x34xy");
        assert_eq!(Packet::Ack { block: 0xfffe }.to_vec(), b"\0\x04\xff\xfe");
    }

    #[test]
    fn quirk_37_mode_in_any_case() {
        for mode in ["octet", "OCTET", "Octet"] {
            let bytes = [b"\0\x01f\0", mode.as_bytes(), b"\0"].concat();
            assert!(matches!(Packet::parse(&bytes), Ok(Packet::ReadRequest(r)) if r.mode() == Mode::Octet));
        }
        assert_eq!(Packet::parse(b"\0\x01f\0binary\0"), Err(Malformed::Mode));
    }

    #[test]
    fn quirk_42_padding_is_ignored() {
        assert_eq!(Packet::parse(b"\0\x04\0\x07\0\0\0\0\0\0"), Ok(Packet::Ack { block: 7 }));
        let padded = b"\0\x01f\0octet\0blksize\x001024\0\0\0\0\0\0tsize";
        let Ok(Packet::ReadRequest(request)) = Packet::parse(padded) else { panic!("a read request") };
        assert_eq!(request.options(), Options { block_size: BlockSize::new(1024), ..Options::default() });
    }

    #[test]
    fn errors_without_text_or_nul_are_errors() {
        let bare = Packet::Error { code: ErrorCode(8), message: "".into() };
        assert_eq!(Packet::parse(b"\0\x05\0\x08"), Ok(bare));
        let cut = Packet::Error { code: ErrorCode(0), message: "TFTP Aborted".into() };
        assert_eq!(Packet::parse(b"\0\x05\0\0TFTP Aborted"), Ok(cut));
    }

    #[test]
    fn a_peers_text_cannot_reach_the_log_raw() {
        let Ok(Packet::Error { message, .. }) = Packet::parse(b"\0\x05\0\0a\nb\x1b[2J\0") else { panic!() };
        assert_eq!(message, "a?b?[2J");
        let long = [&b"\0\x05\0\0"[..], &[b'x'; 5000]].concat();
        let Ok(Packet::Error { message, .. }) = Packet::parse(&long) else { panic!() };
        assert_eq!(message.len(), MAX_TEXT);
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        for bytes in
            [&b""[..], b"\0", b"\0\x01", b"\0\x01file", b"\0\x01file\0octet", b"\0\x04\0", b"\0\x05\0"]
        {
            assert_eq!(Packet::parse(bytes), Err(Malformed::Truncated), "{bytes:?}");
        }
        assert_eq!(Packet::parse(b"\0\x09"), Err(Malformed::Operation(9)));
        assert_eq!(Request::new(b"a\0b", Mode::Octet, Options::default()), Err(Malformed::NulInName));
    }

    fn options() -> impl Strategy<Value = Options> {
        let size = proptest::option::of((8u16..=65464).prop_map(|n| BlockSize::new(n).expect("in range")));
        let timeout = proptest::option::of(any::<NonZeroU8>());
        let window = proptest::option::of(any::<NonZeroU16>());
        let micros = proptest::option::of(
            (10_000u32..=255_000_000).prop_map(|n| MicroTimeout::new(n).expect("in range")),
        );
        (size, any::<Option<u64>>(), timeout, micros, window).prop_map(
            |(block_size, transfer_size, timeout, micro_timeout, window_size)| Options {
                block_size,
                transfer_size,
                timeout,
                micro_timeout,
                window_size,
            },
        )
    }

    proptest! {
        #[test]
        fn bytes_never_panic_and_settle(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(packet) = Packet::parse(&bytes) {
                let again = packet.to_vec();
                prop_assert_eq!(Packet::parse(&again), Ok(packet));
            }
        }

        #[test]
        fn likely_bytes_settle(operation in 0u8..8, rest in "[a-zA-Z0-9/\\\\\0]{0,80}") {
            let bytes = [&[0, operation], rest.as_bytes()].concat();
            if let Ok(packet) = Packet::parse(&bytes) {
                let again = packet.to_vec();
                prop_assert_eq!(Packet::parse(&again), Ok(packet));
            }
        }

        #[test]
        fn requests_survive(name in proptest::collection::vec(1u8.., 0..300), options in options()) {
            let request = Request::new(&name, Mode::Octet, options).expect("no NUL");
            let bytes = Packet::ReadRequest(request.clone()).to_vec();
            prop_assert_eq!(Packet::parse(&bytes), Ok(Packet::ReadRequest(request)));
            let bytes = Packet::OptionAck(options).to_vec();
            prop_assert_eq!(Packet::parse(&bytes), Ok(Packet::OptionAck(options)));
        }
    }
}

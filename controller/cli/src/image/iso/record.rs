//! ECMA-119 §9.1: the record of a file or folder in its folder.

use super::{Place, le32};

/// §9.1.6, bit 2: it is a folder.
const FOLDER: u8 = 1 << 1;
/// Bit 3: it belongs to the file of the same name beside it.
const ASSOCIATED: u8 = 1 << 2;
/// Bit 8: the next record is a further part of the same file.
const GOES_ON: u8 = 1 << 7;
/// What stands before the name.
const FIXED: usize = 33;

/// A checked view of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// In bytes, with everything.
    pub(super) length: usize,
    bytes: &'a [u8],
    name: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at the beginning of these bytes; none if it is not whole.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let length = usize::from(*bytes.first()?);
        let bytes = bytes.get(..length)?;
        let name = bytes.get(FIXED..FIXED + usize::from(*bytes.get(FIXED - 1)?))?;
        (!name.is_empty()).then_some(Self { length, bytes, name })
    }

    /// Where its bytes lie, behind an extended attribute record if it has one (§9.5).
    pub(super) fn place(&self, block: u64) -> Place {
        let first = u64::from(le32(self.bytes, 2)) + u64::from(self.bytes[1]);
        Place { at: first * block, length: u64::from(le32(self.bytes, 10)) }
    }

    /// §6.8.2.2: the first two records of a folder.
    pub(super) fn is_self_or_parent(&self) -> bool {
        matches!(self.name, [0 | 1])
    }

    pub(super) fn is_folder(&self) -> bool {
        self.bytes[25] & FOLDER != 0
    }

    pub(super) fn is_associated(&self) -> bool {
        self.bytes[25] & ASSOCIATED != 0
    }

    pub(super) fn goes_on(&self) -> bool {
        self.bytes[25] & GOES_ON != 0
    }

    pub(super) fn is_interleaved(&self) -> bool {
        self.bytes[26] != 0 || self.bytes[27] != 0
    }

    /// §9.1.13: what follows the name, which is filled up to an even place, without what others have put first.
    pub(super) fn system_use(&self, skip: usize) -> &'a [u8] {
        let begin = (FIXED + self.name.len()).next_multiple_of(2) + skip;
        self.bytes.get(begin..).unwrap_or_default()
    }

    /// Without its version, in lower case.
    pub(super) fn plain_name(&self) -> String {
        let name = self.name.split(|byte| *byte == b';').next().unwrap_or_default();
        let name = name.strip_suffix(b".").unwrap_or(name);
        String::from_utf8_lossy(name).to_ascii_lowercase()
    }

    /// UCS-2, the higher byte first.
    pub(super) fn joliet_name(&self) -> String {
        let units: Vec<u16> =
            self.name.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        let name = String::from_utf16_lossy(&units);
        name.strip_suffix(";1").map(str::to_owned).unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of a file of 7 bytes in block 20.
    fn record(name: &[u8], extra: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        bytes[2] = 20;
        bytes[10] = 7;
        bytes[32] = u8::try_from(name.len()).expect("short");
        bytes.extend_from_slice(name);
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        bytes.extend_from_slice(extra);
        bytes[0] = u8::try_from(bytes.len()).expect("short");
        bytes
    }

    #[test]
    fn names_and_what_follows_them() {
        let bytes = record(b"LINUX.;1", b"..NM");
        let record_ = Record::parse(&bytes).expect("whole");
        assert_eq!((record_.plain_name().as_str(), record_.system_use(2)), ("linux", &b"NM"[..]));
        assert_eq!((record_.place(2_048).at, record_.place(2_048).length), (40_960, 7));
        assert_eq!(record_.system_use(300), b"");
        let bytes = record(b"\0B\0o\0o\0t\0;\x001", b"");
        assert_eq!(Record::parse(&bytes).expect("whole").joliet_name(), "Boot");
    }

    #[test]
    fn a_record_that_is_not_whole_is_none() {
        let whole = record(b"A", b"");
        for length in 0..whole.len() {
            assert!(Record::parse(&whole[..length]).is_none(), "{length}");
        }
        let mut long = whole.clone();
        long[32] = 200;
        assert!(Record::parse(&long).is_none());
        assert!(Record::parse(&record(b"", b"")).is_none());
    }
}

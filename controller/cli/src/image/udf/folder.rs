//! ECMA-167 4/14.4: what a folder holds, one file identifier descriptor after the other.

use super::bytes::le16;
use super::descriptor::{Address, Tag};

/// 4/14.4.3: a folder; deleted; the folder's own parent.
const FOLDER: u8 = 1 << 1;
const DELETED: u8 = 1 << 2;
const PARENT: u8 = 1 << 3;
/// What stands before the implementation's own bytes and the name.
const FIXED: usize = 38;

/// A file or folder that a folder names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identifier {
    /// As it stands there.
    pub(super) name: String,
    /// Is it a folder?
    pub(super) is_folder: bool,
    /// Where its entry is.
    pub(super) address: Address,
}

/// All that are not deleted, without the parent; none if one is broken.
pub(super) fn identifiers(mut bytes: &[u8]) -> Option<Vec<Identifier>> {
    let mut identifiers = Vec::new();
    while !bytes.is_empty() {
        let name = FIXED + usize::from(le16(bytes, 36));
        let end = name + usize::from(*bytes.get(19)?);
        let whole = bytes.get(..end.next_multiple_of(4))?;
        if !Tag::Identifier.is_of(whole) {
            return None;
        }
        let characteristics = whole[18];
        if characteristics & (DELETED | PARENT) == 0 {
            identifiers.push(Identifier {
                name: characters(&whole[name..end])?,
                is_folder: characteristics & FOLDER != 0,
                address: Address::of_long(&whole[20..36]),
            });
        }
        bytes = &bytes[whole.len()..];
    }
    Some(identifiers)
}

/// UDF 2.1.1: OSTA Compressed Unicode, one or two bytes for each unit as the first byte says.
fn characters(bytes: &[u8]) -> Option<String> {
    match bytes {
        [8, narrow @ ..] => Some(narrow.iter().map(|byte| char::from(*byte)).collect()),
        [16, wide @ ..] => {
            let units: Vec<u16> =
                wide.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            Some(String::from_utf16_lossy(&units))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_one_and_in_two_bytes() {
        assert_eq!(characters(b"\x08gr\xfcn").as_deref(), Some("grün"));
        assert_eq!(characters(b"\x10\x00a\x26\x03").as_deref(), Some("a☃"));
        assert_eq!((characters(b""), characters(b"\x09x")), (None, None));
    }
}

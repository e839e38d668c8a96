//! What is known of a file, behind its bytes: so both appear with one rename.
//!
//! ```text
//!  the file's bytes │ MirrorObject │ its length: 4 │ its CRC-32C: 4 │ "BLmirr01"
//!  0                size                                            numbers little-endian
//! ```

use std::{fs::File, io, os::unix::fs::FileExt};

use prost::Message;
use proto::{Digest, Wall, v1};

use crate::mirror::given::Given;

const MAGIC: [u8; 8] = *b"BLmirr01";
/// Length, checksum and magic.
const TAIL: u64 = 16;
/// The longest message, in bytes: its texts are bounded where they come from.
const LONGEST: u64 = 16 << 10;

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mirror) struct Known {
    /// Below the mirror, decoded.
    pub(in crate::mirror) path: String,
    /// The upstream that it came from.
    pub(in crate::mirror) upstream: String,
    /// What the upstream said of it.
    pub(in crate::mirror) given: Given,
    /// When the upstream began to answer with it.
    pub(in crate::mirror) fetched: Wall,
    /// In bytes.
    pub(in crate::mirror) size: u64,
    pub(in crate::mirror) sha256: Digest,
}

/// Puts what is known behind the bytes of `file`.
pub(super) fn write(file: &File, known: &Known) -> io::Result<()> {
    let mut bytes = message(known).encode_to_vec();
    let (length, sum) = (u32::try_from(bytes.len()).unwrap_or(u32::MAX), crc32c::crc32c(&bytes));
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(&MAGIC);
    file.write_all_at(&bytes, known.size)
}

/// Reads what is known of `file`; None: there is nothing that this build understands.
pub(super) fn read(file: &File) -> io::Result<Option<Known>> {
    let end = file.metadata()?.len();
    let Some(before_tail) = end.checked_sub(TAIL) else { return Ok(None) };
    let mut tail = [0; 16];
    file.read_exact_at(&mut tail, before_tail)?;
    let [a, b, c, d, e, f, g, h, magic @ ..] = tail;
    let (length, sum) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let Some(start) = before_tail.checked_sub(length.into()) else { return Ok(None) };
    if magic != MAGIC || u64::from(length) > LONGEST {
        return Ok(None);
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, start)?;
    let known = (crc32c::crc32c(&bytes) == sum).then(|| v1::MirrorObject::decode(&bytes[..]).ok()).flatten();
    Ok(known.and_then(understood).filter(|known| known.size == start))
}

fn message(known: &Known) -> v1::MirrorObject {
    let given = known.given.clone();
    v1::MirrorObject {
        path: known.path.clone(),
        upstream: known.upstream.clone(),
        etag: given.etag.unwrap_or_default(),
        last_modified: given.last_modified.unwrap_or_default(),
        content_type: given.content_type.unwrap_or_default(),
        content_encoding: given.content_encoding.unwrap_or_default(),
        fetched_ms: known.fetched.0,
        size: known.size,
        sha256: known.sha256.0.to_vec().into(),
    }
}

fn understood(message: v1::MirrorObject) -> Option<Known> {
    let given = |text: String| (!text.is_empty()).then_some(text);
    Some(Known {
        path: message.path,
        upstream: message.upstream,
        given: Given {
            etag: given(message.etag),
            last_modified: given(message.last_modified),
            content_type: given(message.content_type),
            content_encoding: given(message.content_encoding),
        },
        fetched: Wall(message.fetched_ms),
        size: message.size,
        sha256: Digest(message.sha256.as_ref().try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As this build and all later ones must read it.
    const RECORDED: &[u8] = b"hello\x0a\x01a\x12\x09http://x/\x1a\x03\"1\"\x38\x07\x40\x05\x4a\x20";

    fn recorded() -> Vec<u8> {
        let mut bytes = RECORDED.to_vec();
        bytes.extend_from_slice(&Digest::of(b"hello").0);
        let length = u32::try_from(bytes.len() - 5).expect("short");
        let sum = crc32c::crc32c(&bytes[5..]);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.extend_from_slice(b"BLmirr01");
        bytes
    }

    fn file(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(bytes, 0).expect("written");
        file
    }

    fn known() -> Known {
        Known {
            path: "a".into(),
            upstream: "http://x/".into(),
            given: Given { etag: Some("\"1\"".into()), ..Given::default() },
            fetched: Wall(7),
            size: 5,
            sha256: Digest::of(b"hello"),
        }
    }

    #[test]
    fn the_recorded_form_is_read_and_written() {
        assert_eq!(read(&file(&recorded())).expect("readable"), Some(known()));
        let written = file(b"hello");
        write(&written, &known()).expect("written");
        let mut bytes = vec![0; recorded().len()];
        written.read_exact_at(&mut bytes, 0).expect("whole");
        assert_eq!(bytes, recorded());
    }

    #[test]
    fn any_damage_to_the_words_is_noticed() {
        let good = recorded();
        for at in 5..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert_eq!(read(&file(&bad)).expect("readable"), None, "byte {at}");
        }
        for end in 0..good.len() {
            assert_eq!(read(&file(&good[..end])).expect("readable"), None, "cut at {end}");
        }
        assert_eq!(read(&file(&[&b"x"[..], &good].concat())).expect("readable"), None, "another size");
    }
}

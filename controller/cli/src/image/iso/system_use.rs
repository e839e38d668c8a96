//! The System Use Sharing Protocol (IEEE P1281) and the Rock Ridge fields in it (IEEE P1282) that tell names and kinds.

use super::record::Record;
use super::{SECTOR, le32};
use crate::image::media::MediaError;
use crate::image::tree::Disc;

/// As many continuations belong to one record.
const CONTINUATIONS: usize = 32;
/// POSIX: which bits of a mode tell what it is, and two of the kinds.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

/// What the fields of a record say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SystemUse {
    /// NM: its name.
    pub(super) name: Option<Vec<u8>>,
    /// PX: what it is.
    mode: Option<u32>,
    /// CL: the block of the folder that it stands for.
    pub(super) child: Option<u32>,
    /// RE: a folder that stands elsewhere in the tree, too.
    pub(super) relocated: bool,
    /// ZF: it is compressed.
    pub(super) compressed: bool,
}

impl SystemUse {
    /// Is it a file or folder, and no link or device?
    pub(super) fn has_bytes(&self, is_folder: bool) -> bool {
        let kind = if is_folder { FOLDER } else { REGULAR };
        self.mode.is_none_or(|mode| mode & KIND == kind)
    }

    fn take(&mut self, signature: [u8; 2], data: &[u8]) {
        match (&signature, data) {
            // RRIP §4.1.4: bits 2 and 3 stand for the folder itself and its parent, which have no names here.
            (b"NM", [flags, name @ ..]) if flags & 0b110 == 0 => {
                self.name.get_or_insert_default().extend_from_slice(name);
            }
            (b"PX", [_, _, _, _, ..]) => self.mode = Some(le32(data, 0)),
            (b"CL", [_, _, _, _, ..]) => self.child = Some(le32(data, 0)),
            (b"RE", _) => self.relocated = true,
            (b"ZF", _) => self.compressed = true,
            _ => {}
        }
    }
}

/// Where fields go on.
#[derive(Debug, Clone, Copy)]
struct Continuation {
    at: u64,
    length: u64,
}

/// SUSP §5.3: how many bytes stand before the fields of each record; none if the protocol is not in use.
pub(super) fn protocol(disc: &Disc, block: u64, root: u64) -> Result<Option<usize>, MediaError> {
    let bytes = disc.read(root, block.min(256), "the root folder")?;
    let Some(record) = Record::parse(&bytes) else { return Ok(None) };
    Ok(match record.system_use(0) {
        [b'S', b'P', 7, 1, 0xbe, 0xef, skip, ..] => Some(usize::from(*skip)),
        _ => None,
    })
}

/// All fields of a record.
pub(super) fn read(disc: &Disc, block: u64, first: &[u8]) -> Result<SystemUse, MediaError> {
    let mut fields = SystemUse::default();
    let mut next = area(first, block, &mut fields);
    for _ in 0..CONTINUATIONS {
        let Some(Continuation { at, length }) = next else { return Ok(fields) };
        if length > SECTOR {
            return Err(disc.damaged(format!("fields of Rock Ridge go on for {length} bytes")));
        }
        let bytes = disc.read(at, length, "what goes on fields of Rock Ridge")?;
        next = area(&bytes, block, &mut fields);
    }
    match next {
        None => Ok(fields),
        Some(_) => Err(disc.damaged("fields of Rock Ridge go on without end")),
    }
}

/// The fields of one area; where they go on. What is broken ends it, as what is not there.
fn area(mut bytes: &[u8], block: u64, fields: &mut SystemUse) -> Option<Continuation> {
    let mut next = None;
    while let [one, two, length @ 4..=u8::MAX, _version, ..] = bytes {
        let Some((field, rest)) = bytes.split_at_checked(usize::from(*length)) else { break };
        let data = &field[4..];
        match [*one, *two] {
            [b'S', b'T'] => break,
            // SUSP §5.1: block, offset and length, each in both byte orders.
            [b'C', b'E'] if data.len() >= 24 => {
                let at = u64::from(le32(data, 0)) * block + u64::from(le32(data, 8));
                next = Some(Continuation { at, length: u64::from(le32(data, 16)) });
            }
            signature => fields.take(signature, data),
        }
        bytes = rest;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn continuation(block: u32, length: u32) -> Vec<u8> {
        let both = |value: u32| [value.to_le_bytes(), value.to_be_bytes()].concat();
        [b"CE\x1c\x01".to_vec(), both(block), both(0), both(length)].concat()
    }

    fn disc(bytes: &[u8]) -> (tempfile::NamedTempFile, Disc) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        let disc = Disc::open(file.path()).expect("open");
        (file, disc)
    }

    #[test]
    fn a_name_goes_on_elsewhere() {
        let mut bytes = vec![0; 2_048];
        bytes.extend_from_slice(b"NM\x07\x01\x00ux");
        let (_file, disc) = disc(&bytes);
        let fields = [b"NM\x08\x01\x01lin".to_vec(), continuation(1, 7)].concat();
        let fields = read(&disc, 2_048, &fields).expect("whole");
        assert_eq!(fields.name.as_deref(), Some(&b"linux"[..]));
    }

    #[test]
    fn continuations_end() {
        let again = continuation(0, 28);
        let (_file, disc) = disc(&again);
        let error = read(&disc, 2_048, &again).expect_err("without end").to_string();
        assert!(error.contains("without end"), "{error}");
        assert!(read(&disc, 2_048, &continuation(9, 28)).is_err(), "behind the end");
        assert!(read(&disc, 2_048, &continuation(0, u32::MAX)).is_err(), "absurd");
    }

    #[test]
    fn links_and_devices_have_no_bytes() {
        let px = |mode: u32| [b"PX\x24\x01".to_vec(), mode.to_le_bytes().to_vec(), vec![0; 28]].concat();
        let (_file, disc) = disc(b"");
        let has = |mode| read(&disc, 2_048, &px(mode)).expect("whole").has_bytes(false);
        assert_eq!([0o100_644, 0o120_777, 0o020_600, 0o040_755].map(has), [true, false, false, false]);
        assert_eq!(read(&disc, 2_048, b"NM\x02\x01").expect("ends"), SystemUse::default());
    }
}

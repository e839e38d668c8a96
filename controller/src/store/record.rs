//! The stored form of entries and revisions, the same on sled and in a snapshot file.
//!
//! Integers are big-endian. An entry is `create u64, mod u64, key, value`; a revision is
//! `revision u64, count u32` and as many of `0, key` (delete) or `1, key, value` (put); a key is
//! `length u16, UTF-8`, a value `length u32, bytes`. A put's creation follows from what precedes it.

use bytes::{Buf, BufMut, Bytes, TryGetError};

use super::{Batch, Change, Entry, Key, MAX_TXN_OPERATIONS, Revision, Versioned};

const DELETE: u8 = 0;
const PUT: u8 = 1;

/// A change as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) key: Key,
    /// What was put; `None` for a delete.
    pub(super) value: Option<Bytes>,
}

/// What is wrong with stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A record ends before its content does.
    #[error("a record is cut short")]
    Short,
    /// A record goes on behind its content.
    #[error("a record holds more than it says")]
    Long,
    /// A record that decodes but contradicts itself or another.
    #[error("{0}")]
    Impossible(String),
}

impl From<TryGetError> for Damage {
    fn from(_: TryGetError) -> Self {
        Self::Short
    }
}

/// The stored form of one key that a base holds.
pub(super) fn encode_entry(key: &Key, version: &Versioned) -> Vec<u8> {
    let mut out = Vec::with_capacity(entry_len(key, version));
    out.put_u64(version.create_revision.0);
    out.put_u64(version.mod_revision.0);
    put_key(&mut out, key);
    put_value(&mut out, &version.value);
    out
}

/// The length of the stored form of one key, in bytes.
pub(super) fn entry_len(key: &Key, version: &Versioned) -> usize {
    8 + 8 + 2 + key.len() + 4 + version.value.len()
}

pub(super) fn decode_entry(mut bytes: &[u8]) -> Result<Entry, Damage> {
    let create_revision = Revision(bytes.try_get_u64()?);
    let mod_revision = Revision(bytes.try_get_u64()?);
    let key = get_key(&mut bytes)?;
    let value = get_value(&mut bytes)?;
    end(bytes)?;
    Ok(Entry { key, version: Versioned { value, mod_revision, create_revision } })
}

/// The stored form of one revision.
pub(super) fn encode_batch(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u64(batch.revision.0);
    let count = u32::try_from(batch.changes.len()).expect("a transaction changes 128 keys at most");
    out.put_u32(count);
    for Change { key, now, before: _ } in &batch.changes {
        out.put_u8(if now.is_some() { PUT } else { DELETE });
        put_key(&mut out, key);
        if let Some(version) = now {
            put_value(&mut out, &version.value);
        }
    }
    out
}

pub(super) fn decode_batch(mut bytes: &[u8]) -> Result<(Revision, Vec<Write>), Damage> {
    let revision = Revision(bytes.try_get_u64()?);
    let count = bytes.try_get_u32()?;
    if count == 0 || count as usize > MAX_TXN_OPERATIONS {
        return Err(Damage::Impossible(format!("revision {revision} claims {count} changes")));
    }
    let writes = (0..count).map(|_| get_write(&mut bytes)).collect::<Result<_, _>>()?;
    end(bytes)?;
    Ok((revision, writes))
}

fn get_write(bytes: &mut &[u8]) -> Result<Write, Damage> {
    let kind = bytes.try_get_u8()?;
    let key = get_key(bytes)?;
    let value = match kind {
        DELETE => None,
        PUT => Some(get_value(bytes)?),
        other => return Err(Damage::Impossible(format!("key {key} has a change of unknown kind {other}"))),
    };
    Ok(Write { key, value })
}

fn put_key(out: &mut Vec<u8>, key: &Key) {
    out.put_u16(u16::try_from(key.len()).expect("a key has 1024 bytes at most"));
    out.put_slice(key.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Bytes) {
    out.put_u32(u32::try_from(value.len()).expect("a transaction has 1.5 MiB at most"));
    out.put_slice(value);
}

fn get_key(bytes: &mut &[u8]) -> Result<Key, Damage> {
    let len = usize::from(bytes.try_get_u16()?);
    let text = std::str::from_utf8(take(bytes, len)?);
    let text = text.map_err(|error| Damage::Impossible(format!("a key is not UTF-8: {error}")))?;
    Key::parse(text).map_err(|error| Damage::Impossible(error.to_string()))
}

/// Copies, so that a small value does not keep a large record in memory.
fn get_value(bytes: &mut &[u8]) -> Result<Bytes, Damage> {
    let len = bytes.try_get_u32()? as usize;
    Ok(Bytes::copy_from_slice(take(bytes, len)?))
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], Damage> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(Damage::Short)?;
    *bytes = rest;
    Ok(taken)
}

fn end(rest: &[u8]) -> Result<(), Damage> {
    if rest.is_empty() { Ok(()) } else { Err(Damage::Long) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(value: &'static str) -> Versioned {
        Versioned { value: value.into(), mod_revision: Revision(7), create_revision: Revision(3) }
    }

    fn key(text: &str) -> Key {
        Key::parse(text).expect("tests use good keys")
    }

    fn batch() -> Batch {
        let put = Change { key: key("/a"), now: Some(version("one")), before: None };
        let delete = Change { key: key("/b"), now: None, before: Some(version("two")) };
        Batch { revision: Revision(7), changes: vec![put, delete] }
    }

    /// These bytes are on disks: a build that reads them differently needs a new format number.
    #[test]
    fn stored_forms_do_not_change() {
        let entry = encode_entry(&key("/a"), &version("one"));
        assert_eq!(entry, b"\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x07\0\x02/a\0\0\0\x03one");
        assert_eq!(
            encode_batch(&batch()),
            b"\0\0\0\0\0\0\0\x07\0\0\0\x02\x01\0\x02/a\0\0\0\x03one\0\0\x02/b"
        );
    }

    #[test]
    fn every_cut_and_every_addition_is_noticed() {
        let entry = encode_entry(&key("/a"), &version("one"));
        assert_eq!(entry.len(), entry_len(&key("/a"), &version("one")));
        assert_eq!(decode_entry(&entry), Ok(Entry { key: key("/a"), version: version("one") }));
        let stored = encode_batch(&batch());
        let writes =
            vec![Write { key: key("/a"), value: Some("one".into()) }, Write { key: key("/b"), value: None }];
        assert_eq!(decode_batch(&stored), Ok((Revision(7), writes)));

        for cut in 0..entry.len() {
            assert_eq!(decode_entry(&entry[..cut]), Err(Damage::Short), "cut at {cut}");
        }
        for cut in 0..stored.len() {
            assert_eq!(decode_batch(&stored[..cut]), Err(Damage::Short), "cut at {cut}");
        }
        assert_eq!(decode_entry(&[entry.as_slice(), b"x"].concat()), Err(Damage::Long));
        assert_eq!(decode_batch(&[stored.as_slice(), b"x"].concat()), Err(Damage::Long));
    }
}

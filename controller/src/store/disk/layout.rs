//! Which keys and values sled sees.
//!
//! ```text
//! m                              format u32, epoch u64, compacted u64, revision u64
//! d SHA-256(key) chunk u16       an entry of the base, 4 KiB of it
//! l revision u64 chunk u16       a revision of the log, 4 KiB of it
//! ```
//!
//! The base is what the store held at `compacted`; the log has each revision after it. Our own keys
//! are hashed because sled's index nodes hold 256 keys, and must stay as small as its leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Buf;
use sha2::{Digest, Sha256};

use crate::store::medium::MediumError;
use crate::store::record::{Damage, decode_batch, decode_entry, encode_batch, encode_entry, entry_len};
use crate::store::state::State;
use crate::store::{Batch, Entry, Epoch, Key, Revision, Versioned};

const FORMAT: u32 = 1;
const NUMBERS: &[u8] = b"m";
const BASE: u8 = b'd';
const LOG: u8 = b'l';
/// Sixteen chunks and their keys stay far below the 128 KiB at which sled leaves its own file.
pub(super) const CHUNK_BYTES: usize = 4096;
/// Entries of the base that are written at a time.
const ENTRIES_PER_BATCH: usize = 256;

/// The numbers of a database, and how to write what comes next.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    epoch: Epoch,
    compacted: Revision,
    revision: Revision,
}

impl Layout {
    pub(super) fn of(state: &State) -> Self {
        Self { epoch: state.epoch(), compacted: state.compacted(), revision: state.revision() }
    }

    /// Adds revisions to the log.
    pub(super) fn append(&mut self, batches: &[Arc<Batch>]) -> sled::Batch {
        let mut out = sled::Batch::default();
        for batch in batches {
            insert(&mut out, &log_prefix(batch.revision), &encode_batch(batch));
            self.revision = self.revision.max(batch.revision);
        }
        out.insert(NUMBERS, self.encode());
        out
    }

    /// Moves revisions from the start of the log to the base.
    pub(super) fn fold(&mut self, batches: &[Arc<Batch>]) -> sled::Batch {
        let mut out = sled::Batch::default();
        for batch in batches {
            remove(&mut out, &log_prefix(batch.revision), 0..chunks(encode_batch(batch).len()));
            self.compacted = batch.revision;
        }
        for (key, Folded { before, now }) in folded(batches) {
            let prefix = base_prefix(key);
            let had = before.map_or(0, |version| chunks(entry_len(key, version)));
            let has = now.map_or(0, |version| chunks(entry_len(key, version)));
            if let Some(version) = now {
                insert(&mut out, &prefix, &encode_entry(key, version));
            }
            remove(&mut out, &prefix, has..had);
        }
        out.insert(NUMBERS, self.encode());
        out
    }

    /// The numbers alone.
    pub(super) fn numbers(&self) -> sled::Batch {
        let mut out = sled::Batch::default();
        out.insert(NUMBERS, self.encode());
        out
    }

    fn encode(&self) -> Vec<u8> {
        let numbers = [self.epoch.0, self.compacted.0, self.revision.0].map(u64::to_be_bytes);
        [FORMAT.to_be_bytes().as_slice(), numbers.as_flattened()].concat()
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, ReadBackError> {
        if bytes.len() != 4 + 3 * 8 {
            return Err(ReadBackError::NoNumbers);
        }
        let found = bytes.get_u32();
        if found != FORMAT {
            return Err(ReadBackError::Format { found });
        }
        let [epoch, compacted, revision] = [bytes.get_u64(), bytes.get_u64(), bytes.get_u64()];
        Ok(Self { epoch: Epoch(epoch), compacted: Revision(compacted), revision: Revision(revision) })
    }
}

/// The base of a state, some entries at a time.
pub(super) fn base(state: &State) -> Vec<sled::Batch> {
    let write = |entries: &[Entry]| {
        let mut out = sled::Batch::default();
        for Entry { key, version } in entries {
            insert(&mut out, &base_prefix(key), &encode_entry(key, version));
        }
        out
    };
    state.base().chunks(ENTRIES_PER_BATCH).map(write).collect()
}

/// Why a database that sled opened is not a store.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadBackError {
    #[error("it has no record of its revisions")]
    NoNumbers,
    #[error("it has format {found}; this version reads format {FORMAT}")]
    Format { found: u32 },
    #[error("it holds a key that no store writes")]
    UnknownKey,
    #[error("its log ends at revision {log}, and its numbers say {numbers}")]
    LogEnd { log: Revision, numbers: Revision },
    #[error("{0}")]
    Damage(#[from] Damage),
    #[error("{0}")]
    Medium(#[from] MediumError),
}

/// Reads a whole database, and checks that its log and its numbers agree.
pub(super) fn read(db: &sled::Db) -> Result<State, ReadBackError> {
    let numbers = db.get(NUMBERS).map_err(MediumError::from)?.ok_or(ReadBackError::NoNumbers)?;
    let Layout { epoch, compacted, revision } = Layout::decode(&numbers)?;
    let mut base = Vec::new();
    let mut log = Vec::new();
    for Record { prefix, bytes } in records(db)? {
        match prefix.first() {
            Some(&BASE) => {
                let entry = decode_entry(&bytes)?;
                if base_prefix(&entry.key) != prefix {
                    return Err(Damage::Impossible(format!("key {} is in another's place", entry.key)).into());
                }
                base.push(entry);
            }
            Some(&LOG) => log.push(decode_batch(&bytes)?),
            Some(_) | None => return Err(ReadBackError::UnknownKey),
        }
    }
    let mut state = State::from_base(epoch, compacted, base)?;
    for (revision, writes) in log {
        state.replay(revision, writes)?;
    }
    if state.revision() != revision {
        return Err(ReadBackError::LogEnd { log: state.revision(), numbers: revision });
    }
    Ok(state)
}

/// A record as sled holds it, put together.
struct Record {
    /// Its key without the number of the chunk.
    prefix: Vec<u8>,
    bytes: Vec<u8>,
}

/// All records but the numbers, in sled's order, each put together from its chunks.
fn records(db: &sled::Db) -> Result<Vec<Record>, ReadBackError> {
    let mut records: Vec<Record> = Vec::new();
    let mut next_chunk = 0;
    for item in db.iter() {
        let (key, bytes) = item.map_err(MediumError::from)?;
        if key == NUMBERS {
            continue;
        }
        let (prefix, chunk) = key.split_last_chunk::<2>().ok_or(ReadBackError::UnknownKey)?;
        match records.last_mut() {
            Some(last) if last.prefix == prefix => last.bytes.extend_from_slice(&bytes),
            Some(_) | None => {
                records.push(Record { prefix: prefix.to_vec(), bytes: bytes.to_vec() });
                next_chunk = 0;
            }
        }
        if u16::from_be_bytes(*chunk) != next_chunk {
            return Err(Damage::Impossible("a record misses a part".to_owned()).into());
        }
        next_chunk = next_chunk.saturating_add(1);
    }
    Ok(records)
}

/// What a run of revisions made of one key.
struct Folded<'a> {
    before: Option<&'a Versioned>,
    now: Option<&'a Versioned>,
}

fn folded(batches: &[Arc<Batch>]) -> BTreeMap<&Key, Folded<'_>> {
    let mut keys = BTreeMap::new();
    for change in batches.iter().flat_map(|batch| &batch.changes) {
        let folded = keys.entry(&change.key).or_insert(Folded { before: change.before.as_ref(), now: None });
        folded.now = change.now.as_ref();
    }
    keys
}

fn log_prefix(revision: Revision) -> Vec<u8> {
    [&[LOG], revision.0.to_be_bytes().as_slice()].concat()
}

fn base_prefix(key: &Key) -> Vec<u8> {
    [&[BASE], Sha256::digest(key.as_bytes()).as_slice()].concat()
}

fn chunks(len: usize) -> u16 {
    u16::try_from(len.div_ceil(CHUNK_BYTES)).expect("a record of 1.5 MiB has 400 chunks at most")
}

fn chunk_key(prefix: &[u8], chunk: u16) -> Vec<u8> {
    [prefix, &chunk.to_be_bytes()].concat()
}

fn insert(out: &mut sled::Batch, prefix: &[u8], record: &[u8]) {
    for (chunk, bytes) in (0..).zip(record.chunks(CHUNK_BYTES)) {
        out.insert(chunk_key(prefix, chunk), bytes);
    }
}

fn remove(out: &mut sled::Batch, prefix: &[u8], chunks: std::ops::Range<u16>) {
    for chunk in chunks {
        out.remove(chunk_key(prefix, chunk));
    }
}

//! A whole store at one revision, as one file: for backups, restores and moving between engines.
//!
//! ```text
//! "BOOTLANE-STORE\n"  format u32  epoch u64  compacted u64  revision u64
//! ( 'e' length u32 entry )*      what the store held at `compacted`
//! ( 'r' length u32 revision )*   each revision after it, oldest first
//! 'z' 0 u32                      nothing follows but
//! SHA-256 of all bytes before it
//! ```
//!
//! Integers are big-endian; `record.rs` has the two kinds of record. The whole file is read and
//! verified before anything is made of it. It holds what the store holds: sealed secrets stay sealed.

use std::io::{self, BufReader, BufWriter, Read, Write};

use bytes::Buf;
use sha2::{Digest, Sha256};

use super::record::{Damage, decode_batch, decode_entry, encode_batch, encode_entry};
use super::state::State;
use super::{Epoch, MAX_TXN_BYTES, Revision};

const MAGIC: &[u8; 15] = b"BOOTLANE-STORE\n";
const FORMAT: u32 = 1;
const ENTRY: u8 = b'e';
const REVISION: u8 = b'r';
const END: u8 = b'z';

/// No record is longer than the transaction that wrote it, and its framing.
const MAX_RECORD_BYTES: usize = MAX_TXN_BYTES + 4096;

/// A whole store at one revision, with its history since compaction. Cheap to hold: it shares the
/// values with the store that it was taken from.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) state: State,
}

impl Snapshot {
    /// The revision that the snapshot was taken at.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.state.revision()
    }

    /// The epoch of the store that it was taken from.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.state.epoch()
    }

    /// Writes the snapshot. Blocks; the caller syncs and renames where it writes to a file.
    pub fn write_to(&self, writer: impl Write) -> io::Result<()> {
        let mut out = Hashed::new(BufWriter::new(writer));
        let state = &self.state;
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT.to_be_bytes())?;
        for number in [state.epoch().0, state.compacted().0, state.revision().0] {
            out.write_all(&number.to_be_bytes())?;
        }
        for entry in state.base() {
            write_record(&mut out, ENTRY, &encode_entry(&entry.key, &entry.version))?;
        }
        for batch in state.log() {
            write_record(&mut out, REVISION, &encode_batch(batch))?;
        }
        write_record(&mut out, END, &[])?;
        let digest = out.digest();
        out.inner.write_all(&digest)?;
        out.inner.flush()
    }

    /// Reads a snapshot and verifies all of it. Blocks.
    pub fn read_from(reader: impl Read) -> Result<Self, SnapshotError> {
        let mut input = Hashed::new(BufReader::new(reader));
        let header = Header::read(&mut input)?;
        let (entries, revisions) = read_records(&mut input)?;
        verify_digest(&mut input)?;
        // Only now is it known that these are the bytes that were written.
        let base = entries.iter().map(|bytes| decode_entry(bytes)).collect::<Result<Vec<_>, _>>()?;
        let mut state = State::from_base(header.epoch, header.compacted, base)?;
        for bytes in revisions {
            let (revision, writes) = decode_batch(&bytes)?;
            state.replay(revision, writes)?;
        }
        if state.revision() != header.revision {
            let text = format!("it ends at revision {}, not at {}", state.revision(), header.revision);
            return Err(Damage::Impossible(text).into());
        }
        Ok(Self { state })
    }

    /// The state that an import of this snapshot makes of a store in epoch `replaced`.
    pub(super) fn into_state(self, import_as: ImportAs, replaced: Epoch) -> State {
        let own = self.state.epoch();
        match import_as {
            ImportAs::Moved => self.state,
            ImportAs::Restored { at_least } => {
                let above = Epoch(own.max(replaced).0.saturating_add(1));
                self.state.in_epoch(above.max(at_least))
            }
        }
    }
}

/// What a snapshot becomes where it is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportAs {
    /// The same store in a new place: keeps its epoch. Only where the old one is gone for good and
    /// took no write after the snapshot.
    Moved,
    /// A past state that becomes the present: the epoch rises above the snapshot's and the replaced
    /// store's, to `at_least` or more. Pass the wall clock in seconds, so that restoring one backup
    /// twice, on two disks, gives two epochs.
    Restored {
        /// The new epoch is not below this.
        at_least: Epoch,
    },
}

/// Why a file is not a snapshot. Nothing was made of it.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It could not be read.
    #[error("snapshot cannot be read")]
    Io(#[source] io::Error),
    /// It is some other file.
    #[error("not a snapshot of a Bootlane store")]
    NotASnapshot,
    /// It was written by another version.
    #[error("snapshot has format {found}; this version reads format {FORMAT}")]
    Format {
        /// The number in its header.
        found: u32,
    },
    /// It ends too early.
    #[error("snapshot is truncated; use a complete copy")]
    Truncated,
    /// Its bytes are not those that were written.
    #[error("snapshot is damaged: its SHA-256 does not match; use another copy")]
    Digest,
    /// More bytes follow its end.
    #[error("snapshot is followed by other data; use a clean copy")]
    Trailing,
    /// Its records contradict each other.
    #[error("snapshot is damaged; use another copy")]
    Damaged(#[from] Damage),
}

/// Why an import did not happen. The store is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The medium failed while it took the snapshot.
    #[error("the snapshot could not be written: {cause}")]
    Failed {
        /// What the medium said.
        cause: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        match error.kind() == io::ErrorKind::UnexpectedEof {
            true => Self::Truncated,
            false => Self::Io(error),
        }
    }
}

struct Header {
    epoch: Epoch,
    compacted: Revision,
    revision: Revision,
}

impl Header {
    fn read(input: &mut impl Read) -> Result<Self, SnapshotError> {
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let mut format = [0; 4];
        input.read_exact(&mut format)?;
        let found = u32::from_be_bytes(format);
        if found != FORMAT {
            return Err(SnapshotError::Format { found });
        }
        let mut numbers = [0; 24];
        input.read_exact(&mut numbers)?;
        let mut numbers = numbers.as_slice();
        Ok(Self {
            epoch: Epoch(numbers.get_u64()),
            compacted: Revision(numbers.get_u64()),
            revision: Revision(numbers.get_u64()),
        })
    }
}

fn write_record(out: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    out.write_all(&[kind])?;
    out.write_all(&len.to_be_bytes())?;
    out.write_all(bytes)
}

type Records = Vec<Vec<u8>>;

/// All entries and all revisions, up to the end mark.
fn read_records(input: &mut impl Read) -> Result<(Records, Records), SnapshotError> {
    let (mut entries, mut revisions) = (Vec::new(), Vec::new());
    loop {
        let mut head = [0; 5];
        input.read_exact(&mut head)?;
        let [kind, len @ ..] = head;
        let len = u32::from_be_bytes(len) as usize;
        if len > MAX_RECORD_BYTES {
            return Err(Damage::Impossible(format!("a record claims {len} bytes")).into());
        }
        let mut bytes = vec![0; len];
        input.read_exact(&mut bytes)?;
        match kind {
            ENTRY => entries.push(bytes),
            REVISION => revisions.push(bytes),
            END => return Ok((entries, revisions)),
            other => return Err(Damage::Impossible(format!("a record has unknown kind {other}")).into()),
        }
    }
}

fn verify_digest<R: Read>(input: &mut Hashed<R>) -> Result<(), SnapshotError> {
    let computed = input.digest();
    let mut stored = [0; 32];
    input.inner.read_exact(&mut stored)?;
    if stored != computed {
        return Err(SnapshotError::Digest);
    }
    match input.inner.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(SnapshotError::Trailing),
    }
}

/// Hashes what passes through.
struct Hashed<T> {
    inner: T,
    sha256: Sha256,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Self { inner, sha256: Sha256::new() }
    }

    fn digest(&self) -> [u8; 32] {
        self.sha256.clone().finalize().into()
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.sha256.update(&bytes[..read]);
        Ok(read)
    }
}

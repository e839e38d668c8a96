//! The archive's frame: sections between a magic and a digest, written and read once from front to back.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::restore::RestoreError;

const MAGIC: &[u8; 16] = b"BOOTLANE-BACKUP\n";
const FORMAT: u32 = 1;
pub(super) const ABOUT: u8 = b'h';
pub(super) const AUTHORITY: u8 = b'a';
pub(super) const STORE: u8 = b's';
pub(super) const KEY: u8 = b'k';
/// The longest section; a claim beyond it is damage, and costs no memory.
const LONGEST: u64 = 1024 * 1024;
/// The longest piece of the store's snapshot.
const PIECE: usize = 256 * 1024;

/// Writes an archive.
pub(super) struct Writer<W> {
    out: W,
    sha256: Sha256,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(out: W) -> io::Result<Self> {
        let mut archive = Self { out, sha256: Sha256::new() };
        archive.put(MAGIC)?;
        archive.put(&FORMAT.to_be_bytes())?;
        Ok(archive)
    }

    pub(super) fn section(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        self.put(&[kind])?;
        self.put(&(bytes.len() as u64).to_be_bytes())?;
        self.put(bytes)
    }

    /// Takes any number of bytes, as pieces of the store's snapshot.
    pub(super) fn pieces(&mut self) -> Pieces<'_, W> {
        Pieces(self)
    }

    /// SHA-256 of everything so far.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.sha256.clone().finalize().into()
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        let digest = self.digest();
        self.out.write_all(&digest)?;
        self.out.flush()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sha256.update(bytes);
        self.out.write_all(bytes)
    }
}

pub(super) struct Pieces<'a, W>(&'a mut Writer<W>);

impl<W: Write> Write for Pieces<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(PIECE)];
        self.0.section(STORE, piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.out.flush()
    }
}

/// Reads an archive.
pub(super) struct Reader<R> {
    input: R,
    sha256: Sha256,
    /// The head of the section that comes next, if it was read already, and the digest of all before it.
    next: Option<Head>,
}

#[derive(Clone, Copy)]
struct Head {
    kind: u8,
    length: u64,
    before: [u8; 32],
}

impl<R: Read> Reader<R> {
    pub(super) fn begin(input: R) -> Result<Self, RestoreError> {
        let mut archive = Self { input, sha256: Sha256::new(), next: None };
        let mut magic = [0; MAGIC.len()];
        archive.take(&mut magic)?;
        if &magic != MAGIC {
            return Err(RestoreError::NotABackup);
        }
        let mut format = [0; 4];
        archive.take(&mut format)?;
        match u32::from_be_bytes(format) {
            FORMAT => Ok(archive),
            found => Err(RestoreError::Format { found }),
        }
    }

    /// The bytes of the next section, which must be of this kind, and the digest of all before it.
    pub(super) fn section(&mut self, kind: u8) -> Result<(Vec<u8>, [u8; 32]), RestoreError> {
        let head = self.head()?;
        if head.kind != kind {
            return Err(RestoreError::Damaged);
        }
        self.next = None;
        let mut bytes = vec![0; usize::try_from(head.length).map_err(|_| RestoreError::Damaged)?];
        self.take(&mut bytes)?;
        Ok((bytes, head.before))
    }

    /// The store's snapshot, out of its pieces.
    pub(super) fn pieces(&mut self) -> Joined<'_, R> {
        Joined { archive: self, piece: Vec::new(), at: 0 }
    }

    /// The end of the archive: the digest, and nothing behind it.
    pub(super) fn end(mut self) -> Result<(), RestoreError> {
        let computed: [u8; 32] = self.sha256.clone().finalize().into();
        let mut stored = [0; 32];
        self.take(&mut stored)?;
        if stored != computed {
            return Err(RestoreError::Damaged);
        }
        match self.input.read(&mut [0]).map_err(RestoreError::Read)? {
            0 => Ok(()),
            _ => Err(RestoreError::Trailing),
        }
    }

    fn head(&mut self) -> Result<Head, RestoreError> {
        if let Some(head) = self.next {
            return Ok(head);
        }
        let before = self.sha256.clone().finalize().into();
        let mut bytes = [0; 9];
        self.take(&mut bytes)?;
        let [kind, length @ ..] = bytes;
        let length = u64::from_be_bytes(length);
        if length > LONGEST {
            return Err(RestoreError::Damaged);
        }
        let head = Head { kind, length, before };
        self.next = Some(head);
        Ok(head)
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), RestoreError> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() == io::ErrorKind::UnexpectedEof {
            true => RestoreError::Truncated,
            false => RestoreError::Read(error),
        })?;
        self.sha256.update(&*bytes);
        Ok(())
    }
}

/// Reads the pieces of the snapshot as one.
pub(super) struct Joined<'a, R> {
    archive: &'a mut Reader<R>,
    piece: Vec<u8>,
    at: usize,
}

impl<R: Read> Read for Joined<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if self.archive.head().map_err(io::Error::other)?.kind != STORE {
                return Ok(0);
            }
            self.piece = self.archive.section(STORE).map_err(io::Error::other)?.0;
            self.at = 0;
        }
        let count = out.len().min(self.piece.len() - self.at);
        out[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

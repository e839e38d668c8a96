//! What the server may serve, as the agent's core tells it.

use std::fs::File;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use netboot::tftp::{Name, Refusal};
use tokio::sync::watch;

/// Finds what a machine asks for.
pub trait Library: Send + Sync + 'static {
    /// Opens `name` for `peer`. A name that does not exist is refused with
    /// [`netboot::tftp::ErrorCode::FILE_NOT_FOUND`], at once; a peer that is none of ours with
    /// [`Refusal::Silence`] (S4).
    fn open(&self, peer: SocketAddr, name: &Name) -> impl Future<Output = Answer> + Send;
}

/// What a machine that asks for a file gets.
#[derive(Debug)]
pub struct Answer {
    /// The file, or why there is none for it.
    pub outcome: Result<Source, Refusal>,
    /// From the listening port, for machines that take it from no other (QUIRKS 43).
    pub single_port: bool,
}

impl From<Result<Source, Refusal>> for Answer {
    /// In the usual way, from a port of the transfer's own.
    fn from(outcome: Result<Source, Refusal>) -> Self {
        Self { outcome, single_port: false }
    }
}

/// An opened file.
#[derive(Debug, Clone)]
pub enum Source {
    /// A rendered file, in memory.
    Bytes(Bytes),
    /// A file on disk that does not change, except that it may still be arriving.
    File {
        /// It, open for reading.
        file: Arc<File>,
        /// Its whole size in bytes.
        size: u64,
        /// How many bytes from its start are there; none if all are. A sender that goes away before it said
        /// `size` means that the rest will not come.
        arrived: Option<watch::Receiver<u64>>,
    },
}

impl Source {
    /// The file's whole size in bytes.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }

    /// How many bytes from its start can be read now.
    pub(super) fn available(&self) -> u64 {
        match self {
            Self::Bytes(_) | Self::File { arrived: None, .. } => self.size(),
            Self::File { arrived: Some(arrived), .. } => *arrived.borrow(),
        }
    }

    /// The news of its arrival, if it is still arriving.
    pub(super) fn arrival(&self) -> Option<watch::Receiver<u64>> {
        match self {
            Self::Bytes(_) | Self::File { arrived: None, .. } => None,
            Self::File { arrived: Some(arrived), .. } => Some(arrived.clone()),
        }
    }

    pub(super) fn is_in_memory(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::File { .. } => false,
        }
    }

    /// Fills all of `parts`, one after the other, with the bytes from `offset` on: with one call, if the file gives all
    /// at once.
    pub(super) fn read_parts(&self, offset: u64, parts: &mut [IoSliceMut<'_>]) -> io::Result<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if let Self::File { file, .. } = self
            && rustix::io::preadv(file, parts, offset).is_ok_and(|read| read == len)
        {
            return Ok(());
        }
        let mut offset = offset;
        for part in parts {
            self.read(offset, part)?;
            offset += part.len() as u64;
        }
        Ok(())
    }

    /// Fills `into` with the bytes from `offset` on.
    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.read_exact_at(into, offset),
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).map_err(io::Error::other)?;
                let from = start.checked_add(into.len()).and_then(|end| bytes.get(start..end));
                into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

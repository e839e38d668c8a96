//! ECMA-167 4/14.9 and 4/14.17: the entry of a file or folder, and the allocation descriptors that say where its bytes are.

use super::bytes::{le16, le32, le64};
use super::descriptor::{Address, BLOCK, Tag};
use super::partition::Partitions;
use crate::image::media::MediaError;
use crate::image::tree::{Content, Disc, Extent};

/// The most extents of one file; each has up to a gigabyte.
const MOST_EXTENTS: usize = 100_000;
/// As many further blocks of allocation descriptors belong to one file.
const MOST_BLOCKS: usize = 400;

/// 4/14.6.6: what an entry is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// UDF 2.2.13: the metadata file or its mirror.
    Metadata,
    /// A link, a device, a stream.
    Other,
}

/// An entry.
#[derive(Debug)]
pub(super) struct Node {
    /// What it is.
    pub(super) kind: Kind,
    /// Where it lies in the image, in bytes.
    pub(super) at: u64,
    /// Its length, in bytes.
    pub(super) length: u64,
    /// Where its bytes are.
    pub(super) content: Content,
}

impl Node {
    /// Reads the entry at this place of the image, which is in this partition.
    pub(super) fn read(
        disc: &Disc,
        at: u64,
        partition: u16,
        partitions: &Partitions,
        path: &str,
    ) -> Result<Self, MediaError> {
        let bytes = disc.read(at, BLOCK, &format!("the entry of {path:?}"))?;
        // 4/14.9 and 4/14.17: where the lengths of the extended attributes and of the allocation descriptors are.
        let (lengths, fixed) = if Tag::File.is_of(&bytes) {
            (168, 176)
        } else if Tag::ExtendedFile.is_of(&bytes) {
            (208, 216)
        } else {
            return Err(disc.damaged(format!("{path:?} has no entry of a file")));
        };
        let from = usize::try_from(le32(&bytes, lengths)).unwrap_or(usize::MAX).saturating_add(fixed);
        let until = usize::try_from(le32(&bytes, lengths + 4)).unwrap_or(usize::MAX).saturating_add(from);
        let descriptors = bytes.get(from..until);
        let descriptors =
            descriptors.ok_or_else(|| disc.damaged(format!("the entry of {path:?} is not whole")))?;
        let length = le64(&bytes, 56);
        let mut reading = Reading {
            disc,
            partitions,
            partition,
            path,
            left: length,
            extents: vec![],
            blocks: 0,
            form: Form::Short,
        };
        // 4/14.6.8, bits 0 to 2: of which form the descriptors are. 4/14.6.2: strategy 4 has one entry for each file.
        let content = match (le16(&bytes, 20), le16(&bytes, 34) & 0b111) {
            (4, form @ (0 | 1)) => {
                reading.form = if form == 0 { Form::Short } else { Form::Long };
                reading.all(descriptors)?
            }
            (4, 3) => embedded(at + from as u64, descriptors.len() as u64, length)
                .ok_or_else(|| disc.damaged(format!("{path:?} is longer than its entry")))?,
            _ => Content::Unread("it is recorded in a way of UDF that is not read"),
        };
        Ok(Self { kind: kind(bytes[27]), at, length, content })
    }
}

fn kind(file_type: u8) -> Kind {
    match file_type {
        4 => Kind::Folder,
        5 => Kind::File,
        250 | 251 => Kind::Metadata,
        _ => Kind::Other,
    }
}

/// The bytes of a small file stand in its entry.
fn embedded(at: u64, room: u64, length: u64) -> Option<Content> {
    let extents = if length == 0 { vec![] } else { vec![Extent::Bytes { at, length }] };
    (length <= room).then_some(Content::Extents(extents))
}

/// 4/14.14: short descriptors have a block of the file's own partition, long ones name that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Short,
    Long,
}

struct Reading<'a> {
    disc: &'a Disc,
    partitions: &'a Partitions,
    partition: u16,
    path: &'a str,
    form: Form,
    /// Of the file's bytes, without a descriptor so far.
    left: u64,
    extents: Vec<Extent>,
    /// Further blocks of descriptors so far.
    blocks: usize,
}

impl Reading<'_> {
    fn all(mut self, descriptors: &[u8]) -> Result<Content, MediaError> {
        let mut next = self.some(descriptors)?;
        while let Some(address) = next {
            self.blocks += 1;
            if self.blocks > MOST_BLOCKS {
                return Err(self.wrong("has allocation descriptors without end"));
            }
            let more = self.more(address)?;
            next = self.some(&more)?;
        }
        match self.left {
            0 => Ok(Content::Extents(self.extents)),
            left => Err(self.wrong(&format!("has no place for {left} of its bytes"))),
        }
    }

    /// Takes descriptors until they end; where they go on.
    fn some(&mut self, descriptors: &[u8]) -> Result<Option<Address>, MediaError> {
        let size = match self.form {
            Form::Short => 8,
            Form::Long => 16,
        };
        for descriptor in descriptors.chunks_exact(size) {
            let address = match self.form {
                Form::Short => Address { block: le32(descriptor, 4), partition: self.partition },
                Form::Long => Address::of_long(descriptor),
            };
            // 4/14.14.1.1: the two highest bits say what the extent is; a length of 0 ends the descriptors.
            let (what, length) = (le32(descriptor, 0) >> 30, le32(descriptor, 0) & 0x3fff_ffff);
            match (what, u64::from(length).min(self.left)) {
                _ if length == 0 => return Ok(None),
                (3, _) => return Ok(Some(address)),
                // What is reserved behind the end of the file.
                (_, 0) => {}
                (0, length) => self.recorded(address, length)?,
                (_, length) => self.push(Extent::Hole { length })?,
            }
        }
        Ok(None)
    }

    /// Block by block where the blocks of an extent may lie apart.
    fn recorded(&mut self, first: Address, length: u64) -> Result<(), MediaError> {
        let step = if self.partitions.is_plain(first.partition) { length } else { BLOCK };
        let mut done = 0;
        while done < length {
            let block = u32::try_from(done / BLOCK).ok().and_then(|blocks| first.block.checked_add(blocks));
            let at = block.and_then(|block| self.partitions.find(Address { block, ..first }));
            let at = at.ok_or_else(|| self.wrong("lies in no partition"))?;
            let piece = step.min(length - done);
            self.push(Extent::Bytes { at, length: piece })?;
            done += piece;
        }
        Ok(())
    }

    fn push(&mut self, extent: Extent) -> Result<(), MediaError> {
        if self.extents.len() >= MOST_EXTENTS {
            return Err(self.wrong(&format!("lies in more than {MOST_EXTENTS} pieces")));
        }
        self.left -= extent.length();
        self.extents.push(extent);
        Ok(())
    }

    /// 4/14.5: a block of further descriptors.
    fn more(&self, address: Address) -> Result<Vec<u8>, MediaError> {
        let at = self.partitions.find(address).ok_or_else(|| self.wrong("lies in no partition"))?;
        let bytes = self.disc.read(at, BLOCK, &format!("what goes on the entry of {:?}", self.path))?;
        let length = usize::try_from(le32(&bytes, 20)).unwrap_or(usize::MAX);
        let more = bytes.get(24..).and_then(|more| more.get(..length));
        more.filter(|_| Tag::Allocation.is_of(&bytes))
            .map(<[u8]>::to_vec)
            .ok_or_else(|| self.wrong("has broken allocation descriptors"))
    }

    fn wrong(&self, what: &str) -> MediaError {
        self.disc.damaged(format!("{:?} {what}", self.path))
    }
}

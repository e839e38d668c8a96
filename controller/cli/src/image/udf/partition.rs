//! ECMA-167 3/10.7 and UDF 2.2.8 to 2.2.10: partition maps, which tell where the blocks of a partition are.

use super::bytes::{le16, le32};
use super::descriptor::{Address, BLOCK, Volume};
use super::node::{Kind, Node};
use crate::image::media::MediaError;
use crate::image::tree::{Content, Disc, Extent};

/// As many maps are read; media have one or two.
const MOST_MAPS: usize = 8;

/// The partitions of a volume, in the order of their maps.
#[derive(Debug, Default)]
pub(super) struct Partitions(Vec<Partition>);

#[derive(Debug)]
enum Partition {
    /// Its blocks follow each other, from there.
    Plain { at: u64 },
    /// UDF 2.50, 2.2.10: its blocks are those of a file.
    Metadata { extents: Vec<Extent> },
}

impl Partitions {
    /// Reads the maps.
    pub(super) fn new(disc: &Disc, volume: &Volume) -> Result<Self, MediaError> {
        let mut partitions = Self::default();
        let mut maps = volume.maps.as_slice();
        while let [kind, length @ 6..=u8::MAX, ..] = maps {
            let (map, rest) = maps
                .split_at_checked(usize::from(*length))
                .ok_or_else(|| disc.damaged("a partition map is not whole"))?;
            if partitions.0.len() >= MOST_MAPS {
                return Err(disc.damaged(format!("it has more than {MOST_MAPS} partition maps")));
            }
            let partition = match kind {
                1 => Partition::Plain { at: start(disc, volume, le16(map, 4))? },
                _ => partitions.metadata(disc, volume, map)?,
            };
            partitions.0.push(partition);
            maps = rest;
        }
        Ok(partitions)
    }

    /// UDF 2.2.10: the map names the partition that the metadata file is in, that file and its mirror.
    fn metadata(&self, disc: &Disc, volume: &Volume, map: &[u8]) -> Result<Partition, MediaError> {
        let name = map.get(5..28).unwrap_or_default();
        if !name.starts_with(b"*UDF Metadata Partition") {
            let name = String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default());
            return Err(disc.damaged(format!("its partitions of the kind {name:?} are not read")));
        }
        let number = le16(map, 38);
        let start = start(disc, volume, number)?;
        // Its allocation descriptors are short: of the partition that it is in.
        let same = |partition: &Partition| matches!(partition, Partition::Plain { at } if *at == start);
        let partition = self.0.iter().position(same).and_then(|at| u16::try_from(at).ok());
        let partition = partition.ok_or_else(|| disc.damaged(format!("it has no partition {number}")))?;
        let read = |block: u32| {
            let at = start.saturating_add(u64::from(block) * BLOCK);
            Node::read(disc, at, partition, self, "the metadata file")
        };
        let node = read(le32(map, 40)).or_else(|error| read(le32(map, 44)).map_err(|_| error))?;
        match (node.kind, node.content) {
            (Kind::Metadata, Content::Extents(extents)) => Ok(Partition::Metadata { extents }),
            _ => Err(disc.damaged("its metadata file is none")),
        }
    }

    /// Where a block is in the image, in bytes; none if it is in no partition.
    pub(super) fn find(&self, address: Address) -> Option<u64> {
        let offset = u64::from(address.block) * BLOCK;
        match self.0.get(usize::from(address.partition))? {
            Partition::Plain { at } => at.checked_add(offset),
            Partition::Metadata { extents } => within(extents, offset),
        }
    }

    /// Is it one whose neighbouring blocks are neighbours in the image?
    pub(super) fn is_plain(&self, partition: u16) -> bool {
        matches!(self.0.get(usize::from(partition)), Some(Partition::Plain { .. }))
    }
}

fn start(disc: &Disc, volume: &Volume, number: u16) -> Result<u64, MediaError> {
    let found = volume.partitions.iter().rev().find(|(known, _)| *known == number);
    found.map(|(_, at)| *at).ok_or_else(|| disc.damaged(format!("it has no partition {number}")))
}

fn within(extents: &[Extent], mut offset: u64) -> Option<u64> {
    for extent in extents {
        match extent {
            Extent::Bytes { at, length } if offset < *length => return at.checked_add(offset),
            Extent::Hole { length } if offset < *length => return None,
            Extent::Bytes { length, .. } | Extent::Hole { length } => offset -= length,
        }
    }
    None
}

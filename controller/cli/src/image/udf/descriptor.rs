//! ECMA-167 parts 3 and 4: the tag of every descriptor, and those that lead from the anchor to the root folder.

use super::bytes::{le16, le32};
use super::partition::Partitions;
use crate::image::media::MediaError;
use crate::image::tree::Disc;

/// Sectors and blocks of optical media, in bytes.
pub(super) const BLOCK: u64 = 2_048;
/// 3/8.4.2.1: where an anchor is.
const ANCHOR: u64 = 256;
/// As many sectors of the volume descriptor sequence are looked at; it has at least 16.
const MOST_DESCRIPTORS: u64 = 256;

/// 3/7.2.1 and 4/7.2.1: what a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Tag {
    /// Anchor Volume Descriptor Pointer.
    Anchor = 2,
    /// Partition Descriptor.
    Partition = 5,
    /// Logical Volume Descriptor.
    LogicalVolume = 6,
    /// Terminating Descriptor.
    End = 8,
    /// File Set Descriptor.
    FileSet = 256,
    /// File Identifier Descriptor.
    Identifier = 257,
    /// Allocation Extent Descriptor.
    Allocation = 258,
    /// File Entry.
    File = 261,
    /// Extended File Entry.
    ExtendedFile = 266,
}

impl Tag {
    /// Do these bytes begin with a whole descriptor of this kind? 3/7.2: its tag has a checksum, and its body a CRC.
    pub(super) fn is_of(self, bytes: &[u8]) -> bool {
        let Some((tag, body)) = bytes.split_at_checked(16) else { return false };
        let sum = tag
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != 4)
            .fold(0_u8, |sum, (_, byte)| sum.wrapping_add(*byte));
        let Some(body) = body.get(..usize::from(le16(tag, 10))) else { return false };
        le16(tag, 0) == self as u16 && sum == tag[4] && crc(body) == le16(tag, 8)
    }
}

/// 3/7.2.6: x¹⁶ + x¹² + x⁵ + 1, from 0, the highest bit first.
pub(super) fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8)
            .fold(crc ^ u16::from(*byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}

/// A block of a partition (lb_addr, 4/7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    /// Within the partition.
    pub(super) block: u32,
    /// By its place among the partition maps.
    pub(super) partition: u16,
}

impl Address {
    /// Of a long allocation descriptor (4/14.14.2).
    pub(super) fn of_long(bytes: &[u8]) -> Self {
        Self { block: le32(bytes, 4), partition: le16(bytes, 8) }
    }
}

/// What the volume descriptor sequence says.
#[derive(Debug, Default)]
pub(super) struct Volume {
    /// Partitions: their number, and where their first block is in the image, in bytes.
    pub(super) partitions: Vec<(u16, u64)>,
    /// 3/10.7: the maps, as they stand in the logical volume descriptor.
    pub(super) maps: Vec<u8>,
    /// Where the file set descriptor is.
    pub(super) file_set: Option<Address>,
}

/// Reads the volume descriptor sequence that the anchor names, or its copy.
pub(super) fn volume(disc: &Disc) -> Result<Volume, MediaError> {
    let last = (disc.length() / BLOCK).saturating_sub(1);
    let anchor = [ANCHOR, last, last.saturating_sub(ANCHOR)].into_iter().find_map(|sector| {
        let bytes = disc.read(sector * BLOCK, 512, "an anchor").ok()?;
        Tag::Anchor.is_of(&bytes).then_some(bytes)
    });
    let anchor = anchor.ok_or_else(|| disc.damaged("it has no anchor of UDF"))?;
    // 3/10.2: the sequence and its reserve, each as length and first sector.
    match sequence(disc, le32(&anchor, 16), le32(&anchor, 20)) {
        Ok(volume) => Ok(volume),
        Err(error) => sequence(disc, le32(&anchor, 24), le32(&anchor, 28)).map_err(|_| error),
    }
}

fn sequence(disc: &Disc, length: u32, first: u32) -> Result<Volume, MediaError> {
    let mut volume = Volume::default();
    let mut newest = None;
    for sector in (0..u64::from(length) / BLOCK).take(MOST_DESCRIPTORS as usize) {
        let bytes = disc.read((u64::from(first) + sector) * BLOCK, BLOCK, "a volume descriptor")?;
        if Tag::End.is_of(&bytes) {
            break;
        } else if Tag::Partition.is_of(&bytes) {
            volume.partitions.push((le16(&bytes, 22), u64::from(le32(&bytes, 188)) * BLOCK));
        } else if Tag::LogicalVolume.is_of(&bytes) && newest <= Some(le32(&bytes, 16)) {
            // 3/8.4.3: of several the one with the highest number prevails.
            newest = Some(le32(&bytes, 16));
            logical_volume(disc, &bytes, &mut volume)?;
        }
    }
    match volume.file_set {
        Some(_) => Ok(volume),
        None => Err(disc.damaged("it has no logical volume of UDF")),
    }
}

/// 3/10.6.
fn logical_volume(disc: &Disc, bytes: &[u8], volume: &mut Volume) -> Result<(), MediaError> {
    let block = le32(bytes, 212);
    if u64::from(block) != BLOCK {
        return Err(disc.damaged(format!("its UDF has blocks of {block} bytes; those of {BLOCK} are read")));
    }
    let length = usize::try_from(le32(bytes, 264)).unwrap_or(usize::MAX);
    let maps = bytes.get(440..).and_then(|maps| maps.get(..length));
    volume.maps = maps.ok_or_else(|| disc.damaged("its partition maps are longer than a block"))?.to_vec();
    volume.file_set = Some(Address::of_long(&bytes[248..264]));
    Ok(())
}

/// 4/14.1: the root folder of the first file set.
pub(super) fn root(
    disc: &Disc,
    partitions: &Partitions,
    file_set: Option<Address>,
) -> Result<Address, MediaError> {
    let at = file_set.and_then(|address| partitions.find(address));
    let bytes = at.map(|at| disc.read(at, BLOCK, "the file set descriptor")).transpose()?;
    let bytes = bytes.filter(|bytes| Tag::FileSet.is_of(bytes));
    let bytes = bytes.ok_or_else(|| disc.damaged("it has no file set of UDF"))?;
    Ok(Address::of_long(&bytes[400..416]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_ecma_167() {
        // 3/7.2.6 gives this example.
        assert_eq!(crc(&[0x70, 0x6a, 0x77]), 0x3299);
    }

    #[test]
    fn a_tag_with_a_wrong_sum_is_none() {
        let mut bytes = vec![0; 32];
        bytes[0] = 2;
        bytes[4] = 2;
        assert!(Tag::Anchor.is_of(&bytes) && !Tag::End.is_of(&bytes) && !Tag::Anchor.is_of(&bytes[..15]));
        bytes[10] = 17;
        bytes[4] = 19;
        assert!(!Tag::Anchor.is_of(&bytes), "its body is longer than it is");
    }
}

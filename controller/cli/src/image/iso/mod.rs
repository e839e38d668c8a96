//! ISO 9660 (ECMA-119), read only: names by Rock Ridge if it is there, else Joliet, else plain ones in lower case, as
//! installers and loaders ask for them.
//!
//! Nothing in such an image is trusted. What is found goes through [`Gathering`], which bounds it; a folder that is entered
//! twice, continuations that do not end and extents behind the end of the file are mistakes that name the path.

mod record;
mod system_use;

#[cfg(test)]
mod tests;

use record::Record;
use system_use::SystemUse;

use super::media::{DEPTH, MediaError, join};
use super::tree::{Content, Disc, Extent, Gathering, Tree};

/// ECMA-119 §6.1.2: the size of a logical sector, in bytes.
const SECTOR: u64 = 2_048;
/// §6.3: where volume descriptors begin.
const DESCRIPTORS: u64 = 16;
/// As many of them are looked at.
const MOST_DESCRIPTORS: u64 = 64;

/// A volume descriptor whose folders are read.
#[derive(Debug, Clone, Copy)]
struct Volume {
    /// The size of a logical block, in bytes.
    block: u64,
    root: Place,
    names: Names,
}

/// Where the records of a folder lie.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: u64,
    length: u64,
}

/// Which names are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Those of the Rock Ridge Interchange Protocol; so many bytes stand before its fields in each record.
    RockRidge { skip: usize },
    /// UCS-2, of the supplementary descriptor.
    Joliet,
    /// Those of ECMA-119 itself.
    Plain,
}

/// Does the second sector of descriptors begin as ECMA-119 §8.1.2 says?
pub(super) fn is_iso(disc: &Disc) -> bool {
    disc.read(DESCRIPTORS * SECTOR + 1, 5, "a descriptor").is_ok_and(|magic| magic == *b"CD001")
}

/// Lists an image.
///
/// # Errors
/// [`MediaError`].
pub(super) fn list(disc: Disc) -> Result<Tree, MediaError> {
    let volume = volume(&disc)?;
    let mut listing = Listing { volume, found: Gathering::new(disc) };
    listing.walk("", volume.root, 0)?;
    Ok(listing.found.finish())
}

/// Chooses among the descriptors.
fn volume(disc: &Disc) -> Result<Volume, MediaError> {
    let (mut primary, mut joliet) = (None, None);
    for sector in DESCRIPTORS..DESCRIPTORS + MOST_DESCRIPTORS {
        let descriptor = disc.read(sector * SECTOR, SECTOR, "a volume descriptor")?;
        match (descriptor[0], &descriptor[1..6]) {
            (1, b"CD001") if primary.is_none() => primary = Some(plain(disc, &descriptor)?),
            (2, b"CD001") if is_joliet(&descriptor) => {
                joliet = Some(Volume { names: Names::Joliet, ..described(disc, &descriptor)? })
            }
            (255, _) => break,
            (_, b"CD001") => {}
            _ => break,
        }
    }
    let primary = primary.ok_or_else(|| disc.damaged("it has no primary volume descriptor"))?;
    let skip = system_use::protocol(disc, primary.block, primary.root.at)?;
    Ok(match (skip, joliet) {
        (Some(skip), _) => Volume { names: Names::RockRidge { skip }, ..primary },
        (None, Some(joliet)) => joliet,
        (None, None) => primary,
    })
}

fn plain(disc: &Disc, descriptor: &[u8]) -> Result<Volume, MediaError> {
    let volume = described(disc, descriptor)?;
    let declared = u64::from(le32(descriptor, 80)).saturating_mul(volume.block);
    let actual = disc.length();
    match declared > actual {
        true => Err(MediaError::Truncated { path: disc.path().to_owned(), declared, actual }),
        false => Ok(volume),
    }
}

/// §8.4: the size of blocks, and the record of the root.
fn described(disc: &Disc, descriptor: &[u8]) -> Result<Volume, MediaError> {
    let block = u64::from(u16::from_le_bytes([descriptor[128], descriptor[129]]));
    if !matches!(block, 512 | 1_024 | 2_048) {
        return Err(disc.damaged(format!("it has blocks of {block} bytes")));
    }
    let root = Record::parse(&descriptor[156..190]).ok_or_else(|| disc.damaged("its root is no folder"))?;
    Ok(Volume { block, root: root.place(block), names: Names::Plain })
}

/// The escape sequences of UCS-2 in its three levels (Joliet, section 1).
fn is_joliet(descriptor: &[u8]) -> bool {
    matches!(&descriptor[88..91], b"%/@" | b"%/C" | b"%/E")
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

struct Listing {
    volume: Volume,
    found: Gathering,
}

/// What a record stands for.
enum Entry {
    Folder { name: String, place: Place },
    File { name: String, content: Content },
}

impl Listing {
    fn walk(&mut self, folder: &str, place: Place, depth: usize) -> Result<(), MediaError> {
        if depth > DEPTH {
            return Err(MediaError::TooDeep { path: folder.to_owned() });
        }
        self.found.enter(folder, place.at, place.length)?;
        for entry in self.entries(folder, place)? {
            match entry {
                Entry::Folder { name, place } => self.walk(&join(folder, &name)?, place, depth + 1)?,
                Entry::File { name, content } => self.found.add(join(folder, &name)?, content)?,
            }
        }
        Ok(())
    }

    fn entries(&mut self, folder: &str, place: Place) -> Result<Vec<Entry>, MediaError> {
        let mut entries = Vec::new();
        let mut parts = Vec::new();
        let mut sector = 0;
        while sector < place.length {
            let length = SECTOR.min(place.length - sector);
            let bytes = self.found.disc().read(place.at.saturating_add(sector), length, &whose(folder))?;
            let mut rest = bytes.as_slice();
            // §6.8.1.1: a record does not cross the end of its sector, and zeros fill that.
            while let [1..=u8::MAX, ..] = rest {
                let record = Record::parse(rest).ok_or_else(|| self.broken(folder))?;
                rest = &rest[record.length..];
                if record.is_self_or_parent() {
                    continue;
                }
                self.found.count()?;
                entries.extend(self.entry(&record, &mut parts)?);
            }
            sector += SECTOR;
        }
        Ok(entries)
    }

    fn broken(&self, folder: &str) -> MediaError {
        self.found.disc().damaged(format!("{} has a broken record", whose(folder)))
    }

    /// None for what has no bytes of its own, and for the parts of a file before its last, which are kept in `parts`.
    fn entry(&self, record: &Record<'_>, parts: &mut Vec<Extent>) -> Result<Option<Entry>, MediaError> {
        let extra = match self.volume.names {
            Names::RockRidge { skip } => {
                system_use::read(self.found.disc(), self.volume.block, record.system_use(skip))?
            }
            Names::Joliet | Names::Plain => SystemUse::default(),
        };
        let name = self.name(record, &extra);
        if let Some(block) = extra.child {
            let place = self.relocated(block)?;
            return Ok(Some(Entry::Folder { name, place }));
        }
        if extra.relocated || record.is_associated() || !extra.has_bytes(record.is_folder()) {
            return Ok(None);
        }
        if record.is_folder() {
            return Ok(Some(Entry::Folder { name, place: record.place(self.volume.block) }));
        }
        let Place { at, length } = record.place(self.volume.block);
        parts.extend((length > 0).then_some(Extent::Bytes { at, length }));
        if record.goes_on() {
            return Ok(None);
        }
        let extents = std::mem::take(parts);
        let content = match (record.is_interleaved(), extra.compressed) {
            (true, _) => Content::Unread("it is interleaved with other files, which is not read"),
            (_, true) => Content::Unread("it is compressed by zisofs, which is not read"),
            (false, false) => Content::Extents(extents),
        };
        Ok(Some(Entry::File { name, content }))
    }

    fn name(&self, record: &Record<'_>, extra: &SystemUse) -> String {
        match (self.volume.names, &extra.name) {
            (Names::RockRidge { .. }, Some(name)) => String::from_utf8_lossy(name).into_owned(),
            (Names::Joliet, _) => record.joliet_name(),
            (Names::RockRidge { .. } | Names::Plain, _) => record.plain_name(),
        }
    }

    /// RRIP §4.1.5: a deep folder lies elsewhere, and its first record, of itself, has its length.
    fn relocated(&self, block: u32) -> Result<Place, MediaError> {
        let at = u64::from(block) * self.volume.block;
        let bytes = self.found.disc().read(at, SECTOR, "a relocated folder")?;
        let own = Record::parse(&bytes).filter(|own| own.is_self_or_parent());
        let own = own.ok_or_else(|| self.found.disc().damaged("a relocated folder is none"))?;
        Ok(Place { at, length: own.place(self.volume.block).length })
    }
}

fn whose(folder: &str) -> String {
    if folder.is_empty() { "the root folder".to_owned() } else { format!("the folder {folder:?}") }
}

//! UDF 1.02 to 2.50 (OSTA; ECMA-167), read only, as large ISO images and Windows' media have it: one volume with a
//! partition of its own, perhaps with a metadata partition, and blocks of 2048 bytes.
//!
//! Nothing in such an image is trusted. Descriptors are checked by their tags and checksums, every chain of them is
//! counted, and what is found goes through [`Gathering`], which bounds it.

mod bytes;
mod descriptor;
mod folder;
mod node;
mod partition;

#[cfg(test)]
mod tests;

use descriptor::{Address, BLOCK};
use folder::Identifier;
use node::{Kind, Node};
use partition::Partitions;

use super::media::{DEPTH, MediaError, join};
use super::tree::{Content, Disc, Gathering, Tree};

/// ECMA-167 2/8.1: where the volume recognition sequence begins, after what ISO 9660 has of it.
const RECOGNITION: u64 = 16;
/// As many of its sectors are looked at.
const MOST_RECOGNITION: u64 = 64;

/// Does the volume recognition sequence name ECMA-167 (2/9.1)?
pub(super) fn is_udf(disc: &Disc) -> bool {
    for sector in RECOGNITION..RECOGNITION + MOST_RECOGNITION {
        let Ok(magic) = disc.read(sector * BLOCK + 1, 5, "a descriptor") else { return false };
        match magic.as_slice() {
            b"NSR02" | b"NSR03" => return true,
            b"CD001" | b"BEA01" | b"BOOT2" | b"CDW02" => {}
            _ => return false,
        }
    }
    false
}

/// Lists an image.
///
/// # Errors
/// [`MediaError`].
pub(super) fn list(disc: Disc) -> Result<Tree, MediaError> {
    let volume = descriptor::volume(&disc)?;
    let partitions = Partitions::new(&disc, &volume)?;
    let root = descriptor::root(&disc, &partitions, volume.file_set)?;
    let mut listing = Listing { partitions, found: Gathering::new(disc) };
    listing.walk("", root, 0)?;
    Ok(listing.found.finish())
}

struct Listing {
    partitions: Partitions,
    found: Gathering,
}

impl Listing {
    fn walk(&mut self, folder: &str, address: Address, depth: usize) -> Result<(), MediaError> {
        if depth > DEPTH {
            return Err(MediaError::TooDeep { path: folder.to_owned() });
        }
        let node = self.node(folder, address)?;
        let bytes = match (node.kind, &node.content) {
            (Kind::Folder, Content::Extents(extents)) => {
                self.found.enter(folder, node.at, node.length)?;
                self.found.disc().gather(extents, &format!("the folder {folder:?}"))?
            }
            _ => return Err(self.found.disc().damaged(format!("{folder:?} is no folder"))),
        };
        let broken = || self.found.disc().damaged(format!("the folder {folder:?} has a broken identifier"));
        for identifier in folder::identifiers(&bytes).ok_or_else(broken)? {
            self.found.count()?;
            self.identifier(folder, &identifier, depth)?;
        }
        Ok(())
    }

    fn identifier(&mut self, folder: &str, identifier: &Identifier, depth: usize) -> Result<(), MediaError> {
        let path = join(folder, &identifier.name)?;
        if identifier.is_folder {
            return self.walk(&path, identifier.address, depth + 1);
        }
        let node = self.node(&path, identifier.address)?;
        match node.kind {
            Kind::File => self.found.add(path, node.content),
            // Links and devices have no bytes of their own, and nothing that we take is behind one.
            Kind::Folder | Kind::Metadata | Kind::Other => Ok(()),
        }
    }

    fn node(&self, path: &str, address: Address) -> Result<Node, MediaError> {
        let disc = self.found.disc();
        let at = self
            .partitions
            .find(address)
            .ok_or_else(|| disc.damaged(format!("{path:?} is in no partition")))?;
        Node::read(disc, at, address.partition, &self.partitions, path)
    }
}

//! Media in an ISO 9660 image: Rock Ridge names if it has them, else Joliet, else plain ones.
//!
//! Nothing in such a file is trusted: entries, depth and names are bounded here, and a file that is shorter than
//! it says is noticed when it is hashed, before anything is uploaded.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use hadris_fs::sync::Volume;
use hadris_fs::{FileType, MountOptions, OpenOptions};
use hadris_iso::sync::IsoFs;
use hadris_storage::host::FileDevice;

use super::media::{DEPTH, ENTRIES, Found, MediaError, join};

/// A listed ISO image.
pub(crate) struct Iso {
    volume: Volume<IsoFs<FileDevice>>,
    files: Vec<Found>,
}

impl fmt::Debug for Iso {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Iso").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl Iso {
    pub(super) fn open(path: &Path, actual: u64) -> Result<Self, MediaError> {
        let read = |source| MediaError::Read { path: path.to_owned(), source };
        let damaged = |why: String| MediaError::Damaged { path: path.to_owned(), why };
        let device = FileDevice::open(path).map_err(read)?;
        let iso = IsoFs::mount(device, MountOptions::new().read_only())
            .map_err(|error| damaged(error.to_string()))?;
        let info = iso.info();
        let declared = u64::from(info.block_size()) * u64::from(info.volume_space_size());
        if declared > actual {
            return Err(MediaError::Truncated { path: path.to_owned(), declared, actual });
        }
        let mut listing = Listing { volume: Volume::new(iso), entries: 0, files: Vec::new() };
        listing.walk("", 0, &damaged)?;
        let Listing { volume, mut files, .. } = listing;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { volume, files })
    }

    pub(super) fn files(&self) -> &[Found] {
        &self.files
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let file = self.volume.open(format!("/{path}"), OpenOptions::new().read());
        Ok(Box::new(file.map_err(|error| io::Error::other(error.to_string()))?))
    }
}

struct Listing {
    volume: Volume<IsoFs<FileDevice>>,
    entries: usize,
    files: Vec<Found>,
}

impl Listing {
    fn walk(
        &mut self,
        folder: &str,
        depth: usize,
        damaged: &dyn Fn(String) -> MediaError,
    ) -> Result<(), MediaError> {
        if depth > DEPTH {
            return Err(MediaError::TooDeep { path: folder.to_owned() });
        }
        let entries =
            self.volume.read_dir(format!("/{folder}")).map_err(|error| damaged(error.to_string()))?;
        for entry in entries {
            let entry = entry.map_err(|error| damaged(error.to_string()))?;
            self.entries += 1;
            if self.entries > ENTRIES {
                return Err(MediaError::TooMany);
            }
            let path = join(folder, &String::from_utf8_lossy(entry.name().as_bytes()))?;
            let kind = entry.file_type();
            if kind == FileType::Dir {
                self.walk(&path, depth + 1, damaged)?;
            } else if kind == FileType::File {
                self.files.push(Found { path, size: entry.metadata().len() });
            }
            // Links and devices have no bytes of their own, and nothing that we take is behind one.
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hadris_fs::{Content, Node, Tree};
    use hadris_iso::{IsoOptions, sync::write};

    use super::*;
    use crate::image::Media;

    fn image(path: &Path, options: &IsoOptions) -> u64 {
        let mut tree = Tree::new();
        let kernel = vec![7_u8; 300_000];
        tree.insert("install.amd/vmlinuz", Node::file(Content::bytes(kernel))).expect("inserted");
        tree.insert("install.amd/initrd.gz", Node::file(Content::bytes("ram"))).expect("inserted");
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .expect("open");
        write(FileDevice::new(file).expect("a device"), &tree, options).expect("written").size()
    }

    fn paths(media: &Media) -> Vec<(String, u64)> {
        media.files().iter().map(|found| (found.path.clone(), found.size)).collect()
    }

    #[test]
    fn files_of_an_iso_are_listed_and_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("debian.iso");
        for options in [IsoOptions::default().with_rock_ridge(), IsoOptions::default().with_joliet()] {
            image(&path, &options);
            let media = Media::open(&path, "debian.iso").expect("an ISO");
            assert_eq!(
                paths(&media),
                [("install.amd/initrd.gz".into(), 3), ("install.amd/vmlinuz".into(), 300_000)]
            );
            let mut bytes = Vec::new();
            media.read("install.amd/vmlinuz").expect("there").read_to_end(&mut bytes).expect("readable");
            assert!(bytes.len() == 300_000 && bytes.iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn a_truncated_iso_is_named_as_such() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cut.iso");
        let size = image(&path, &IsoOptions::default().with_rock_ridge());
        std::fs::File::options().write(true).open(&path).expect("open").set_len(size - 2_048).expect("cut");
        let error = Media::open(&path, "cut.iso").expect_err("cut off");
        assert!(matches!(error, MediaError::Truncated { .. }), "{error}");
    }

    #[test]
    fn a_mutated_iso_never_panics_and_keeps_to_the_caps() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hostile.iso");
        image(&path, &IsoOptions::default().with_rock_ridge());
        let good = std::fs::read(&path).expect("readable");
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..300 {
            let mut bytes = good.clone();
            for _ in 0..8 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let place = 32_768 + usize::try_from(seed >> 33).expect("31 bits") % 20_000;
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = (seed >> 24).to_le_bytes()[0];
                }
            }
            std::fs::write(&path, &bytes).expect("written");
            if let Ok(media) = Media::open(&path, "hostile.iso") {
                assert!(media.files().iter().all(|found| !found.path.split('/').any(|name| name == "..")));
            }
        }
    }
}

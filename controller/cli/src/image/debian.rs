//! Loaders from installed Debian packages, as one folder with the names that firmware and shim ask for.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::media::{Found, MediaError, join};

/// Files of packages, gathered.
#[derive(Debug)]
pub(crate) struct Gathered {
    files: Vec<Found>,
    /// Where each is, by its path here.
    places: BTreeMap<String, PathBuf>,
}

/// What is gathered for one name.
struct Recipe {
    name: &'static str,
    /// What Debian 12 calls the packages.
    packages: &'static str,
    /// A file that must be there, and under which path here.
    needed: &'static [(&'static str, &'static str)],
    /// Others.
    more: &'static [(&'static str, &'static str)],
    /// Folders whose files with one of these ends are taken too.
    folders: &'static [(&'static str, &'static [&'static str])],
}

const SYSLINUX: &str = "usr/lib/syslinux/modules/bios";
const MEMDISK: (&str, &str) = ("usr/lib/syslinux/memdisk", "memdisk");
const RECIPES: [Recipe; 4] = [
    Recipe {
        name: "ipxe",
        packages: "ipxe",
        needed: &[("usr/lib/ipxe/undionly.kpxe", "undionly.kpxe")],
        more: &[MEMDISK],
        folders: &[("usr/lib/ipxe", &[".efi", ".kpxe", ".kkpxe", ".pxe"])],
    },
    Recipe {
        name: "pxelinux",
        packages: "pxelinux and syslinux-common",
        needed: &[
            ("usr/lib/PXELINUX/pxelinux.0", "pxelinux.0"),
            ("usr/lib/syslinux/modules/bios/ldlinux.c32", "ldlinux.c32"),
        ],
        more: &[MEMDISK],
        folders: &[(SYSLINUX, &[".c32"])],
    },
    Recipe {
        name: "lpxelinux",
        packages: "pxelinux and syslinux-common",
        needed: &[
            ("usr/lib/PXELINUX/lpxelinux.0", "lpxelinux.0"),
            ("usr/lib/syslinux/modules/bios/ldlinux.c32", "ldlinux.c32"),
        ],
        more: &[MEMDISK],
        folders: &[(SYSLINUX, &[".c32"])],
    },
    Recipe {
        name: "shim-signed",
        packages: "shim-signed and grub-efi-amd64-signed",
        needed: &[
            ("usr/lib/shim/shimx64.efi.signed", "shimx64.efi"),
            ("usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed", "grubx64.efi"),
        ],
        more: &[
            ("usr/lib/shim/mmx64.efi.signed", "mmx64.efi"),
            ("usr/lib/shim/fbx64.efi.signed", "fbx64.efi"),
            ("usr/lib/shim/shimaa64.efi.signed", "shimaa64.efi"),
            ("usr/lib/shim/mmaa64.efi.signed", "mmaa64.efi"),
            ("usr/lib/grub/arm64-efi-signed/grubnetaa64.efi.signed", "grubaa64.efi"),
        ],
        folders: &[],
    },
];

impl Gathered {
    /// What the packages of `name` have put below `root`.
    ///
    /// # Errors
    /// [`MediaError::NoRecipe`], [`MediaError::NotInstalled`], or what the operating system says.
    pub(super) fn open(root: &Path, name: &str) -> Result<Self, MediaError> {
        let recipe = RECIPES.iter().find(|recipe| recipe.name == name).ok_or_else(|| {
            let known: Vec<_> = RECIPES.iter().map(|recipe| recipe.name).collect();
            MediaError::NoRecipe { name: name.to_owned(), known: known.join(", ") }
        })?;
        let mut places = BTreeMap::new();
        for (folder, ends) in recipe.folders {
            list(&root.join(folder), ends, &mut places)?;
        }
        for (place, path) in recipe.needed {
            let place = root.join(place);
            if !place.is_file() {
                return Err(MediaError::NotInstalled { path: place, packages: recipe.packages });
            }
            places.insert((*path).to_owned(), place);
        }
        let more = recipe.more.iter().map(|(place, path)| ((*path).to_owned(), root.join(place)));
        places.extend(more.filter(|(_, place)| place.is_file()));
        let size = |(path, place): (&String, &PathBuf)| match fs::metadata(place) {
            Ok(about) => Ok(Found { path: path.clone(), size: about.len() }),
            Err(source) => Err(MediaError::Read { path: place.clone(), source }),
        };
        Ok(Self { files: places.iter().map(size).collect::<Result<_, _>>()?, places })
    }

    pub(super) fn files(&self) -> &[Found] {
        &self.files
    }

    pub(super) fn read(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let place = self.places.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(File::open(place)?))
    }
}

/// The files of a folder with one of these ends; none where there is no folder.
fn list(folder: &Path, ends: &[&str], places: &mut BTreeMap<String, PathBuf>) -> Result<(), MediaError> {
    let read = |source| MediaError::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(read)?,
    };
    for entry in entries {
        let entry = entry.map_err(read)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if ends.iter().any(|end| name.ends_with(end)) && entry.path().is_file() {
            places.insert(join("", &name)?, entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for path in paths {
            let place = root.path().join(path);
            fs::create_dir_all(place.parent().expect("it has one")).expect("made");
            fs::write(place, path).expect("written");
        }
        root
    }

    #[test]
    fn shim_and_grub_get_the_names_that_are_asked_for() {
        let grub = "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed";
        let root = tree(&["usr/lib/shim/shimx64.efi.signed", grub, "usr/lib/shim/mmx64.efi.signed"]);
        let gathered = Gathered::open(root.path(), "shim-signed").expect("all there");
        let paths: Vec<_> = gathered.files().iter().map(|found| found.path.as_str()).collect();
        assert_eq!(paths, ["grubx64.efi", "mmx64.efi", "shimx64.efi"]);
        let mut text = String::new();
        gathered.read("grubx64.efi").expect("there").read_to_string(&mut text).expect("text");
        assert_eq!(text, grub);
    }

    #[test]
    fn what_is_not_installed_is_named() {
        let root = tree(&["usr/lib/PXELINUX/pxelinux.0", "usr/lib/syslinux/modules/bios/menu.c32"]);
        let error = Gathered::open(root.path(), "pxelinux").expect_err("no ldlinux.c32").to_string();
        assert!(error.contains("ldlinux.c32") && error.contains("syslinux-common"), "{error}");
        let error = Gathered::open(root.path(), "lilo").expect_err("unknown").to_string();
        assert!(error.contains("shim-signed"), "{error}");
    }
}

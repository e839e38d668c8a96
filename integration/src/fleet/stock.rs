//! What operators import: folders with the loaders, the installer environment, a disk image and Debian's installer,
//! as they would lie on an operator's disk.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::media::{self, BootFolder, DiskImage, DiskImageSpec, Flavour, Kernel, MediaError};
use crate::lab::{LabFolder, Run, packages};

/// What the lab's disk image calls itself when it starts.
pub const DISK_LABEL: &str = "lab-disk";

/// Folders to import, each with what one image consists of and nothing else.
#[derive(Debug, Clone)]
pub struct Stock {
    /// iPXE as network bootstrap programs.
    pub loaders: PathBuf,
    /// The installer environment: `linux` and `initrd.img`.
    pub installer: PathBuf,
    /// A disk image, compressed: `disk.img.gz`.
    pub disk: PathBuf,
    /// The same disk image as it will lie on a machine's disk.
    pub raw_disk: PathBuf,
}

/// What is built once and kept in the lab's folder.
#[derive(Debug)]
pub struct LabMedia {
    loaders: PathBuf,
    installer: BootFolder,
    disk: DiskImage,
}

impl LabMedia {
    /// Builds what was not built before, one process at a time; `say` is told what takes long.
    ///
    /// # Errors
    /// When a Debian package or a tool is missing.
    pub fn build(lab: &LabFolder, say: &mut dyn FnMut(&str)) -> Result<Self, MediaError> {
        let _lock = lab.lock().map_err(MediaError::file(lab.root()))?;
        let kernel = Kernel::obtain(lab, Flavour::Cloud, say)?;
        Ok(Self {
            loaders: media::loaders(lab)?,
            installer: media::installer(lab, &kernel)?,
            disk: DiskImage::obtain(lab, &kernel, &DiskImageSpec::new(DISK_LABEL), say)?,
        })
    }
}

impl Stock {
    /// Builds what was not built before; `say` is told what takes long.
    ///
    /// # Errors
    /// When a Debian package or a tool is missing.
    pub fn prepare(lab: &LabFolder, run: &Run, say: &mut dyn FnMut(&str)) -> Result<Self, MediaError> {
        let media = LabMedia::build(lab, say)?;
        let (installer, image) = (media.installer, media.disk);
        let folder = run.folder().join("stock");
        Ok(Self {
            loaders: media.loaders,
            installer: installer.folder,
            disk: gather(&folder.join("disk"), &[(&image.compressed, "disk.img.gz")])?,
            raw_disk: image.path,
        })
    }

    /// Debian's installer: `linux` and `initrd.gz`.
    ///
    /// # Errors
    /// When its package is not installed.
    pub fn debian(run: &Run) -> Result<PathBuf, MediaError> {
        let found = media::debian_netboot()?;
        let folder = run.folder().join("stock").join("debian");
        gather(&folder, &[(&found.kernel, "linux"), (&found.initrd, "initrd.gz")])
    }
}

/// The installer environment with Debian's kernel for any machine: `linux` and `initrd.img`. The usual one is for virtual
/// cards alone.
///
/// # Errors
/// When the kernel cannot be got.
pub fn installer_for_any_card(lab: &LabFolder, say: &mut dyn FnMut(&str)) -> Result<PathBuf, MediaError> {
    let _lock = lab.lock().map_err(MediaError::file(lab.root()))?;
    let kernel = Kernel::obtain(lab, Flavour::Generic, say)?;
    Ok(media::installer(lab, &kernel)?.folder)
}

/// Where Debian's shim and the GRUB that it trusts lie, as their packages would put them: they are the boot loaders of
/// whoever installs them, and nothing is to change on the machine that runs the lab.
///
/// # Errors
/// When a package cannot be got.
pub fn signed_loaders(lab: &LabFolder, run: &Run, say: &mut dyn FnMut(&str)) -> Result<PathBuf, MediaError> {
    let root = run.folder().join("stock").join("signed");
    for (package, folder) in SIGNED {
        let tree = packages::unpack(lab, package, say)?.join(folder);
        let entries = fs::read_dir(&tree).map_err(MediaError::file(&tree))?.flatten();
        let files: Vec<_> = entries.map(|entry| (entry.path(), entry.file_name())).collect();
        fs::create_dir_all(root.join(folder)).map_err(MediaError::file(&root))?;
        for (file, name) in files {
            fs::copy(&file, root.join(folder).join(name)).map_err(MediaError::file(&file))?;
        }
    }
    Ok(root)
}

/// Debian's packages for Secure Boot, and the folder of each that counts.
const SIGNED: [(&str, &str); 3] = [
    ("shim-signed", "usr/lib/shim"),
    ("shim-helpers-amd64-signed", "usr/lib/shim"),
    ("grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed"),
];

/// A folder with copies of these files under these names.
fn gather(folder: &Path, files: &[(&Path, &str)]) -> Result<PathBuf, MediaError> {
    fs::create_dir_all(folder).map_err(MediaError::file(folder))?;
    for (file, name) in files {
        fs::copy(file, folder.join(name)).map_err(MediaError::file(*file))?;
    }
    Ok(folder.to_owned())
}

//! Debian's kernel, taken out of its package and never installed.

use std::fs;
use std::path::{Path, PathBuf};

use super::MediaError;
use super::modules::{Module, ModuleTree};
use crate::lab::folder::LabFolder;
use crate::lab::packages;

/// Which of Debian's kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// For virtual machines: fewer drivers, so it starts sooner. It has virtio but no e1000.
    Cloud,
    /// For any machine, e1000 included. A larger download.
    Generic,
}

impl Flavour {
    /// Debian's package that depends on the newest kernel of this flavour.
    #[must_use]
    pub fn metapackage(self) -> &'static str {
        match self {
            Self::Cloud => "linux-image-cloud-amd64",
            Self::Generic => "linux-image-amd64",
        }
    }
}

/// An unpacked kernel package.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The package's name, which carries the kernel's version.
    pub package: String,
    /// The bzImage: a BIOS boot loader's kernel and a UEFI program in one.
    pub image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// The kernel of this flavour: the one that an earlier call unpacked, else the archive's newest.
    ///
    /// # Errors
    /// When it cannot be downloaded or unpacked, or the package holds no kernel.
    pub fn obtain(lab: &LabFolder, flavour: Flavour, say: &mut dyn FnMut(&str)) -> Result<Self, MediaError> {
        let chosen = lab.packages().join(flavour.metapackage());
        if let Ok(package) = fs::read_to_string(&chosen)
            && let Ok(kernel) = Self::open(&lab.packages().join(package.trim()), package.trim())
        {
            return Ok(kernel);
        }
        let package = packages::first_dependency(flavour.metapackage())?;
        let tree = packages::unpack(lab, &package, say)?;
        let kernel = Self::open(&tree, &package)?;
        fs::write(&chosen, &package).map_err(MediaError::file(&chosen))?;
        Ok(kernel)
    }

    fn open(tree: &Path, package: &str) -> Result<Self, MediaError> {
        let image = single(&tree.join("boot"), "vmlinuz-")?;
        let modules = single(&tree.join("lib/modules"), "")?;
        Ok(Self { package: package.to_owned(), image, modules })
    }

    pub(crate) fn modules(&self, wanted: &[&str]) -> Result<Vec<Module>, MediaError> {
        ModuleTree::read(&self.modules)?.closure(wanted)
    }
}

fn single(folder: &Path, prefix: &str) -> Result<PathBuf, MediaError> {
    fs::read_dir(folder)
        .map_err(MediaError::file(folder))?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .ok_or_else(|| MediaError::Kernel(format!("{}/{prefix}*", folder.display())))
}

//! Debian's iPXE, as a folder of boot loaders to serve.

use std::fs;
use std::path::{Path, PathBuf};

use super::MediaError;
use super::cache::Recipe;
use super::environment::copy;
use crate::lab::folder::LabFolder;

const PACKAGE_FOLDER: &str = "/usr/lib/ipxe";
/// For BIOS by the card's UNDI, for UEFI with own drivers, and for UEFI by the firmware's driver.
const NAMES: &[&str] = &["undionly.kpxe", "ipxe.efi", "snponly.efi"];

/// A folder with `undionly.kpxe`, `ipxe.efi` and `snponly.efi`.
///
/// # Errors
/// When the package `ipxe` is not installed, or the files cannot be copied.
pub fn loaders(lab: &LabFolder) -> Result<PathBuf, MediaError> {
    let mut recipe = Recipe::new("loaders", 1);
    for name in NAMES {
        let path = Path::new(PACKAGE_FOLDER).join(name);
        recipe = recipe.with(&fs::read(&path).map_err(MediaError::file(&path))?);
    }
    recipe.built(lab, |folder| {
        NAMES.iter().try_for_each(|name| copy(&Path::new(PACKAGE_FOLDER).join(name), &folder.join(name)))
    })
}

//! What machines boot: a small installer environment, a bootable disk image, boot loaders, and the
//! Debian installer. All of it from Debian packages, without root and without mounting anything.
//!
//! Built things are kept in the lab's folder under a key of everything that went into them, so a
//! changed script or kernel makes a new one and nothing has to be cleaned.

mod cache;
mod cpio;
mod disk_image;
mod environment;
mod kernel;
mod loaders;
mod modules;

pub use disk_image::{DiskImage, DiskImageSpec, make_empty_disk};
pub use environment::{BootFolder, debian_arm64, debian_netboot, installer};
pub use kernel::{Flavour, Kernel};
pub use loaders::loaders;

use std::io;
use std::path::PathBuf;

use super::packages::PackageError;

/// Failure to build or find boot media.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// A package could not be got.
    #[error("get a Debian package")]
    Package(#[from] PackageError),
    /// A file could not be read or written.
    #[error("use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The kernel package does not hold what is needed of it.
    #[error("the kernel package has no {0}")]
    Kernel(String),
    /// A tool failed, with what it said.
    #[error("`{program}`: {message}")]
    Tool {
        /// The program.
        program: String,
        /// The end of its error output.
        message: String,
    },
    /// The disk image's size leaves no room for its files.
    #[error("a disk image of {size_mib} MiB is too small; {needed_mib} MiB are needed")]
    TooSmall {
        /// What was asked for.
        size_mib: u32,
        /// What would do.
        needed_mib: u32,
    },
}

impl MediaError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

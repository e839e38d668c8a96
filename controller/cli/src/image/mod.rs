//! Importing an operating system or a set of loaders: media are listed, what their family needs is recognised,
//! hashed, and uploaded as far as the controller does not hold it.

mod checksums;
mod cutting;
mod debian;
mod download;
mod folder;
mod iso;
mod loaders;
mod magic;
mod media;
mod progress;
mod recognise;
#[cfg(test)]
mod samples;
mod signature;
mod tree;
mod udf;
mod upload;

pub(crate) use checksums::expected;
pub(crate) use download::{Download, LARGEST, is_url, without_secrets};
pub(crate) use magic::check_boot;
pub(crate) use media::{Found, Media, MediaError, check_taken};
pub(crate) use progress::Progress;
pub(crate) use recognise::{Taken, Wanted, recognise};
pub(crate) use signature::check as check_signature;
pub(crate) use upload::{Hashed, digest, hash, upload, upload_list};

/// As much is read, hashed and sent at a time, in bytes.
const CHUNK: usize = 256 * 1024;

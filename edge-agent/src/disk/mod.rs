//! What the agent keeps on disk: the mechanisms, without knowing what is kept.
//!
//! [`log`] is the write-ahead log that every durable state change goes through, [`cache`] holds image
//! blobs by their digest, [`atomic`] replaces single files, and [`space`] says how full the disk is.
//! All of it is synchronous `std::fs` code: the shell calls it from threads that may block. Records
//! and blobs are bytes here; what they mean belongs to the callers. One process owns a state directory
//! at a time, and nothing outside the agent writes there.

pub mod atomic;
pub mod cache;
mod error;
#[cfg(test)]
pub(crate) mod killed;
pub mod log;
pub mod space;
#[cfg(test)]
pub(crate) mod tiny_tmpfs;

pub use error::DiskError;

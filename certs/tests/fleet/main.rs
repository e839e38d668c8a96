//! The crate as its users see it: an authority on disk, parties on paper time, handshakes in memory.

mod authority;
mod files;
mod handshake;
mod listener;
mod paper;
mod recorded;

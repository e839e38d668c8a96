//! Under construction.

pub mod disk;
pub mod tftp;

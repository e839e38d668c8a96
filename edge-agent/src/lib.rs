//! Under construction.

pub mod dhcp;
pub mod disk;
pub mod tftp;
mod sys;

//! What the `lab` binary is made of: the machinery that boots real firmware, and the cases that use it.

pub mod bench;
pub mod binaries;
pub mod cases;
pub mod delta_bench;
pub mod fleet;
pub mod fleet_bench;
pub mod formats;
pub mod kills;
pub mod lab;
pub mod monitoring;
pub mod provoked;

//! Measurements beside what others use: `cargo lab bench`.
//!
//! A [`Work`] has [`Cell`]s, which are pieces of work, and [`Contender`]s, which are servers that do them: ours, those of
//! Debian packages, and what the kernel alone can do. [`rounds::run`] starts each contender anew for each cell, by turns
//! within one run, lets [`Work::load`] measure it, and makes a [`Report`] of medians, ratios and [`Goal`]s. Server and
//! load have a core each.
//!
//! Nothing here is a test: figures depend on the machine, and are read by people.

pub mod cache;
pub mod chart;
pub mod contender;
pub mod cores;
pub mod dhcp;
mod drain;
pub mod figures;
pub mod goals;
pub mod ground;
pub mod http;
mod lease;
pub mod limit;
pub mod load;
pub mod machine;
pub mod ours;
pub mod peers;
pub mod report;
pub mod rounds;
pub mod soak;
pub mod swarm;
pub mod table;
mod telemetry;
pub mod tftp;
pub mod tree;
pub mod trial;
pub mod unit;

pub use contender::{Contender, Role, Server};
pub use cores::Cores;
pub use figures::{Measured, Spread};
pub use goals::{Against, Bound, Goal, Measure};
pub use ground::{Ground, Place};
pub use limit::Limit;
pub use load::{Latencies, Load};
pub use ours::{Offer, Ours};
pub use report::Report;
pub use rounds::{Cell, Contenders, Options, Work};
pub use unit::Unit;

use crate::binaries::Binaries;
use crate::lab::LabFolder;

/// What a bench is run with.
pub struct Setting<'a> {
    /// Where packages and runs are.
    pub lab: &'a LabFolder,
    /// Our programs, as they are shipped.
    pub binaries: &'a Binaries,
    /// Which core is whose.
    pub cores: Cores,
    /// How.
    pub options: &'a Options,
    /// Told what happens, line by line.
    pub say: &'a dyn Fn(&str),
}

impl std::fmt::Debug for Setting<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Setting").field("options", &self.options).finish_non_exhaustive()
    }
}

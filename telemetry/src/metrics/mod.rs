//! Metrics: what there is to know of a process, defined once, gathered when somebody asks, served as text.
//!
//! A [`Definition`] is the whole truth about a metric: its name with the unit, what it means, its labels and which
//! process has it. [`all`] names them, of which `docs/metrics.md` is made. What has a number already is read
//! when somebody asks, into an [`Exposition`]; what has not is counted in [`Counters`] and [`Histograms`].
//!
//! No metric has a label for a machine: neither MAC nor host name. Labels are words of ours, and names of sites, agents
//! and mirrors, which the catalog has checked.

mod accept;
mod definition;
mod exposition;
mod live;
pub mod of_agent;
pub mod of_controller;
mod page;
mod process;
mod prometheus;
mod serve;
mod settings;

pub use definition::{Buckets, Definition, Kind, Process, Unit};
pub use exposition::{Exposition, Form, Owner, Sample};
pub use live::{Counters, Histograms, Label};
pub use page::page;
pub(crate) use process::note_start;
pub use process::process;
pub use serve::{Endpoint, Gather, gather, serve};
pub use settings::{Listen, ListenError, Metrics};

/// Every metric there is, agents' first.
pub fn all() -> impl Iterator<Item = &'static Definition> {
    of_agent::ALL.iter().chain(of_controller::ALL).copied()
}

#[cfg(test)]
mod tests;

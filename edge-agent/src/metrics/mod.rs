//! The agent's metrics: what its parts have counted and what they hold, gathered when somebody asks.
//!
//! On the way of packets and files there is at most one relaxed addition for each message and each ended transfer
//! ([`counts`](crate::counts)); everything else is read where it stands already. They are served to whoever may scrape the agent, and
//! told to the controller ([`report`]).

mod gather;
mod report;
#[cfg(test)]
mod tests;

pub use gather::{Adopted, Gatherer};
pub(crate) use report::pack;

//! What a machine would be told, fetch and run: a boot on paper, and what would fail in it.
//!
//! [`boot`] lets the paper machine of `rom` boot through the agent's own engine (`netboot::site`), which obeys the very plan that the
//! agent obeys (docs/adr/0016). It is pure and changes nothing: what the engine would write down is dropped. [`gather()`] reads what is known of the
//! site, [`judge()`] says what would fail. Secrets are taken out of the plan before anything else sees it.

mod drive;
mod end;
mod files;
mod gather;
mod hide;
mod judge;
mod other_server;
mod packet;
mod scenario;
mod step;
mod supplies;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use drive::boot;
pub(crate) use gather::{GatherError, Question, gather};
pub(crate) use judge::judge;
pub(crate) use wire::message;

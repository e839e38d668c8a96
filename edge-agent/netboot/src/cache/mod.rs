//! What the image cache fetches, in which order, from where, how fast, and for what it has room. Moves no byte itself.
//!
//! ```text
//! plan ──► need: every blob that it names, once, by the highest need
//!            │
//!            ▼
//! machines ► queue: which fetch begins next ──► room: does it fit, or does something give way (goal: what, in which order)
//!                                                 │
//!                                                 ▼
//!                         sources: whom to ask, and for how long not to ── limit: how fast, by the time of the week
//! ```
//!
//! assembly: what of a blob is copied from what is held already
//!
//! Each part is a state machine of its own, on paper time; the fetcher in `edge-agent` puts them together.

pub mod assembly;
pub mod goal;
pub mod limit;
pub mod need;
pub mod queue;
pub mod room;
pub mod sources;

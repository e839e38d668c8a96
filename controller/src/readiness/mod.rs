//! Whether sites hold what machines there are to fetch: judged from what agents said they lack, with the time that the
//! rest will take; and orders that are armed when all is there, or end because it was not in time.
//!
//! [`judge`] and [`eta`] are pure. [`view`] gathers the facts, [`arming`] acts on them.

pub(crate) mod arming;
mod eta;
mod judge;
mod view;

pub(crate) use view::{Images, SiteReadiness, of_image, of_order};

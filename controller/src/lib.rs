//! Under construction.

pub mod catalog;
pub mod store;
pub mod vault;

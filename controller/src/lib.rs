//! The controller: the catalog, the plans made of it, and the services through which agents and operators use it.
//!
//! [`run()`] starts one from a [`config::Config`]; the binary does nothing else.

pub mod admin;
pub mod app;
pub mod backup;
pub mod blobs;
pub mod captures;
pub mod catalog;
pub mod config;
pub mod diagnosis;
pub mod events;
pub mod holdings;
pub mod metrics;
pub mod plan;
pub mod planner;
pub mod sessions;
pub mod store;
pub mod trust;
pub mod vault;

mod agents;
mod attempts;
mod database;
mod enrol;
mod explain;
mod listen;
mod logins;
mod news;
mod overview;
mod page;
mod readiness;
mod render;
mod run;
mod scrape;
mod simulate;
mod status;
mod upkeep;

pub use agents::caller::Peer;
pub use logins::Logins;
pub use news::Silences;
pub use run::{ADMIN_CREDENTIAL, Running, StartError, run, run_with};

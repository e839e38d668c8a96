//! The edge agent: sockets, disk and the link to the controller around the engines of `netboot`.
//!
//! [`core`] owns the site engine and its ledger; the servers of DHCP, TFTP and HTTP ask it and never wait for the
//! network; [`uplink`] follows the controller and [`fetch`] fills the image cache beside them, and [`mirror`] passes on
//! and keeps packages. [`run`] puts them together. No protocol logic here.

pub mod captures;
pub mod check;
pub mod config;
pub mod controllers;
pub mod core;
mod counts;
pub mod desk;
pub mod dhcp;
pub mod disk;
pub mod fetch;
mod holder;
pub mod holding;
pub mod http;
pub mod images;
pub mod interfaces;
pub mod ipv6;
pub mod library;
#[cfg(test)]
mod lines;
pub mod link;
pub mod metrics;
pub mod mirror;
mod outage;
pub mod peers;
pub mod plans;
mod range;
pub mod run;
pub mod scrub;
mod sys;
mod syslog;
mod tap;
pub mod tftp;
pub mod uplink;

pub use sys::{datagrams, user::UserError};
pub use tap::Tap;

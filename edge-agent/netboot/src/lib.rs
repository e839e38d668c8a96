//! The pure protocol engines of the edge agent: DHCP, TFTP, boot decision, orders, event journal, cache plan, package
//! mirrors, and
//! the refusal of IPv6.
//!
//! No socket, disk, clock or source of randomness here (DESIGN §3): inputs and the time are handed in, actions
//! are handed out, in order. The shell in `edge-agent` performs them.

#![forbid(unsafe_code)]

pub mod arp;
pub mod attempts;
pub mod cache;
pub mod capture;
pub mod content;
pub mod decide;
pub mod dhcp;
mod forms;
pub mod frame;
pub mod ipv6;
pub mod journal;
pub mod mirror;
mod no_loader;
pub mod orders;
pub mod site;
pub mod syslog;
pub mod tftp;
pub mod time;

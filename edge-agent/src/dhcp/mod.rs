//! The sockets of DHCP: two UDP sockets and two packet sockets per interface, opened before privileges drop.
//!
//! [`netboot::dhcp`] decides; here datagrams come in and go out. A machine that has no address yet answers no ARP,
//! so what is sent to it by unicast leaves as a whole Ethernet frame (QUIRKS 3).

mod filter;
mod sockets;
#[cfg(test)]
mod tests;

pub(crate) use sockets::Requests;
pub use sockets::{Bound, OpenError, Overheard, Ports, Sockets, Wire};

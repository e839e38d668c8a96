//! The sockets of DHCP: two UDP sockets and one packet socket per interface, opened before privileges drop.
//!
//! [`netboot::dhcp`] decides; here datagrams come in and go out. A machine that has no address yet answers no ARP,
//! so what is sent to it by unicast leaves as a whole Ethernet frame (QUIRKS 3).

mod frame;
mod sockets;
#[cfg(test)]
mod tests;

pub(crate) use sockets::is_interface;
pub use sockets::{Bound, Datagram, OpenError, Sockets};

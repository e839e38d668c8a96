//! IPv6 declined: machines that ask for it are told at once that nobody boots them by it here.
//!
//! Bootlane boots by IPv4. Firmware and loaders ask for IPv6 all the same, and wait for an answer: iPXE a quarter of a
//! minute at every stage for a router, EDK2 a minute each for PXE and HTTP Boot (LAB). Two answers end that:
//!
//! - to a router solicitation an advertisement of a router that is none: lifetime 0, no prefix, no flag, no option
//!   (RFC 4861 §4.2). Whoever hears it learns no route, no address and no server;
//! - to a DHCPv6 Solicit of firmware that wants to boot an Advertise without an address (RFC 8415 §18.2.9: a client
//!   ignores it; EDK2 ends at its first retransmission, after 4 s instead of 60).
//!
//! [`Decliner`] holds its tongue where a router is heard, and where the plan does not answer the machine. Frames come
//! in and go out whole: the kernel's IPv6 may be switched off. Sockets and the clock are left to others.

mod decliner;
mod dhcp;
mod packet;
mod router;

use proto::Mac;

pub use decliner::Decliner;

/// The groups whose frames [`Decliner`] must be given, as link addresses: all nodes, for what routers say, all routers,
/// and all DHCPv6 servers.
#[must_use]
pub fn groups() -> [Mac; 3] {
    [router::ALL_NODES, router::ALL_ROUTERS, dhcp::ALL_SERVERS].map(packet::multicast_mac)
}

//! The packet socket of an interface.

use super::filter;
use crate::link::{Bound, Frames, OpenError};

/// RFC 2464 §3.
const IPV6: u16 = 0x86dd;

/// Opens the socket of an interface, whether or not the system itself speaks IPv6 there; needs CAP_NET_RAW.
///
/// # Errors
/// [`OpenError`] names the interface.
pub fn open(interface: &str) -> Result<Bound, OpenError> {
    let (groups, filter) = (netboot::ipv6::groups(), filter::program().into());
    Bound::open(interface, Frames { what: "IPv6", protocol: IPV6, groups: &groups, filter })
}

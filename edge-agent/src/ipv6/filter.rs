//! What the kernel is to queue of an interface's IPv6 frames: router solicitations, router advertisements and what goes
//! to DHCPv6 servers. On a busy segment everything else is most of it.

use socket2::SockFilter;

use crate::link::bpf::{Size, discard, equal, keep, load};

/// Offsets into a frame: of IPv6's next header, of ICMPv6's type, of UDP's destination port.
const NEXT_HEADER: u32 = 20;
const ICMP_TYPE: u32 = 54;
const UDP_PORT: u32 = 56;

const ICMPV6: u32 = 58;
const UDP: u32 = 17;
const SOLICITATION: u32 = 133;
const ADVERTISEMENT: u32 = 134;
const DHCP_SERVER: u32 = 547;

/// The program.
pub(super) fn program() -> [SockFilter; 10] {
    [
        load(Size::Byte, NEXT_HEADER),
        equal(ICMPV6, 0, 3),
        load(Size::Byte, ICMP_TYPE),
        equal(SOLICITATION, 4, 0),
        equal(ADVERTISEMENT, 3, 4),
        // 5
        equal(UDP, 0, 3),
        load(Size::Half, UDP_PORT),
        equal(DHCP_SERVER, 0, 1),
        // 8
        keep(),
        discard(),
    ]
}

//! What the kernel is to queue of an interface's IPv4 and ARP frames: what DHCP servers say to machines, and answers of
//! ARP. Both are a handful a second on a busy segment.

use socket2::SockFilter;

use crate::link::bpf::{Size, any_of, discard, equal, keep, load, load_behind, skip_ipv4};

/// Offsets into a frame: of the IPv4 header, and within the frame of its fragment and protocol fields.
const IPV4: u32 = 14;
const FRAGMENT: u32 = 20;
const PROTOCOL: u32 = 23;
/// The lower 13 bits of the fragment field: where in the datagram the fragment begins (RFC 791 §3.1).
const FRAGMENT_OFFSET: u32 = 0x1fff;
const UDP: u32 = 17;
/// Both ports of a datagram from port 67 to 68.
const SERVER_TO_CLIENT: u32 = 67 << 16 | 68;

/// Offset into a frame: of ARP's operation (RFC 826).
const OPERATION: u32 = 20;
const REPLY: u32 = 2;

/// UDP from port 67 to port 68.
pub(super) fn server_messages() -> [SockFilter; 9] {
    [
        load(Size::Byte, PROTOCOL),
        equal(UDP, 0, 6),
        load(Size::Half, FRAGMENT),
        any_of(FRAGMENT_OFFSET, 4, 0),
        skip_ipv4(IPV4),
        load_behind(Size::Word, IPV4),
        equal(SERVER_TO_CLIENT, 0, 1),
        // 7
        keep(),
        discard(),
    ]
}

/// ARP replies.
pub(super) fn arp_replies() -> [SockFilter; 4] {
    [load(Size::Half, OPERATION), equal(REPLY, 0, 1), keep(), discard()]
}

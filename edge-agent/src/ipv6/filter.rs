//! What the kernel is to queue of an interface's IPv6 frames: router solicitations, router advertisements and what goes
//! to DHCPv6 servers, in classic BPF. On a busy segment everything else is most of it.

use libc::{
    BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, PACKET_OTHERHOST, SKF_AD_OFF,
    SKF_AD_PKTTYPE,
};
use socket2::SockFilter;

/// Offsets into a frame: of IPv6's next header, of ICMPv6's type, of UDP's destination port.
const NEXT_HEADER: u32 = 20;
const ICMP_TYPE: u32 = 54;
const UDP_PORT: u32 = 56;

const ICMPV6: u32 = 58;
const UDP: u32 = 17;
const SOLICITATION: u32 = 133;
const ADVERTISEMENT: u32 = 134;
const DHCP_SERVER: u32 = 547;

/// More than the longest frame.
const WHOLE: u32 = 0xffff;

/// The program. A load from beyond the frame's end drops the frame.
pub(super) fn program() -> [SockFilter; 12] {
    // What the kernel knows of a frame beside its bytes lies at negative offsets.
    let packet_type = (SKF_AD_OFF + SKF_AD_PKTTYPE).cast_unsigned();
    [
        // 0: for another machine or VLAN, and seen because somebody listens to everything
        load(BPF_B, packet_type),
        equal(PACKET_OTHERHOST.into(), 9, 0),
        load(BPF_B, NEXT_HEADER),
        equal(ICMPV6, 0, 3),
        load(BPF_B, ICMP_TYPE),
        equal(SOLICITATION, 4, 0),
        equal(ADVERTISEMENT, 3, 4),
        // 7
        equal(UDP, 0, 3),
        load(BPF_H, UDP_PORT),
        equal(DHCP_SERVER, 0, 1),
        // 10
        keep(WHOLE),
        keep(0),
    ]
}

fn load(size: u32, offset: u32) -> SockFilter {
    instruction(BPF_LD | size | BPF_ABS, offset, 0, 0)
}

/// How many instructions to skip if what was loaded is `value`, and if it is not.
fn equal(value: u32, then: u8, or_else: u8) -> SockFilter {
    instruction(BPF_JMP | BPF_JEQ | BPF_K, value, then, or_else)
}

/// So many bytes of the frame are queued; none: it is dropped.
fn keep(bytes: u32) -> SockFilter {
    instruction(BPF_RET | BPF_K, bytes, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> SockFilter {
    SockFilter::new(u16::try_from(code).expect("classic BPF's codes are below 256"), jt, jf, k)
}

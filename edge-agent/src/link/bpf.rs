//! Classic BPF, as far as the filters of the agent's packet sockets need it. A load from beyond the frame's end drops the
//! frame.

use libc::{
    BPF_ABS, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_MSH, BPF_RET,
    BPF_W, PACKET_OTHERHOST, SKF_AD_IFINDEX, SKF_AD_OFF, SKF_AD_PKTTYPE,
};
use socket2::SockFilter;

/// More than the longest frame.
const WHOLE: u32 = 0xffff;

/// How much of a frame is loaded, big-endian.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub(crate) enum Size {
    /// One byte.
    Byte = BPF_B,
    /// Two.
    Half = BPF_H,
    /// Four.
    Word = BPF_W,
}

/// What stands before each program: only a frame for us that came in at the interface of this number goes on to it. A frame
/// for another machine is seen because somebody listens to everything; one of a VLAN on the same port, because the
/// kernel hands it also to who is bound to the port.
pub(crate) fn for_us(interface: u32) -> [SockFilter; 5] {
    // What the kernel knows of a frame beside its bytes lies at negative offsets.
    let beside = |what: i32| load(Size::Word, (SKF_AD_OFF + what).cast_unsigned());
    [
        beside(SKF_AD_PKTTYPE),
        equal(PACKET_OTHERHOST.into(), 2, 0),
        beside(SKF_AD_IFINDEX),
        equal(interface, 1, 0),
        // 4
        discard(),
    ]
}

/// Loads what stands at an offset of the frame.
pub(crate) fn load(size: Size, offset: u32) -> SockFilter {
    instruction(BPF_LD | size as u32 | BPF_ABS, offset, 0, 0)
}

/// Loads what stands at an offset behind what [`skip_ipv4`] has skipped.
pub(crate) fn load_behind(size: Size, offset: u32) -> SockFilter {
    instruction(BPF_LD | size as u32 | BPF_IND, offset, 0, 0)
}

/// Takes the length of the IPv4 header that begins at an offset for what is skipped.
pub(crate) fn skip_ipv4(offset: u32) -> SockFilter {
    instruction(BPF_LDX | BPF_B | BPF_MSH, offset, 0, 0)
}

/// How many instructions to skip if what was loaded is `value`, and if it is not.
pub(crate) fn equal(value: u32, then: u8, or_else: u8) -> SockFilter {
    instruction(BPF_JMP | BPF_JEQ | BPF_K, value, then, or_else)
}

/// How many instructions to skip if any of these bits is set, and if none is.
pub(crate) fn any_of(bits: u32, then: u8, or_else: u8) -> SockFilter {
    instruction(BPF_JMP | BPF_JSET | BPF_K, bits, then, or_else)
}

/// The whole frame is queued.
pub(crate) fn keep() -> SockFilter {
    instruction(BPF_RET | BPF_K, WHOLE, 0, 0)
}

/// It is dropped.
pub(crate) fn discard() -> SockFilter {
    instruction(BPF_RET | BPF_K, 0, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> SockFilter {
    SockFilter::new(u16::try_from(code).expect("classic BPF's codes are below 256"), jt, jf, k)
}

#[cfg(test)]
mod tests {
    use std::{io, net::UdpSocket};

    use socket2::SockRef;

    use super::*;
    use crate::sys::packet;

    /// Does what comes in at the loopback interface pass the program?
    fn passes(program: &[SockFilter]) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_nonblocking(true).expect("a plain request");
        SockRef::from(&socket).attach_filter(program).expect("a legal program");
        // There it is queued, or not, before this returns.
        socket.send_to(b"frame", socket.local_addr().expect("bound")).expect("loopback");
        match socket.recv(&mut [0; 16]) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                false
            }
        }
    }

    #[test]
    fn what_comes_in_at_another_interface_is_dropped() {
        let loopback = packet::index("lo").expect("there is one");
        let program = |interface| for_us(interface).into_iter().chain([keep()]).collect::<Vec<_>>();
        assert!(passes(&program(loopback)));
        assert!(!passes(&program(loopback + 1)), "such as a VLAN of the same port");
    }
}

//! The largest datagram that the way to a machine takes, as the kernel knows it.
//!
//! That is the MTU of the route to it: the interface's, a lower one that the operator gave the route, or a lower one
//! that was learnt from ICMP. Loaders that cannot put fragments together need blocks that fit (QUIRKS 40).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use rustix::net::sockopt;

/// The MTU on the path to `peer`, in bytes; None if the kernel does not say: then the usual limit holds.
pub(super) fn mtu(peer: SocketAddr) -> Option<u16> {
    match ask(peer) {
        Ok(mtu) => Some(u16::try_from(mtu).unwrap_or(u16::MAX)),
        Err(error) => {
            tracing::debug!(%peer, %error, "failed to learn the path MTU");
            None
        }
    }
}

/// Connecting a UDP socket sends nothing; it only looks up the route.
fn ask(peer: SocketAddr) -> io::Result<u32> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    let mtu = match peer {
        SocketAddr::V4(_) => sockopt::ip_mtu(&socket)?,
        SocketAddr::V6(_) => sockopt::ipv6_mtu(&socket)?,
    };
    Ok(mtu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirk_40_the_kernel_knows_the_path() {
        let loopback = mtu(SocketAddr::from(([127, 0, 0, 1], 2070)));
        assert_eq!(loopback, Some(u16::MAX), "65536 bytes, Linux's loopback");
    }
}

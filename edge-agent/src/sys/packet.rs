//! Packet sockets (packet(7)): the address type `sockaddr_ll`, which neither socket2 nor rustix has.

#![expect(unsafe_code, reason = "sockaddr_ll has no safe wrapper; nothing here but its reading and writing")]

use std::io;

use proto::Mac;
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

/// The kernel's number for Ethernet (ARPHRD_ETHER).
const ETHERNET: u16 = 1;

/// A socket that sends whole Ethernet frames out of one interface and receives nothing, and the interface's own
/// link address.
///
/// # Errors
/// Without CAP_NET_RAW, or when the interface is no Ethernet.
pub(crate) fn sender(interface: u32) -> io::Result<(Socket, Mac)> {
    // Protocol 0: no frame is queued here, ever.
    let socket = Socket::new(Domain::PACKET, Type::RAW.cloexec().nonblocking(), None)?;
    socket.bind(&address(interface)?)?;
    let mac = link_address(socket.local_addr()?).ok_or(io::ErrorKind::Unsupported)?;
    Ok((socket, mac))
}

fn address(interface: u32) -> io::Result<SockAddr> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll fits into sockaddr_storage by POSIX, and is valid with any bytes.
    let link: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    link.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    link.sll_ifindex = i32::try_from(interface).map_err(io::Error::other)?;
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
    // SAFETY: the storage holds a sockaddr_ll with its family, and `length` is its size.
    Ok(unsafe { SockAddr::new(storage, length) })
}

fn link_address(address: SockAddr) -> Option<Mac> {
    if i32::from(address.family()) != libc::AF_PACKET {
        return None;
    }
    let mut storage = address.as_storage();
    // SAFETY: sockaddr_ll fits into sockaddr_storage by POSIX, and is valid with any bytes.
    let link: &libc::sockaddr_ll = unsafe { storage.view_as() };
    let [mac @ .., _, _] = link.sll_addr;
    (link.sll_hatype == ETHERNET && link.sll_halen == 6).then_some(Mac(mac))
}

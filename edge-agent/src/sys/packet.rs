//! Packet sockets (packet(7)): the address type `sockaddr_ll` and group membership, which neither socket2 nor rustix has.

#![expect(
    unsafe_code,
    reason = "sockaddr_ll and packet_mreq have no safe wrapper; nothing here but packet sockets"
)]

use std::{io, os::fd::AsRawFd};

use proto::Mac;
use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};
use tokio::io::{Interest, unix::AsyncFd};

/// The kernel's number for Ethernet (ARPHRD_ETHER).
const ETHERNET: u16 = 1;

/// A socket for the frames of one interface and one protocol that pass `filter`, also those for `groups`, whether or not the
/// system itself speaks the protocol there; and the interface's own link address.
///
/// # Errors
/// Without CAP_NET_RAW, when the interface is no Ethernet, or when it knows no multicast that is asked for.
pub(crate) fn open(
    interface: u32,
    protocol: u16,
    groups: &[Mac],
    filter: &[SockFilter],
) -> io::Result<(Socket, Mac)> {
    let socket = Socket::new(Domain::PACKET, Type::RAW.cloexec().nonblocking(), None)?;
    // Before anything can be queued.
    socket.attach_filter(filter)?;
    socket.bind(&address(interface, protocol)?)?;
    groups.iter().try_for_each(|group| join(&socket, interface, *group))?;
    let mac = link_address(socket.local_addr()?).ok_or(io::ErrorKind::Unsupported)?;
    Ok((socket, mac))
}

/// Hands a socket to the runtime that this is called in, for reading.
///
/// # Errors
/// When the runtime does not take it.
pub(crate) fn watch(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: a Socket owns its descriptor, names no other, and closes it only when it is dropped.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(Into::into)
}

/// The kernel's number for an interface.
///
/// # Errors
/// When there is none of this name.
pub(crate) fn index(interface: &str) -> io::Result<u32> {
    let any = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), None)?;
    Ok(rustix::net::netdevice::name_to_index(&any, interface)?)
}

/// Lets the card take up a group's frames, for as long as the socket lives.
fn join(socket: &Socket, interface: u32, group: Mac) -> io::Result<()> {
    let mut address = [0; 8];
    address[..6].copy_from_slice(&group.0);
    let request = libc::packet_mreq {
        mr_ifindex: i32::try_from(interface).map_err(io::Error::other)?,
        mr_type: u16::try_from(libc::PACKET_MR_MULTICAST).map_err(io::Error::other)?,
        mr_alen: 6,
        mr_address: address,
    };
    let length = libc::socklen_t::try_from(size_of_val(&request)).map_err(io::Error::other)?;
    let value = (&raw const request).cast();
    // SAFETY: `value` points to a packet_mreq of `length` bytes that outlives the call, which keeps nothing of it.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, value, length)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn address(interface: u32, protocol: u16) -> io::Result<SockAddr> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll fits into sockaddr_storage by POSIX, and is valid with any bytes.
    let link: &mut libc::sockaddr_ll = unsafe { storage.view_as() };
    link.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    link.sll_protocol = protocol.to_be();
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

//! Many UDP datagrams in one system call: recvmmsg(2), sendmmsg(2), UDP's segmentation offload, and which socket of a
//! port group a datagram goes to. Neither socket2 nor rustix has them.
//!
//! Nothing here waits: a socket that has nothing, or no room, says `WouldBlock`.

#![expect(unsafe_code, reason = "arrays of message headers have no safe wrapper; nothing here but datagrams")]

use std::{
    fmt, io, mem,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsFd, AsRawFd},
    ptr,
};

/// The most datagrams that one call takes or gives.
pub const BATCH: usize = 64;

/// Longer than any IPv6 address of the kernel's.
const ADDRESS: usize = size_of::<libc::sockaddr_in6>();

/// Room for one control message with a u16, aligned by its type.
type Control = [usize; 4];

/// One address, as the kernel writes it.
type RawAddress = [u64; ADDRESS.div_ceil(8)];

/// Received datagrams, in buffers that are used again.
pub struct Inbox {
    bytes: Vec<u8>,
    longest: usize,
    addresses: [RawAddress; BATCH],
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    received: usize,
    /// How many datagrams the next call makes room for: a lone machine's packets do not pay for a crowd's.
    room: usize,
}

// SAFETY: the pointers in the headers are into its own buffers, and are written anew before each use of them.
unsafe impl Send for Inbox {}

impl fmt::Debug for Inbox {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Inbox").field("received", &self.received).finish_non_exhaustive()
    }
}

/// The least that a call makes room for.
const LEAST_ROOM: usize = 4;

impl Inbox {
    /// Room for `count` datagrams, [`BATCH`] at most; of one that is longer than `longest` bytes the rest is lost.
    #[must_use]
    pub fn new(count: usize, longest: usize) -> Self {
        Self {
            bytes: vec![0; count.min(BATCH) * longest.max(1)],
            longest: longest.max(1),
            addresses: [[0; _]; BATCH],
            headers: Vec::with_capacity(BATCH),
            vectors: Vec::with_capacity(BATCH),
            received: 0,
            room: LEAST_ROOM,
        }
    }

    /// Takes what waits at `socket`, in place of what was here; gives how many datagrams. How many it takes at most grows
    /// from call to call while there are more.
    ///
    /// # Errors
    /// `WouldBlock` if nothing waits; else what the kernel says.
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.received = 0;
        self.vectors.clear();
        self.headers.clear();
        for chunk in self.bytes.chunks_mut(self.longest).take(self.room) {
            self.vectors.push(libc::iovec { iov_base: chunk.as_mut_ptr().cast(), iov_len: chunk.len() });
        }
        for (vector, address) in self.vectors.iter_mut().zip(&mut self.addresses) {
            self.headers.push(header(vector, address, size_of::<RawAddress>()));
        }
        let count = libc::c_uint::try_from(self.headers.len()).map_err(io::Error::other)?;
        // SAFETY: each header points to one live vector and one live address of the stated lengths, each vector to its
        // own part of `bytes`; none of them moves before the call returns, which keeps nothing.
        let received = unsafe {
            let (headers, flags) = (self.headers.as_mut_ptr(), libc::MSG_DONTWAIT);
            libc::recvmmsg(socket.as_fd().as_raw_fd(), headers, count, flags as _, ptr::null_mut())
        };
        self.received = counted(received)?;
        let (room, most) = (self.headers.len(), self.bytes.len() / self.longest);
        self.room = if self.is_full() { (2 * room).min(most) } else { (room / 2).max(2 * self.received) };
        self.room = self.room.max(LEAST_ROOM);
        Ok(self.received)
    }

    /// The last call gave as many datagrams as it had room for: there may be more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.received > 0 && self.received == self.headers.len()
    }

    /// What was received last, in order: from whom, and the payload. What is not of IPv4 or IPv6 is left out.
    pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let chunks = self.bytes.chunks(self.longest);
        let all = self.headers.iter().zip(&self.addresses).zip(chunks).take(self.received);
        all.filter_map(|((header, address), chunk)| {
            let payload = chunk.get(..header.msg_len as usize)?;
            Some((from_raw(address)?, payload))
        })
    }
}

/// A datagram to be sent, or several of one length.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// To whom.
    pub to: SocketAddr,
    /// The payload, or the payloads one after the other.
    pub payload: &'a [u8],
    /// The kernel is to cut the payload into datagrams of so many bytes; the last may be shorter.
    pub segment: Option<u16>,
}

/// What a call to send is written down in, used again.
#[derive(Default)]
pub struct Sender {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    addresses: Vec<(RawAddress, usize)>,
    controls: Vec<Control>,
}

// SAFETY: the pointers in the headers are written anew before each use of them.
unsafe impl Send for Sender {}

impl fmt::Debug for Sender {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl Sender {
    /// Sends the first [`BATCH`] of `datagrams` at most, in order; gives how many the kernel took.
    ///
    /// # Errors
    /// What the kernel says of the first; what it says of a later one, it says when that is the first.
    pub fn send<'a>(
        &mut self,
        socket: impl AsFd,
        datagrams: impl Iterator<Item = Outgoing<'a>>,
    ) -> io::Result<usize> {
        self.write_down(datagrams);
        let count = libc::c_uint::try_from(self.headers.len()).map_err(io::Error::other)?;
        // SAFETY: each header points to a live vector, address and control message of the stated lengths, each vector to
        // a payload that outlives this call; the kernel only reads them, and keeps nothing.
        let sent = unsafe {
            let (headers, flags) = (self.headers.as_mut_ptr(), libc::MSG_DONTWAIT);
            libc::sendmmsg(socket.as_fd().as_raw_fd(), headers, count, flags as _)
        };
        counted(sent)
    }

    fn write_down<'a>(&mut self, datagrams: impl Iterator<Item = Outgoing<'a>>) {
        self.headers.clear();
        self.vectors.clear();
        self.addresses.clear();
        self.controls.clear();
        for Outgoing { to, payload, segment } in datagrams.take(BATCH) {
            let base = payload.as_ptr().cast_mut().cast();
            self.vectors.push(libc::iovec { iov_base: base, iov_len: payload.len() });
            self.addresses.push(to_raw(to));
            self.controls.push(segment.map_or([0; _], segment_control));
        }
        // Only now: the arrays do not move any more.
        let parts = self.vectors.iter_mut().zip(&mut self.addresses).zip(&mut self.controls);
        for ((vector, (address, len)), control) in parts {
            let mut written = header(vector, address, *len);
            if control[0] != 0 {
                written.msg_hdr.msg_control = control.as_mut_ptr().cast();
                written.msg_hdr.msg_controllen = size_of::<Control>().min(control_space()) as _;
            }
            self.headers.push(written);
        }
    }
}

/// Does the kernel cut one send into datagrams (UDP_SEGMENT)?
pub(crate) fn cuts_segments(socket: impl AsFd) -> bool {
    let (mut value, mut len) = (0 as libc::c_int, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: both pointers are to live memory, `len` is the value's size.
    let status = unsafe {
        let value = (&raw mut value).cast();
        libc::getsockopt(socket.as_fd().as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, value, &raw mut len)
    };
    status == 0
}

/// Gives each source address of IPv4 to one socket of the group that `socket` is in, of `sockets`, whatever its port.
///
/// # Errors
/// When the kernel refuses, as before Linux 4.5.
pub(crate) fn spread_by_source(socket: impl AsFd, sockets: u32) -> io::Result<()> {
    /// Where the network header begins (SKF_NET_OFF), and in it the source address (RFC 791 §3.1).
    const SOURCE: u32 = (-0x10_0000_i32 + 12).cast_unsigned();
    let instruction =
        |code: u32, k| libc::sock_filter { code: u16::try_from(code).unwrap_or_default(), jt: 0, jf: 0, k };
    let mut program = [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, SOURCE),
        instruction(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, sockets.max(1)),
        instruction(libc::BPF_RET | libc::BPF_A, 0),
    ];
    let program = libc::sock_fprog { len: 3, filter: program.as_mut_ptr() };
    set_option(socket, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
}

/// Sends without a checksum from now on, with which the kernel cuts no segments.
#[cfg(test)]
pub(crate) fn leave_out_checksums(socket: impl AsFd) -> io::Result<()> {
    set_option(socket, libc::SO_NO_CHECK, &(1 as libc::c_int))
}

fn set_option<T>(socket: impl AsFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: `value` is live for the call and has `len` bytes; a program's instructions live as long as it does. The
    // kernel copies both.
    let status = unsafe {
        let value = ptr::from_ref(value).cast();
        libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_SOCKET, option, value, len)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// To be asked at once after the call: the next one overwrites its error.
fn counted(outcome: libc::c_int) -> io::Result<usize> {
    usize::try_from(outcome).map_err(|_| io::Error::last_os_error())
}

fn header(vector: &mut libc::iovec, address: &mut RawAddress, len: usize) -> libc::mmsghdr {
    // SAFETY: a message header is valid with all bytes zero: null pointers and no lengths.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_name = address.as_mut_ptr().cast();
    header.msg_hdr.msg_namelen = len as libc::socklen_t;
    header.msg_hdr.msg_iov = vector;
    header.msg_hdr.msg_iovlen = 1;
    header
}

const fn control_space() -> usize {
    // SAFETY: the macro only computes.
    unsafe { libc::CMSG_SPACE(size_of::<u16>() as u32) as usize }
}

fn segment_control(segment: u16) -> Control {
    const { assert!(control_space() <= size_of::<Control>()) };
    let mut control: Control = [0; _];
    // SAFETY: `control` is aligned as a cmsghdr is and has room for one with a u16; `CMSG_LEN` only computes.
    unsafe {
        let header: *mut libc::cmsghdr = control.as_mut_ptr().cast();
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
        (*header).cmsg_level = libc::SOL_UDP;
        (*header).cmsg_type = libc::UDP_SEGMENT;
        libc::CMSG_DATA(header).cast::<u16>().write_unaligned(segment);
    }
    control
}

fn to_raw(address: SocketAddr) -> (RawAddress, usize) {
    let mut raw: RawAddress = [0; _];
    let at: *mut RawAddress = &raw mut raw;
    let len = match address {
        SocketAddr::V4(v4) => {
            let native = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: `raw` is longer and no less aligned.
            unsafe { at.cast::<libc::sockaddr_in>().write(native) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let native = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: `raw` is no shorter and no less aligned.
            unsafe { at.cast::<libc::sockaddr_in6>().write(native) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    (raw, len)
}

fn from_raw(raw: &RawAddress) -> Option<SocketAddr> {
    let at: *const RawAddress = raw;
    // SAFETY: every address begins with its family, and `raw` has room for the longest; any bytes are a valid one.
    let (family, v4, v6) = unsafe {
        let v4 = at.cast::<libc::sockaddr_in>().read();
        (libc::c_int::from(v4.sin_family), v4, at.cast::<libc::sockaddr_in6>().read())
    };
    match family {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn loopback() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = socket.local_addr().expect("bound");
        (socket, address)
    }

    fn received(inbox: &mut Inbox, socket: &UdpSocket) -> Vec<(SocketAddr, Vec<u8>)> {
        inbox.receive(socket).expect("something waits");
        inbox.datagrams().map(|(from, payload)| (from, payload.to_vec())).collect()
    }

    #[test]
    fn addresses_survive() {
        for address in ["10.1.2.3:69", "[fe80::1]:4011", "255.255.255.255:65535"] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(from_raw(&to_raw(address).0), Some(address));
        }
        assert_eq!(from_raw(&[0; _]), None);
    }

    #[test]
    fn many_go_and_come_in_one_call() {
        let ((ours, from), (theirs, to)) = (loopback(), loopback());
        let payloads: Vec<Vec<u8>> = (0..10_u8).map(|n| vec![n; usize::from(n)]).collect();
        let datagrams = payloads.iter().map(|payload| Outgoing { to, payload, segment: None });
        assert_eq!(Sender::default().send(&ours, datagrams).expect("sent"), 10);
        let mut inbox = Inbox::new(BATCH, 8);
        let mut all = received(&mut inbox, &theirs);
        assert!(inbox.is_full());
        all.extend(received(&mut inbox, &theirs));
        assert!(!inbox.is_full());
        let cut: Vec<_> = (0..10_u8).map(|n| (from, vec![n; usize::from(n).min(8)])).collect();
        assert_eq!(all, cut, "what is too long is cut");
        let nothing = inbox.receive(&theirs).expect_err("nothing waits");
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(inbox.datagrams().count(), 0);
    }

    #[test]
    fn one_send_becomes_several_datagrams() {
        let ((ours, from), (theirs, to)) = (loopback(), loopback());
        assert!(cuts_segments(&ours), "Linux 4.18 and later do");
        let payload: Vec<u8> = (0..25).collect();
        let datagrams = [Outgoing { to, payload: &payload, segment: Some(10) }];
        assert_eq!(Sender::default().send(&ours, datagrams.into_iter()).expect("sent"), 1);
        let expected: Vec<_> = payload.chunks(10).map(|part| (from, part.to_vec())).collect();
        assert_eq!(received(&mut Inbox::new(BATCH, 100), &theirs), expected);
    }

    #[test]
    fn without_checksums_nothing_is_cut() {
        let ((ours, _), (_theirs, to)) = (loopback(), loopback());
        leave_out_checksums(&ours).expect("anybody may");
        let datagrams = [Outgoing { to, payload: &[0; 25], segment: Some(10) }];
        let refused = Sender::default().send(&ours, datagrams.into_iter());
        assert_eq!(refused.expect_err("the kernel refuses").raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn a_source_has_one_socket_whatever_its_port() {
        let group: Vec<socket2::Socket> = {
            let mut group: Vec<socket2::Socket> = Vec::new();
            for _ in 0..2 {
                let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
                let socket = socket.expect("a socket");
                socket.set_reuse_port(true).expect("anybody may");
                let first = group.first().and_then(|first| first.local_addr().ok()?.as_socket());
                let address = first.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
                socket.bind(&address.into()).expect("free");
                group.push(socket);
            }
            group
        };
        spread_by_source(&group[0], 2).expect("anybody may");
        let to = group[0].local_addr().expect("bound").as_socket().expect("of IPv4");
        let mut inbox = Inbox::new(BATCH, 100);
        for host in 1..=6_u8 {
            for _port in 0..4 {
                let source =
                    UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).expect("all of 127/8 is ours");
                source.send_to(&[host], to).expect("loopback takes packets");
            }
            let socket = &group[usize::from(host % 2)];
            assert_eq!(inbox.receive(socket).expect("they wait here"), 4, "of 127.0.0.{host}");
        }
    }
}

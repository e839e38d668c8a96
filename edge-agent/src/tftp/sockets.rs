//! The listening sockets and the few on ephemeral ports that all transfers of a shard share.
//!
//! The listeners of several shards are one port group (SO_REUSEPORT). The source address alone says whose a request is:
//! so the limits for one source hold (S4), a request that is repeated finds its transfer, and so does what a machine
//! sends to the listening port in single-port mode (QUIRKS 43).

use std::io;
use std::iter;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::num::NonZeroU8;
use std::time::Duration;

use netboot::tftp::Local;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery};
use socket2::{Domain, Socket, Type};

use super::notice::Waker;
use super::outbox::Means;
use crate::{Tap, sys::datagrams};

/// Room for a burst of requests while the server is busy (QUIRKS 46); the kernel grants what it allows.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Room for the windows of many transfers.
const SEND_BUFFER: usize = 4 << 20;

/// More cores than this gain nothing at a site's link.
const MOST_SHARDS: u8 = 8;

/// Bound sockets, not yet served. Made before privileges are dropped.
#[derive(Debug)]
pub struct Sockets {
    shards: Vec<Bound>,
    means: Means,
    tap: Tap,
}

/// The sockets of one shard.
#[derive(Debug)]
struct Bound {
    listener: UdpSocket,
    ephemeral: Vec<UdpSocket>,
}

/// Why sockets could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The listening socket.
    #[error("bind UDP {address}")]
    Listener {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A socket on an ephemeral port.
    #[error("bind an ephemeral UDP port of {address}")]
    Ephemeral {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The listener that was handed in.
    #[error("use the bound TFTP socket")]
    Inherited(#[source] io::Error),
}

impl Sockets {
    /// Binds `address` and `port` (69, or 0 for any) once for each of `shards`, and `ephemeral` sockets beside each.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub fn bind(
        address: Ipv4Addr,
        port: u16,
        ephemeral: NonZeroU8,
        shards: NonZeroU8,
    ) -> Result<Self, BindError> {
        let address = SocketAddr::from((address, port));
        let listeners = listeners(address, shards.get().min(MOST_SHARDS));
        let listeners = listeners.map_err(|source| BindError::Listener { address, source })?;
        let all = listeners.into_iter().map(|listener| Bound::beside(listener, ephemeral));
        Ok(Self { shards: all.collect::<Result<_, _>>()?, means: Means::Segments, tap: Tap::default() })
    }

    /// Takes a bound listener, and binds `ephemeral` sockets to the same address.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub fn beside(listener: UdpSocket, ephemeral: NonZeroU8) -> Result<Self, BindError> {
        let shards = vec![Bound::beside(listener, ephemeral)?];
        Ok(Self { shards, means: Means::Segments, tap: Tap::default() })
    }

    /// One shard for each core that this process may use.
    #[must_use]
    pub fn for_all_cores() -> NonZeroU8 {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let shards = u8::try_from(cores).unwrap_or(MOST_SHARDS).min(MOST_SHARDS);
        NonZeroU8::new(shards).unwrap_or(NonZeroU8::MIN)
    }

    /// Sends by these means at best, although the kernel may know better ones.
    #[must_use]
    pub fn at_best(self, means: Means) -> Self {
        Self { means, ..self }
    }

    /// Hands over what explains transfers.
    #[must_use]
    pub fn tapped(self, tap: Tap) -> Self {
        Self { tap, ..self }
    }

    pub(super) fn means(&self) -> Means {
        self.means
    }

    pub(super) fn tap(&self) -> &Tap {
        &self.tap
    }

    /// How many sockets on ephemeral ports each shard has.
    pub(super) fn slots(&self) -> Option<NonZeroU8> {
        NonZeroU8::new(u8::try_from(self.shards.first()?.ephemeral.len()).ok()?)
    }

    /// Where all of them listen.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.shards.first().ok_or(io::ErrorKind::NotConnected)?.listener.local_addr()
    }

    /// Each shard's own.
    pub(super) fn share_out(self) -> io::Result<Vec<WatchedSockets>> {
        self.shards.into_iter().map(WatchedSockets::new).collect()
    }

    #[cfg(test)]
    pub(super) fn leave_out_checksums(&self) {
        let all = self.shards.iter().flat_map(|shard| &shard.ephemeral);
        all.for_each(|socket| datagrams::leave_out_checksums(socket).expect("anybody may"));
    }
}

/// The port group. It is bound to in the usual way first: who has the port already, perhaps another agent, keeps it.
fn listeners(address: SocketAddr, shards: u8) -> io::Result<Vec<UdpSocket>> {
    if shards == 1 {
        return Ok(vec![UdpSocket::bind(address)?]);
    }
    if address.port() != 0 {
        // Members would join another process's group; alone one is refused what somebody has.
        drop(UdpSocket::bind(address)?);
    }
    let first = member(address)?;
    let address = first.local_addr()?;
    let others = (1..shards).map(|_| member(address));
    let group = std::iter::once(Ok(first)).chain(others).collect::<io::Result<Vec<_>>>()?;
    match datagrams::spread_by_source(&group[0], shards.into()) {
        Ok(()) => Ok(group),
        Err(error) => {
            tracing::warn!(%error, "failed to spread TFTP over the cores: one of them serves all");
            drop(group);
            Ok(vec![UdpSocket::bind(address)?])
        }
    }
}

fn member(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.cloexec(), None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

impl Bound {
    fn beside(listener: UdpSocket, ephemeral: NonZeroU8) -> Result<Self, BindError> {
        let mut address = listener.local_addr().map_err(BindError::Inherited)?;
        address.set_port(0);
        let bind = |_| UdpSocket::bind(address).map_err(|source| BindError::Ephemeral { address, source });
        let ephemeral = (0..ephemeral.get()).map(bind).collect::<Result<_, _>>()?;
        Ok(Self { listener, ephemeral })
    }
}

/// The sockets of one shard at work.
#[derive(Debug)]
pub(super) struct WatchedSockets {
    listener: UdpSocket,
    ephemeral: Vec<UdpSocket>,
    waker: Waker,
}

impl WatchedSockets {
    fn new(bound: Bound) -> io::Result<Self> {
        let Bound { listener, ephemeral } = bound;
        prepare(&listener)?;
        ephemeral.iter().try_for_each(prepare)?;
        Ok(Self { listener, ephemeral, waker: Waker::new()? })
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    pub(super) fn get(&self, local: Local) -> Option<&UdpSocket> {
        match local {
            Local::Listener => Some(&self.listener),
            Local::Ephemeral(slot) => self.ephemeral.get(usize::from(slot)),
        }
    }

    /// Where they are bound, the listener first; those of IPv6 are left out, with all that follow.
    pub(super) fn ends(&self) -> Vec<SocketAddrV4> {
        let all = iter::once(&self.listener).chain(&self.ephemeral);
        all.map_while(|socket| match socket.local_addr() {
            Ok(SocketAddr::V4(end)) => Some(end),
            Ok(SocketAddr::V6(_)) | Err(_) => None,
        })
        .collect()
    }

    /// Waits until something has arrived, somebody rings or `patience` has passed; gives where something has arrived.
    ///
    /// By poll(2): epoll(7) stays registered with each socket while this thread works, and is called for each packet that
    /// leaves, which was 5 % of a lockstep block's cost.
    pub(super) fn wait(&self, patience: Option<Duration>, ready: &mut Vec<Local>) -> io::Result<()> {
        ready.clear();
        let patience = patience.map(|patience| Timespec::try_from(patience).unwrap_or(LONG));
        let ephemeral = (0..).map(Local::Ephemeral).zip(&self.ephemeral);
        let sockets = iter::once((Local::Listener, &self.listener)).chain(ephemeral);
        let bell = iter::once(PollFd::new(&self.waker, PollFlags::IN));
        let mut polled: Vec<PollFd<'_>> =
            bell.chain(sockets.clone().map(|(_, socket)| PollFd::new(socket, PollFlags::IN))).collect();
        match poll(&mut polled, patience.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            waited => drop(waited?),
        }
        let mut is_ready = polled.iter().map(|polled| !polled.revents().is_empty());
        if is_ready.next() == Some(true) {
            self.waker.clear();
        }
        ready.extend(sockets.zip(is_ready).filter(|(_, is_ready)| *is_ready).map(|((local, _), _)| local));
        Ok(())
    }

    /// Waits until `socket` has room, for so long at most; false: it has none.
    pub(super) fn wait_for_room(socket: &UdpSocket, patience: Duration) -> bool {
        let patience = Timespec::try_from(patience).unwrap_or(LONG);
        let mut polled = [PollFd::new(socket, PollFlags::OUT)];
        poll(&mut polled, Some(&patience)).is_ok_and(|count| count > 0)
    }
}

/// A wait that is longer than the kernel can count.
const LONG: Timespec = Timespec { tv_sec: 3600, tv_nsec: 0 };

fn prepare(socket: &UdpSocket) -> io::Result<()> {
    let options = socket2::SockRef::from(socket);
    // Less room than asked for costs speed, not correctness.
    if let Err(error) = options.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "failed to enlarge the receive buffer");
    }
    if let Err(error) = options.set_send_buffer_size(SEND_BUFFER) {
        tracing::debug!(%error, "failed to enlarge the send buffer");
    }
    // As the common servers do: some ROMs drop what must not be fragmented (QUIRKS 40).
    if let Err(error) = sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT) {
        tracing::debug!(%error, "failed to allow fragments");
    }
    socket.set_nonblocking(true)
}

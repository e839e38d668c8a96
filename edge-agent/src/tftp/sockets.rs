//! The listening socket and the few on ephemeral ports that all transfers share.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket};
use std::num::NonZeroU8;
use std::task::{Context, Poll};

use netboot::tftp::Local;
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery};
use tokio::net::UdpSocket;

/// Room for a burst of requests while the server is busy (QUIRKS 46); the kernel grants what it allows.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Room for the windows of many transfers.
const SEND_BUFFER: usize = 4 << 20;

/// Datagrams taken from one socket before the next one's turn.
const BATCH: usize = 64;

/// Longer than any packet that a client may send; what is longer is cut.
const LONGEST: usize = 2048;

/// Bound sockets, not yet served. Made before privileges are dropped.
#[derive(Debug)]
pub struct Sockets {
    listener: StdSocket,
    ephemeral: Vec<StdSocket>,
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
    /// Binds `address` and `port` (69, or 0 for any), and `ephemeral` sockets beside it.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub fn bind(address: Ipv4Addr, port: u16, ephemeral: NonZeroU8) -> Result<Self, BindError> {
        let address = SocketAddr::from((address, port));
        let bound = StdSocket::bind(address);
        let listener = bound.map_err(|source| BindError::Listener { address, source })?;
        Self::beside(listener, ephemeral)
    }

    /// Takes a bound listener, and binds `ephemeral` sockets to the same address.
    ///
    /// # Errors
    /// [`BindError`] names the address.
    pub fn beside(listener: StdSocket, ephemeral: NonZeroU8) -> Result<Self, BindError> {
        let mut address = listener.local_addr().map_err(BindError::Inherited)?;
        address.set_port(0);
        let bind = |_| StdSocket::bind(address).map_err(|source| BindError::Ephemeral { address, source });
        let ephemeral = (0..ephemeral.get()).map(bind).collect::<Result<_, _>>()?;
        Ok(Self { listener, ephemeral })
    }

    /// How many sockets on ephemeral ports there are.
    pub(super) fn slots(&self) -> Option<NonZeroU8> {
        NonZeroU8::new(u8::try_from(self.ephemeral.len()).ok()?)
    }

    /// Hands the sockets to the runtime.
    pub(super) fn watch(self) -> io::Result<WatchedSockets> {
        Ok(WatchedSockets {
            listener: watched(self.listener)?,
            ephemeral: self.ephemeral.into_iter().map(watched).collect::<io::Result<_>>()?,
            buffer: vec![0; LONGEST],
        })
    }
}

fn watched(socket: StdSocket) -> io::Result<UdpSocket> {
    let options = socket2::SockRef::from(&socket);
    // Less room than asked for costs speed, not correctness.
    if let Err(error) = options.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "failed to enlarge the receive buffer");
    }
    if let Err(error) = options.set_send_buffer_size(SEND_BUFFER) {
        tracing::debug!(%error, "failed to enlarge the send buffer");
    }
    // As the common servers do: some ROMs drop what must not be fragmented (QUIRKS 40).
    if let Err(error) = sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT) {
        tracing::debug!(%error, "failed to allow fragments");
    }
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// The sockets at work.
#[derive(Debug)]
pub(super) struct WatchedSockets {
    listener: UdpSocket,
    ephemeral: Vec<UdpSocket>,
    buffer: Vec<u8>,
}

impl WatchedSockets {
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits until something has arrived.
    pub(super) async fn readable(&self) {
        poll_fn(|context| self.poll_readable(context)).await;
    }

    /// Asks every socket, so that each of them can wake the task.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut ready = self.listener.poll_recv_ready(context).is_ready();
        for socket in &self.ephemeral {
            ready |= socket.poll_recv_ready(context).is_ready();
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes what has arrived, some from each socket.
    pub(super) fn receive(&mut self, mut take: impl FnMut(Local, SocketAddr, &[u8])) {
        let Self { listener, ephemeral, buffer } = self;
        drain(listener, buffer, |peer, bytes| take(Local::Listener, peer, bytes));
        for (slot, socket) in (0..).zip(ephemeral) {
            drain(socket, buffer, |peer, bytes| take(Local::Ephemeral(slot), peer, bytes));
        }
    }

    /// Sends one packet. A packet that the network refuses is lost, as any other may be.
    pub(super) async fn send(&self, local: Local, peer: SocketAddr, packet: &[u8]) {
        let socket = match local {
            Local::Listener => Some(&self.listener),
            Local::Ephemeral(slot) => self.ephemeral.get(usize::from(slot)),
        };
        let Some(socket) = socket else { return };
        if let Err(error) = socket.send_to(packet, peer).await {
            tracing::trace!(%peer, %error, "failed to send a TFTP packet");
        }
    }
}

fn drain(socket: &UdpSocket, buffer: &mut [u8], mut take: impl FnMut(SocketAddr, &[u8])) {
    for _ in 0..BATCH {
        match socket.try_recv_from(buffer) {
            Ok((len, peer)) => take(peer, &buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => tracing::trace!(%error, "failed to receive a TFTP packet"),
        }
    }
}

//! The two sockets of an interface.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdSocket},
};

use netboot::dhcp::Destination;
use proto::Mac;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::frame::{Ends, udp_frame};
use crate::sys::packet;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// Longer than any request; what is longer is cut, and then malformed.
const LONGEST: usize = 2048;

/// Room for a burst of requests while a commit is under way; the kernel grants what it allows.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Why the sockets of an interface could not be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none of this name.
    #[error("find interface {interface}")]
    Interface {
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
    /// Port 67 there.
    #[error("bind UDP port 67 of interface {interface}")]
    Udp {
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
    /// The packet socket there.
    #[error("open a packet socket on interface {interface}")]
    Packet {
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
    /// The runtime does not take them.
    #[error("watch the DHCP socket of interface {interface}")]
    Watch {
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
}

/// Open sockets, not yet watched by a runtime. Made before privileges are dropped (S16).
#[derive(Debug)]
pub struct Bound {
    interface: String,
    udp: StdSocket,
    packet: Socket,
    mac: Mac,
}

impl Bound {
    /// Opens the sockets of an interface; needs CAP_NET_BIND_SERVICE and CAP_NET_RAW.
    ///
    /// # Errors
    /// [`OpenError`] names the interface and the socket.
    pub fn open(interface: &str) -> Result<Self, OpenError> {
        let name = || interface.to_owned();
        let index = index(interface).map_err(|source| OpenError::Interface { interface: name(), source })?;
        let udp = bind(interface).map_err(|source| OpenError::Udp { interface: name(), source })?;
        let (packet, mac) =
            packet::sender(index).map_err(|source| OpenError::Packet { interface: name(), source })?;
        Ok(Self { interface: name(), udp, packet, mac })
    }

    /// Hands the sockets to the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime does not take them.
    pub fn watch(self) -> Result<Sockets, OpenError> {
        let Self { interface, udp, packet, mac } = self;
        match UdpSocket::from_std(udp) {
            Ok(udp) => Ok(Sockets { interface, udp, packet, mac }),
            Err(source) => Err(OpenError::Watch { interface, source }),
        }
    }
}

/// The kernel's number for an interface.
fn index(interface: &str) -> io::Result<u32> {
    let any = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    Ok(rustix::net::netdevice::name_to_index(&any, interface)?)
}

/// A UDP socket that hears what comes in at one interface, and broadcasts there.
fn bind(interface: &str) -> io::Result<StdSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec().nonblocking(), Some(Protocol::UDP))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    // The other interfaces' sockets stand on the same port.
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "failed to enlarge the receive buffer");
    }
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, SERVER_PORT)).into())?;
    Ok(socket.into())
}

/// A datagram that came to port 67.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// The UDP payload.
    pub bytes: Vec<u8>,
    /// Who sent it; 0.0.0.0:68 before a machine has an address.
    pub from: SocketAddr,
}

/// The sockets of an interface at work.
#[derive(Debug)]
pub struct Sockets {
    interface: String,
    udp: UdpSocket,
    packet: Socket,
    mac: Mac,
}

impl Sockets {
    /// [`Bound::open`] and [`Bound::watch`] in one.
    ///
    /// # Errors
    /// [`OpenError`] names the interface and the socket.
    pub fn open(interface: &str) -> Result<Self, OpenError> {
        Bound::open(interface)?.watch()
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The interface's own address, as it is now: what the kernel would send from. Three system calls.
    ///
    /// # Errors
    /// While the interface has no address.
    pub fn address(&self) -> io::Result<Ipv4Addr> {
        let probe = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
        probe.bind_device(Some(self.interface.as_bytes()))?;
        probe.set_broadcast(true)?;
        probe.connect(&SocketAddr::from((Ipv4Addr::BROADCAST, CLIENT_PORT)).into())?;
        let local = probe.local_addr()?.as_socket_ipv4().map(|local| *local.ip());
        local.filter(|address| !address.is_unspecified()).ok_or(io::ErrorKind::AddrNotAvailable.into())
    }

    /// Waits for the next datagram. Safe to drop and call again.
    ///
    /// # Errors
    /// What the socket says, such as that the interface is down; the next call may succeed.
    pub async fn recv(&self) -> io::Result<Datagram> {
        let mut bytes = Vec::with_capacity(LONGEST);
        let (_, from) = self.udp.recv_buf_from(&mut bytes).await?;
        Ok(Datagram { bytes, from })
    }

    /// Sends a reply. What cannot be sent by unicast to a machine without an address is broadcast (QUIRKS 3).
    ///
    /// # Errors
    /// What the socket says; a machine that hears nothing asks again.
    pub async fn send(&self, datagram: &[u8], to: &Destination) -> io::Result<()> {
        match *to {
            Destination::Broadcast => self.send_to(datagram, Ipv4Addr::BROADCAST, CLIENT_PORT).await,
            Destination::Relay(address) => self.send_to(datagram, address, SERVER_PORT).await,
            Destination::Address(address, port) => self.send_to(datagram, address, port).await,
            Destination::Unicast { address, mac } => match self.send_frame(datagram, address, mac) {
                Ok(()) => Ok(()),
                Err(error) => {
                    let interface = &self.interface;
                    tracing::debug!(%interface, %mac, %error, "failed to send a frame; broadcasting instead");
                    self.send_to(datagram, Ipv4Addr::BROADCAST, CLIENT_PORT).await
                }
            },
        }
    }

    async fn send_to(&self, datagram: &[u8], address: Ipv4Addr, port: u16) -> io::Result<()> {
        self.udp.send_to(datagram, (address, port)).await.map(drop)
    }

    /// Never waits: a full queue is an error like any other.
    fn send_frame(&self, datagram: &[u8], address: Ipv4Addr, mac: Mac) -> io::Result<()> {
        let from = SocketAddrV4::new(self.address()?, SERVER_PORT);
        let ends = Ends { from: (self.mac, from), to: (mac, SocketAddrV4::new(address, CLIENT_PORT)) };
        let frame = udp_frame(ends, datagram).ok_or(io::ErrorKind::InvalidInput)?;
        self.packet.send(&frame).map(drop)
    }
}
